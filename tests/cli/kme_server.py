# SPDX-License-Identifier: Apache-2.0
"""KMEs of one pair of SAEs as they are met in the field: ETSI GS QKD 014 over mutual TLS, with the deviations that a test asks for.

The certificates are made by `quipu pki`. Both sites share one table of keys."""

import base64
import http.server
import json
import secrets
import ssl
import threading
import urllib.parse
import uuid


class Quirks:
    """What one KME does. The defaults are the standard's."""

    methods = ("GET", "POST")
    wrong_method = 405  # the answer to another one
    key_size = 256  # by default
    size_parameter = "size"
    key_id_parameter = "key_ID"
    wants_master = False  # in each entry of key_IDs
    honours_number = True
    honours_size = True
    odd_size = "refused"  # or "down", "up"
    status = None  # another status body
    error_form = "json"  # or "detail", "html", "empty", "untyped"
    unknown_key = 400
    exhausted = None  # HTTP status of every enc_keys
    gives_twice = False
    wrong_keys = False  # others than the other site has
    uuids = True
    padded = True
    knows_extensions = True
    not_yet = 0  # how many times dec_keys does not know a key that it has

    def __init__(self, **changes):
        for name, value in changes.items():
            getattr(self, name)  # it is one
            setattr(self, name, value)


class Site:
    """A KME on a port of its own."""

    def __init__(self, keys, quirks, certificate, ca):
        self.keys, self.quirks, self.not_yet, self.connections = keys, quirks, quirks.not_yet, 0
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                site.connections += 1

            def do_GET(self):
                site.serve(self, "GET", b"")

            def do_POST(self):
                site.serve(self, "POST", self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.with_suffix(".pem"), certificate.with_suffix(".key"))
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def reply(self, handler, status, body, content_type="application/json"):
        handler.send_response(status)
        if content_type:
            handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def refuse(self, handler, status, message):
        forms = {
            "json": (json.dumps({"message": message}).encode(), "application/json"),
            "detail": (json.dumps({"detail": message}).encode(), "application/json"),
            "html": (f"<html><body>{message}</body></html>".encode(), "text/html"),
            "empty": (b"", None),
            "untyped": (json.dumps({"message": message}).encode(), None),
        }
        self.reply(handler, status, *forms[self.quirks.error_form])

    def serve(self, handler, method, body):
        url = urllib.parse.urlsplit(handler.path)
        sae, call = url.path.removeprefix("/api/v1/keys/").split("/")
        query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        if call == "status":
            return self.serve_status(handler, sae)
        if method not in self.quirks.methods:
            return self.refuse(handler, self.quirks.wrong_method, "method")
        asked = json.loads(body) if body else {}
        if call == "enc_keys":
            return self.serve_enc_keys(handler, query if method == "GET" else asked, method)
        return self.serve_dec_keys(handler, query, asked, method)

    def serve_status(self, handler, sae):
        status = {"source_KME_ID": "kme-x", "target_KME_ID": "kme-y", "master_SAE_ID": "sae-a", "slave_SAE_ID": sae, "key_size": self.quirks.key_size,
                  "stored_key_count": 100, "max_key_count": 1000, "max_key_per_request": 16, "max_key_size": 1024, "min_key_size": 64,
                  "max_SAE_ID_count": 0}
        self.reply(handler, 200, json.dumps(self.quirks.status or status).encode())

    def serve_enc_keys(self, handler, asked, method):
        quirks = self.quirks
        if quirks.exhausted:
            return self.refuse(handler, quirks.exhausted, "Not enough key material available")
        if asked.get("extension_mandatory") and quirks.knows_extensions:
            return self.refuse(handler, 400, "not all extension_mandatory parameters are supported")
        size = int(asked.get(quirks.size_parameter if method == "GET" else "size", quirks.key_size)) if quirks.honours_size else quirks.key_size
        number = int(asked.get("number", 1)) if quirks.honours_number else 1
        if size % 8 and quirks.odd_size == "refused":
            return self.refuse(handler, 400, "size shall be a multiple of 8")
        octets = (size + (7 if quirks.odd_size == "up" else 0)) // 8
        fresh = {self.new_id(): secrets.token_bytes(octets) for _ in range(number)}
        self.keys.update(fresh)
        self.give(handler, fresh)

    def new_id(self):
        return str(uuid.uuid4()) if self.quirks.uuids else secrets.token_hex(20)

    def serve_dec_keys(self, handler, query, asked, method):
        quirks = self.quirks
        entries = [{"key_ID": query.get(quirks.key_id_parameter)}] if method == "GET" else asked.get("key_IDs", [])
        if quirks.wants_master and not all(entry.get("master_SAE_ID") for entry in entries):
            return self.refuse(handler, 400, "master_SAE_ID is missing")
        ids = [entry["key_ID"] for entry in entries]
        known = all(id in self.keys for id in ids)
        if known and self.not_yet:
            self.not_yet -= 1
            known = False
        if not known:
            return self.refuse(handler, quirks.unknown_key, "one or more keys specified are not found on KME")
        found = {id: self.keys[id] if quirks.gives_twice else self.keys.pop(id) for id in ids}
        if quirks.wrong_keys:
            found = {id: secrets.token_bytes(len(key)) for id, key in found.items()}
        self.give(handler, found)

    def give(self, handler, keys):
        text = {id: base64.b64encode(key).decode() for id, key in keys.items()}
        if not self.quirks.padded:
            text = {id: key.rstrip("=") for id, key in text.items()}
        self.reply(handler, 200, json.dumps({"keys": [{"key_ID": id, "key": key} for id, key in text.items()]}).encode())
