#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two KMEs with certificates of `quipu pki`, in one network namespace: whom they take each other and an application for, and
what `quipu-kmsd --check` says of a configuration that cannot work."""

import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import unittest

import support
from support import Namespace, PROGRAMS, fresh_name, run, wait_until

CONFIG_INVALID = 5

CONFIGURATION = """[kme]
id = "kme-{own}"
store = "{folder}/{own}.db"
store_key_file = "{folder}/store.key"
control_socket = "{folder}/{own}.sock"
[etsi014]
listen = "127.0.0.1:{etsi014}"
ca = "{folder}/pki/ca.pem"
cert = "{folder}/pki/kme-{own}.pem"
key = "{folder}/pki/kme-{own}.key"
[km_link]
listen = "127.0.0.1:{km_link}"
ca = "{folder}/pki/ca.pem"
cert = "{folder}/pki/kme-{own}.pem"
key = "{folder}/pki/kme-{own}.key"
[[sae]]
id = "sae-{own}"
[[peer_kme]]
id = "kme-{other}"
address = "127.0.0.1:{other_km_link}"
saes = ["sae-{other}"]
[[link]]
name = "a-b"
peer_kme = "kme-{other}"
driver = "sim"
allow_simulated = true
[link.options]
role = "{role}"
fibre = "127.0.0.1:8030"
"""


class Kms(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        pki = self.folder / "pki"
        run(PROGRAMS / "quipu", "pki", "ca", pki)
        # Each has alternative names besides: without its id among them, it would be nobody.
        for name in ("kme-a", "kme-b", "sae-a", "sae-x"):
            run(PROGRAMS / "quipu", "pki", "issue", pki, name, "--san", f"DNS:{name}.example", "--san", "IP:127.0.0.1")
        run(PROGRAMS / "quipu", "pki", "issue", pki, "sae-u", "--san", "URI:urn:quipu:u")
        run(PROGRAMS / "quipu", "genpsk", "--out", self.folder / "store.key")
        self.write("a", "b", "alice", 8014, 8020, 8021)
        self.write("b", "a", "bob", 8015, 8021, 8020)

    def write(self, own, other, role, etsi014, km_link, other_km_link):
        (self.folder / f"{own}.toml").write_text(CONFIGURATION.format(folder=self.folder, **{
            "own": own, "other": other, "role": role, "etsi014": etsi014, "km_link": km_link, "other_km_link": other_km_link}))


class Running(Kms):
    def setUp(self):
        super().setUp()
        self.namespace = Namespace(f"{fresh_name()}-kms")
        self.addCleanup(self.namespace.delete)
        for site in "ab":
            process = self.namespace.start(PROGRAMS / "quipu-kmsd", "--config", self.folder / f"{site}.toml",
                                           log=self.folder / f"{site}.log")
            self.addCleanup(process.wait)
            self.addCleanup(process.terminate)

    def status_of(self, certificate):
        """HTTP status of a request to kme-a under that certificate; 0 while nobody listens."""
        pki = self.folder / "pki"
        return int(self.namespace.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", pki / "ca.pem", "--cert",
                                      pki / f"{certificate}.pem", "--key", pki / f"{certificate}.key",
                                      "https://127.0.0.1:8014/api/v1/keys/sae-b/status", check=False) or 0)

    def configure(self, old, new, times=1):
        file = self.folder / "a.toml"
        self.assertEqual(file.read_text().count(old), times)
        file.write_text(file.read_text().replace(old, new))

    def log(self, event):
        """The lines of kme-a with that event."""
        return [line for line in (self.folder / "a.log").read_text().splitlines() if f" event={event} " in line]

    def reload(self):
        said = run(PROGRAMS / "quipu", "--kms-socket", self.folder / "a.sock", "reload", "--kms")
        for end in ("etsi014", "km_link"):
            self.assertIn(f"{end} certificates (connections ended)", said)

    def hold(self, certificate):
        """A connection to kme-a under that certificate, which has had an answer."""
        pki = self.folder / "pki"
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        context.load_cert_chain(pki / f"{certificate}.pem", pki / f"{certificate}.key")
        tcp = support.in_namespace(self.namespace.name, lambda: socket.create_connection(("127.0.0.1", 8014)))
        held = context.wrap_socket(tcp, server_hostname="127.0.0.1")
        self.addCleanup(held.close)
        held.settimeout(support.PATIENCE_S)
        held.sendall(b"GET /api/v1/keys/sae-b/status HTTP/1.1\r\nHost: kme\r\n\r\n")
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):  # it has no body: that one is no SAE of this KME
            self.assertTrue(part := held.recv(4096))
            answer += part
        return held


class Identity(Running):
    def test_who_is_who(self):
        wait_until(lambda: self.status_of("sae-a") == 200, "the application is known by its certificate")
        self.assertEqual(self.status_of("sae-x"), 401)
        for site in "ab":
            wait_until(lambda: "event=km_link_up" in (self.folder / f"{site}.log").read_text(), f"kme-{site} has contact")

    def test_who_is_revoked_is_cut_off(self):
        """With what it holds open, at the ETSI 014 service and on the KM link; nobody else is, for longer than a new connection takes."""
        pki = self.folder / "pki"
        run(PROGRAMS / "quipu", "pki", "revoke", pki)
        wait_until(lambda: self.log("km_link_up"), "the KMEs are in contact")
        self.configure('kme-a.key"\n', f'kme-a.key"\ncrl = "{pki}/crl.pem"\n', times=2)
        self.reload()
        wait_until(lambda: len(self.log("km_link_up")) == 2, "the KM link stands again under the list")
        held = self.hold("sae-x")
        run(PROGRAMS / "quipu", "pki", "revoke", pki, "sae-x")
        self.reload()
        self.assertEqual(held.recv(1), b"", "its connection is ended")
        self.assertEqual(self.status_of("sae-x"), 0)
        wait_until(lambda: any("certificate revoked" in line for line in self.log("etsi014_refused")), "why is said")
        self.assertEqual(self.status_of("sae-a"), 200)
        wait_until(lambda: len(self.log("km_link_up")) == 3, "the KM link stands again")
        run(PROGRAMS / "quipu", "pki", "revoke", pki, "kme-b")
        self.reload()
        wait_until(lambda: any("certificate revoked" in line for line in self.log("km_link_unreachable")), "kme-b is refused")


class Rule(Running):
    def write(self, own, *rest):
        super().write(own, *rest)
        if own == "a":
            self.configure('id = "sae-a"', 'id = "urn:quipu:u"')
            self.configure("[etsi014]\n", '[etsi014]\nsae_id_from = "uri_san"\n')

    def test_a_rule_says_where_the_id_stands(self):
        wait_until(lambda: self.status_of("sae-u") == 200, "the application is known by its URI")
        self.assertEqual(self.status_of("sae-a"), 401)


class Check(Kms):
    def check(self, old="", new=""):
        file = self.folder / "a.toml"
        text = file.read_text()
        self.assertIn(old, text)
        changed = self.folder / "changed.toml"
        changed.write_text(text.replace(old, new, 1))
        return subprocess.run([PROGRAMS / "quipu-kmsd", "--check", "--config", changed], capture_output=True, text=True)

    def test_what_is_good(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("good, 1 link(s), 1 peer KME(s)", done.stdout)

    def refusal(self, old, new):
        """What is said of it, and nothing else."""
        done = self.check(old, new)
        self.assertEqual(done.returncode, CONFIG_INVALID, done.stdout)
        return done.stderr

    def start(self):
        sock = self.folder / "a.sock"
        with (self.folder / "a.log").open("w") as out:
            daemon = subprocess.Popen([PROGRAMS / "quipu-kmsd", "--config", self.folder / "a.toml"], stderr=out)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        wait_until(sock.exists, "the KMS runs")
        return daemon

    def test_a_store_that_the_key_does_not_open(self):
        """Stopped and running: it is not touched, and no word of it is printed where it opens."""
        daemon = self.start()
        run(PROGRAMS / "quipu", "genpsk", "--out", self.folder / "other.key")
        other = ("/store.key", "/other.key")
        self.assertEqual(self.check().returncode, 0, "with the store open")
        daemon.terminate()
        daemon.wait()
        before = (self.folder / "a.db").read_bytes()
        self.assertRegex(self.refusal(*other), r"changed\.toml:4:1: kme\.store_key_file: .*a\.db: the store was sealed with another store key; ")
        self.assertEqual(self.check().returncode, 0)
        self.assertEqual((self.folder / "a.db").read_bytes(), before)
        self.assertEqual(sorted(file.name for file in self.folder.glob("a.db*")), ["a.db"])
        daemon = self.start()
        self.assertIn("good as far as could be checked", self.check(*other).stdout)
        daemon.terminate()
        daemon.wait()
        (self.folder / "a.db").write_bytes(b"x" * 8192)
        self.assertRegex(self.refusal("", ""), r"changed\.toml:3:1: kme\.store: .*a\.db: .*not a database")

    def test_what_stands_where_the_control_socket_is_made(self):
        (self.folder / "a.sock").write_text("")
        self.assertRegex(self.refusal("", ""), r"changed\.toml:5:1: kme\.control_socket: .*a\.sock: stands there and is no socket; move it away")

    def test_a_source_of_entropy(self):
        relayed = ('saes = ["sae-b"]\n', 'saes = ["sae-b"]\nrelay_stock_bit = 65536\n[relay]\nentropy_source = "{folder}/source"\n'
                   '[[peer_kme]]\nid = "kme-c"\naddress = "127.0.0.1:8022"\nsaes = ["sae-c"]\n')
        relayed = (relayed[0], relayed[1].format(folder=self.folder))
        file = self.folder / "a.toml"
        text = file.read_text()
        file.write_text(text + '[[link]]\nname = "a-c"\npeer_kme = "kme-c"\ndriver = "sim"\nallow_simulated = true\n'
                        '[link.options]\nrole = "alice"\nfibre = "127.0.0.1:8031"\n')
        source = self.folder / "source"
        where = r"changed\.toml:24:1: relay\.entropy_source: .*/source"
        self.assertRegex(self.refusal(*relayed), where + ": No such file or directory; no block is made for relay without it: name ")
        source.write_text("")
        self.assertRegex(self.refusal(*relayed), where + " is neither a character device nor a FIFO; ")
        source.unlink()
        os.mkfifo(source)
        self.assertEqual(self.check(*relayed).returncode, 0)

    def test_certificates_of_another_authority(self):
        run(PROGRAMS / "quipu", "pki", "ca", self.folder / "other")
        done = self.check(f'key = "{self.folder}/pki/kme-a.key"\n[km_link]\nlisten = "127.0.0.1:8020"\nca = "{self.folder}/pki/ca.pem"',
                          f'key = "{self.folder}/pki/kme-a.key"\n[km_link]\nlisten = "127.0.0.1:8020"\nca = "{self.folder}/other/ca.pem"')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"changed\.toml:14:1: km_link\.cert: .*kme-a\.pem is not issued by the authority in .*other/ca\.pem")
        self.assertNotIn("etsi014.c", done.stdout)

    def test_certificates_that_end(self):
        """What --check says of them."""
        pki = self.folder / "pki"
        for name in ("kme-a.pem", "kme-a.key"):
            (pki / name).unlink()
        run(PROGRAMS / "quipu", "pki", "issue", pki, "kme-a", "--days", "20", "--san", "IP:127.0.0.1")
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        for setting in ("etsi014.cert", "km_link.cert"):
            self.assertRegex(done.stdout, setting + r": the certificate ends at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ; have a new one")
        for begin, end, said in (("20200101000000Z", "20200102000000Z", "is over since 2020-01-02T00:00:00Z"),
                                 ("20400101000000Z", "20400102000000Z", "is not valid before 2040-01-01T00:00:00Z")):
            self.issue("kme-a", begin, end)
            done = self.check()
            self.assertEqual(done.returncode, CONFIG_INVALID, done.stdout)
            self.assertRegex(done.stderr, r"changed\.toml:\d+:1: etsi014\.cert: the certificate " + said)

    def issue(self, name, begin, end):
        """A certificate that is valid from `begin` to `end`, for the same key."""
        pki = self.folder / "pki"
        settings = self.folder / "openssl.conf"
        settings.write_text(f"[ca]\ndefault_ca=any\n[any]\ndatabase={self.folder}/issued\nnew_certs_dir={self.folder}\n"
                            f"rand_serial=yes\ndefault_md=sha256\npolicy=names\nx509_extensions=more\nunique_subject=no\n"
                            f"[names]\ncommonName=supplied\n[more]\nsubjectAltName=DNS:{name}\n")
        (self.folder / "issued").touch()
        request = run("openssl", "req", "-new", "-key", pki / f"{name}.key", "-subj", f"/CN={name}")
        run("openssl", "ca", "-batch", "-notext", "-config", settings, "-cert", pki / "ca.pem", "-keyfile", pki / "ca.key",
            "-startdate", begin, "-enddate", end, "-in", "/dev/stdin", "-out", pki / f"{name}.pem", stdin=request)

    def test_lists_of_revoked_certificates(self):
        """What --check says of them."""
        pki = self.folder / "pki"
        run(PROGRAMS / "quipu", "pki", "revoke", pki)
        with_list = ('kme-a.key"\n', f'kme-a.key"\ncrl = "{pki}/crl.pem"\n')
        self.assertEqual(self.check(*with_list).returncode, 0)
        run(PROGRAMS / "quipu", "pki", "revoke", pki, "kme-a")
        done = self.check(*with_list)
        self.assertEqual(done.returncode, CONFIG_INVALID)
        self.assertRegex(done.stderr, r"changed\.toml:\d+:1: etsi014\.cert: the certificate is revoked by its authority")
        run(PROGRAMS / "quipu", "pki", "ca", self.folder / "other", "--name", "another")
        (pki / "ca.pem").write_text((pki / "ca.pem").read_text() + (self.folder / "other" / "ca.pem").read_text())
        done = self.check(*with_list)
        self.assertEqual(done.returncode, CONFIG_INVALID)
        self.assertRegex(done.stderr, r'changed\.toml:\d+:1: etsi014\.crl: .*crl\.pem: holds no list of the authority "CN=another"')

    def test_what_only_the_certificate_knows(self):
        done = self.check('id = "kme-a"', 'id = "kme-0"')
        self.assertEqual(done.returncode, CONFIG_INVALID)
        for part in ('changed.toml:2:1: kme.id: "kme-0" is not named by', "kme-a.pem", '"kme-a", "kme-a.example"', "quipu pki issue"):
            self.assertIn(part, done.stderr)

    def test_what_only_the_driver_knows(self):
        for old, new, *parts in (
            ('driver = "sim"', 'driver = "smi"', ':25:1: link[1].driver: there is no driver "smi"', "those that are there: sim"),
            ("allow_simulated = true\n", "", "link[1].allow_simulated: driver sim simulates", "set allow_simulated = true"),
            ('role = "alice"', 'role = "alice"\nqber = 2', ':29:1: link[1].options.qber: ', 'qber = "2": has to be a number from 0 to 0.1'),
            ('role = "alice"', 'role = "eve"', ":28:1: link[1].options.role: ", "alice at one end and bob at the other"),
            ('role = "alice"', 'rolle = "alice"', ":28:1: link[1].options.rolle: ", "unknown option rolle", "skr_bit_s"),
            ('role = "alice"\n', "", ":22:1: link[1].options: ", "role is missing"),
        ):
            done = self.check(old, new)
            self.assertEqual(done.returncode, CONFIG_INVALID, new)
            for part in parts:
                self.assertIn(part, done.stderr)


if __name__ == "__main__":
    support.main()
