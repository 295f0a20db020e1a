#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ETSI GS QKD 014 as a foreign client sees it: curl against the KMS of both sites of a laboratory.

  namespace a: curl (sae-a) -> kme-a  <== KM link ==>  kme-b <- curl (sae-b) : namespace b
"""

import base64
import json
import os
import pathlib
import secrets
import signal
import subprocess
import unittest
import uuid

import support
from support import PROGRAMS, run, wait_until


def has_ended(process):
    """Also of its files, which it loses after its memory: until then its port is taken and its store locked."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Site:
    def __init__(self, description):
        self.letter = description["site"]
        self.namespace = description["network_namespace"]
        self.folder = pathlib.Path(description["folder"])

    def ask(self, method, path, body=None, certificate=None):
        """Status and decoded body of one request to this site's KME."""
        name = f"sae-{self.letter}" if certificate is None else certificate
        pki = self.folder / "pki"
        command = ["ip", "netns", "exec", self.namespace, "curl", "-sS", "--max-time", "10", "--cacert", pki / "ca.pem",
                   "-X", method, "-w", "\n%{http_code}", f"https://127.0.0.1:8014/api/v1/keys/{path}"]
        if name:
            command += ["--cert", pki / f"{name}.pem", "--key", pki / f"{name}.key"]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", body if isinstance(body, str) else json.dumps(body)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            return None, result.stderr
        text, _, status = result.stdout.rpartition("\n")
        return int(status), json.loads(text) if text else None

    def process(self, name):
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"/" + name.encode()) and str(self.folder).encode() in b" ".join(words):
                return int(entry.parent.name)
        return None

    def restart_kms(self):
        """kill -9, then the same command again."""
        killed = self.process("quipu-kmsd")
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: has_ended(killed), "the killed KMS goes away")
        with open(self.folder / "quipu-kmsd.log", "ab") as log:
            return subprocess.Popen(["ip", "netns", "exec", self.namespace, PROGRAMS / "quipu-kmsd", "--config",
                                     self.folder / "kms.toml"], stdout=log, stderr=log)


