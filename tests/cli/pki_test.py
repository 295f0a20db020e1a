#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pki: what it makes verifies with the openssl program, stays private and is never replaced."""

import os
import subprocess

import program


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)


class Pki(program.ProgramTest):
    def make(self, *options):
        self.quipu("pki", "ca", "pki", *options)
        self.quipu("pki", "issue", "pki", "sae-a", "--san", "DNS:a.example", "--san", "192.0.2.1", "--san", "URI:urn:sae:a", *options)
        return self.folder / "pki"

    def test_verifies_for_both_roles(self):
        for index, options in enumerate(([], ["--key", "ed25519"])):
            os.makedirs(self.folder / str(index))
            self.folder = self.folder / str(index)
            pki = self.make(*options)
            for purpose in ("sslserver", "sslclient"):
                done = openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", pki / "ca.pem", pki / "sae-a.pem")
                self.assertEqual(done.returncode, 0, done.stderr)
            self.folder = self.folder.parent

    def test_names(self):
        # How a name is printed unless told differs between versions of the program.
        text = openssl("x509", "-in", self.make() / "sae-a.pem", "-noout", "-subject", "-nameopt", "RFC2253", "-ext", "subjectAltName").stdout
        self.assertEqual(text.splitlines()[0], "subject=CN=sae-a")
        self.assertIn("URI:urn:sae:a, DNS:sae-a, DNS:a.example, IP Address:192.0.2.1", text)

    def test_the_id_is_a_name_of_its_own_once(self):
        self.quipu("pki", "ca", "pki")
        for name, *sans in (["kme-a"], ["kme-b", "--san", "DNS:kme-b"], ["kme-c", "--san", "kme-c", "--san", "IP:192.0.2.1"]):
            self.quipu("pki", "issue", "pki", name, *sans)
            text = openssl("x509", "-in", self.folder / "pki" / f"{name}.pem", "-noout", "-ext", "subjectAltName").stdout
            self.assertEqual(text.count("DNS:"), 1, text)
            self.assertIn(f"DNS:{name}", text)

    def test_key_belongs_to_certificate_and_is_private(self):
        pki = self.make()
        for name in ("ca", "sae-a"):
            own = openssl("x509", "-in", pki / f"{name}.pem", "-noout", "-pubkey").stdout
            self.assertEqual(own, openssl("pkey", "-in", pki / f"{name}.key", "-pubout").stdout)
            self.assertEqual(self.mode(f"pki/{name}.key"), 0o600)
            self.assertEqual(self.mode(f"pki/{name}.pem"), 0o644)
        self.assertEqual(self.mode("pki"), 0o700)

    def test_never_replaces(self):
        pki = self.make()
        before = {path.name: path.read_bytes() for path in pki.iterdir()}
        self.assertIn("exists already", self.quipu("pki", "ca", "pki", expect=program.ERROR).stderr)
        self.assertIn("exists already", self.quipu("pki", "issue", "pki", "sae-a", expect=program.ERROR).stderr)
        # A key alone must survive as well.
        (pki / "sae-a.pem").unlink()
        del before["sae-a.pem"]
        self.assertIn("exists already", self.quipu("pki", "issue", "pki", "sae-a", expect=program.ERROR).stderr)
        self.assertEqual({path.name: path.read_bytes() for path in pki.iterdir()}, before)

    def test_refuses_bad_names(self):
        pki = self.make()
        for arguments in (["../x"], ["a/b"], [".x"], ["x", "--san", "IP:300.1.1.1"], ["x", "--san", "URI:nothing"], ["x", "--san", "a:b"], ["x-"], ["192.0.2.1"]):
            self.quipu("pki", "issue", "pki", *arguments, expect=program.ERROR)
        for name in ("300.1.1.1", "DNS:192.0.2.1", "IP:kms.example", "DNS:", ""):
            done = self.quipu("pki", "issue", "pki", "x", "--san", name, expect=program.ERROR)
            self.assertIn(f"--san {name}: expected DNS:NAME, IP:ADDRESS or URI:URI, or an address or host name", done.stderr)
        self.assertEqual(sorted(path.name for path in pki.iterdir()), ["ca.key", "ca.pem", "sae-a.key", "sae-a.pem"])

    def test_an_id_may_be_a_number(self):
        pki = self.make()
        self.quipu("pki", "issue", "pki", "1001", "--san", "1002")
        self.assertIn("DNS:1001, DNS:1002", openssl("x509", "-in", pki / "1001.pem", "-noout", "-ext", "subjectAltName").stdout)

    def test_makes_its_folder_and_no_other(self):
        self.assertIn("No such file", self.quipu("pki", "ca", "no/pki", expect=program.ERROR).stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_the_type_of_a_key_is_one_that_there_is(self):
        for kind in ("rsa", "0"):
            refused = self.quipu("pki", "ca", "pki", "--key", kind, expect=program.USAGE).stderr
            self.assertIn(f"--key: there is no type '{kind}': use ecdsa-p256 or ed25519\n", refused)
        self.quipu("pki", "ca", "pki", "--key", "ed25519")
        self.assertIn("ED25519", openssl("x509", "-in", self.folder / "pki" / "ca.pem", "-noout", "-text").stdout)

    def test_needs_an_authority(self):
        self.assertIn("ca.pem", self.quipu("pki", "issue", "nowhere", "sae-a", expect=program.ERROR).stderr)
        pki = self.make()
        (pki / "ca.key").write_text("damaged")
        self.assertIn("private key", self.quipu("pki", "issue", "pki", "sae-b", expect=program.ERROR).stderr)

    def test_ends_no_later_than_its_authority(self):
        self.quipu("pki", "ca", "pki", "--days", "10")
        self.quipu("pki", "issue", "pki", "kme-a", "--days", "100")
        ends = {openssl("x509", "-in", self.folder / "pki" / name, "-noout", "-enddate").stdout for name in ("ca.pem", "kme-a.pem")}
        self.assertEqual(len(ends), 1)
        self.quipu("pki", "issue", "pki", "x", "--days", "0", expect=program.USAGE)


if __name__ == "__main__":
    program.main()