class KmsInterface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.id = "k" + secrets.token_hex(3)
        up = run(PROGRAMS / "quipu", "lab", "up", cls.id, "--rekey-interval", "60", "--json")
        cls.a, cls.b = (Site(site) for site in json.loads(up)["sites"])
        cls.started = []

    @classmethod
    def tearDownClass(cls):
        for process in cls.started:
            process.terminate()
            process.wait()
        subprocess.run([PROGRAMS / "quipu", "lab", "down", cls.id], check=True)

    def keys(self, number=1, **members):
        status, container = self.a.ask("POST", "sae-b/enc_keys", {"number": number, **members})
        self.assertEqual(status, 200, container)
        return container["keys"]

    def fetch(self, keys):
        return self.b.ask("POST", "sae-a/dec_keys", {"key_IDs": [{"key_ID": key["key_ID"]} for key in keys]})

    def test_status_is_complete(self):
        status, body = self.a.ask("GET", "sae-b/status")
        self.assertEqual(status, 200)
        self.assertEqual((body["source_KME_ID"], body["target_KME_ID"]), ("kme-a", "kme-b"))
        self.assertEqual((body["master_SAE_ID"], body["slave_SAE_ID"]), ("sae-a", "sae-b"))
        self.assertEqual((body["key_size"], body["min_key_size"], body["max_key_size"]), (256, 64, 1024))
        self.assertEqual((body["max_key_per_request"], body["max_SAE_ID_count"]), (128, 8))
        self.assertGreater(body["stored_key_count"], 0)
        self.assertGreaterEqual(body["max_key_count"], body["stored_key_count"])
        self.assertLessEqual(body["max_key_count"], 64 * 1024 * 1024 // 32)
        self.assertEqual(len(self.keys(body["max_key_per_request"], size=body["max_key_size"])), 128)

    def test_the_same_key_at_both_sites_once(self):
        keys = self.keys(3)
        status, container = self.fetch(keys)
        self.assertEqual(status, 200, container)
        self.assertEqual(sorted((key["key_ID"], key["key"]) for key in container["keys"]),
                         sorted((key["key_ID"], key["key"]) for key in keys))
        self.assertEqual(len({key["key"] for key in keys}), 3)
        status, refused = self.fetch(keys[:1])
        self.assertEqual(status, 400)
        self.assertEqual(refused["message"], "one or more keys specified are not found on KME")

    def test_a_key_id_is_a_random_uuid(self):
        for key in self.keys(3):
            self.assertEqual(str(uuid.UUID(key["key_ID"])), key["key_ID"])
            self.assertEqual((uuid.UUID(key["key_ID"]).version, uuid.UUID(key["key_ID"]).variant), (4, uuid.RFC_4122))

    def audit(self, site, *options):
        """Lines of the audit log of a site's KMS; fails if it does not hold together."""
        return run(PROGRAMS / "quipu", "--kms-socket", site.folder / "kms.sock", "keys", "audit", *options).splitlines()

    def test_the_audit_log_says_who_was_given_a_key(self):
        key = self.keys(1)[0]
        self.assertEqual(self.fetch([key])[0], 200)
        given, = wait_until(lambda: self.audit(self.a, "--key-id", key["key_ID"].upper()), "the key is in the audit log of a")
        self.assertRegex(given, f"^[0-9TZ:.-]+ enc_keys {key['key_ID']} sae=sae-a slaves=sae-b kme=kme-b$")
        fetched, = wait_until(lambda: self.audit(self.b, "--key-id", key["key_ID"]), "and in that of b")
        self.assertRegex(fetched, f"^[0-9TZ:.-]+ dec_keys {key['key_ID']} sae=sae-b master=sae-a kme=kme-a$")
        self.assertEqual(self.audit(self.b, "--key-id", key["key_ID"], "--sae", "sae-x"), [])
        for options, code, said in ((["--sae", "nobody"], 0, "nothing in the log is what was asked for\n"),
                                    (["--key-id", "xyz"], 2, "--key-id wants a UUID")):
            done = subprocess.run([PROGRAMS / "quipu", "--kms-socket", self.b.folder / "kms.sock", "keys", "audit", *options],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(said, done.stderr)
        for site in (self.a, self.b):
            entries = [json.loads(line) for line in self.audit(site, "--json")]
            self.assertEqual(entries[0]["event"], "started")
            self.assertNotIn(key["key"], str(entries))

    def test_get_serves_simple_requests(self):
        status, container = self.a.ask("GET", "sae-b/enc_keys?number=1&size=512")
        self.assertEqual(status, 200, container)
        key = container["keys"][0]
        self.assertEqual(len(base64.b64decode(key["key"])), 64)
        status, other = self.b.ask("GET", f"sae-a/dec_keys?key_ID={key['key_ID']}")
        self.assertEqual((status, other["keys"][0]["key"]), (200, key["key"]))

    def test_one_unknown_id_consumes_nothing(self):
        keys = self.keys(2)
        ids = [{"key_ID": keys[0]["key_ID"]}, {"key_ID": "00000000-0000-4000-8000-000000000000"}]
        status, _ = self.b.ask("POST", "sae-a/dec_keys", {"key_IDs": ids})
        self.assertEqual(status, 400)
        status, container = self.fetch(keys)
        self.assertEqual(status, 200, container)

    def test_only_the_named_slave_may_fetch(self):
        keys = self.keys(1)
        status, _ = self.b.ask("POST", "sae-a/dec_keys", {"key_IDs": [{"key_ID": keys[0]["key_ID"]}]}, certificate="kme-b")
        self.assertEqual(status, 401)
        status, _ = self.b.ask("POST", "sae-a/dec_keys", {"key_IDs": [{"key_ID": keys[0]["key_ID"]}]}, certificate="")
        self.assertIsNone(status, "a client without a certificate got an answer")
        self.assertEqual(self.fetch(keys)[0], 200)

    def test_quipu_kms_test_finds_nothing_to_complain_of(self):
        pki = self.a.folder / "pki"
        report = json.loads(run("ip", "netns", "exec", self.a.namespace, PROGRAMS / "quipu", "kms", "test", "https://127.0.0.1:8014",
                                "--ca", pki / "ca.pem", "--cert", pki / "sae-a.pem", "--key", pki / "sae-a.key", "--slave", "sae-b", "--json"))
        self.assertEqual([one for one in report["checks"] if one["verdict"] != "good"], [])
        self.assertEqual(report["kmes"][0]["tls"]["group"], "X25519MLKEM768")
        self.assertEqual((report["kmes"][0]["connections"], report["usable"], report["settings"]), (1, True, []))

    def test_malformed_requests_get_400_with_a_message(self):
        for body in ("{", '{"number":"1"}', '{"number":0}', '{"size":7}', '{"number":1,"number":2}', '{"size":1e99}', "[" * 2000):
            status, error = self.a.ask("POST", "sae-b/enc_keys", body)
            self.assertEqual(status, 400, body)
            self.assertTrue(error["message"], body)

    def test_a_killed_kms_comes_back_and_reuses_nothing(self):
        before = self.keys(4)
        self.started.append(self.b.restart_kms())
        served = wait_until(lambda: self.fresh_pair(), "keys flow again after kill -9")
        self.assertFalse({key["key"] for key in before} & {key["key"] for key in served})
        self.assertEqual(self.fetch(before)[0], 400, "a key of the killed run was delivered")
        events = [json.loads(line)["event"] for line in self.audit(self.b, "--json")]
        self.assertEqual([event for event in events if event in ("started", "stopped")], ["started", "started"])

    def fresh_pair(self):
        status, container = self.a.ask("POST", "sae-b/enc_keys", {"number": 2})
        if status != 200:
            return None
        status, other = self.fetch(container["keys"])
        return container["keys"] if status == 200 and len(other["keys"]) == 2 else None

    def test_no_key_stands_in_clear_in_any_file(self):
        keys = [base64.b64decode(key["key"]) for key in self.keys(8)]
        self.assertEqual(self.fetch(self.keys(2))[0], 200)
        files = [path for site in (self.a, self.b) for path in site.folder.rglob("*")
                 if path.is_file() and "pki" not in path.parts]
        self.assertTrue([path for path in files if path.name.startswith("kms.db")])
        for path in files:
            try:
                contents = path.read_bytes()
            except FileNotFoundError:  # one that was written to take another's place, and now has done so
                continue
            for key in keys:
                for form in (key, key.hex().encode(), base64.b64encode(key)):
                    self.assertNotIn(form, contents, path)


if __name__ == "__main__":
    support.main()
