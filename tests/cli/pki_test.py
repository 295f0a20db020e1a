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
        for arguments in (["../x"], ["a/b"], [".x"], ["x", "--san", "IP:300.1.1.1"], ["x", "--san", "URI:nothing"], ["x", "--san", "a:b"], ["x-"], ["192.0.2.1"], ["crl"]):
            self.quipu("pki", "issue", "pki", *arguments, expect=program.USAGE)
        for name in ("300.1.1.1", "DNS:192.0.2.1", "IP:kms.example", "DNS:", ""):
            done = self.quipu("pki", "issue", "pki", "x", "--san", name, expect=program.USAGE)
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

    def revoked(self, name):
        """Whether the list has the certificate of that name, in the eyes of another program."""
        pki = self.folder / "pki"
        done = openssl("verify", "-crl_check", "-CAfile", pki / "ca.pem", "-CRLfile", pki / "crl.pem", pki / f"{name}.pem")
        self.assertEqual(done.returncode == 0, "revoked" not in done.stderr, done.stderr)
        return done.returncode != 0

    def test_revokes(self):
        pki = self.make()
        self.quipu("pki", "issue", "pki", "sae-b")
        self.assertEqual(self.quipu("pki", "revoke", "pki").stdout, "pki/crl.pem: names 0 certificate(s)\n")
        self.assertFalse(self.revoked("sae-a"))
        serial = openssl("x509", "-in", pki / "sae-a.pem", "-noout", "-serial").stdout.strip().removeprefix("serial=")
        self.assertEqual(self.quipu("pki", "revoke", "pki", "sae-a").stdout,
                         f"pki/sae-a.pem: serial {serial} is revoked\npki/crl.pem: names 1 certificate(s)\n")
        self.assertEqual((self.revoked("sae-a"), self.revoked("sae-b")), (True, False))
        self.assertEqual(self.mode("pki/crl.pem"), 0o644)
        # One that was replaced meanwhile, by its path; the first stays in the list.
        (pki / "sae-b.pem").rename(self.folder / "old.pem")
        said = self.quipu("pki", "revoke", "pki", "old.pem", "sae-a").stdout
        self.assertRegex(said, r"^old\.pem: serial \w+ is revoked\npki/sae-a\.pem: serial \w+ was revoked before\n"
                               r"pki/crl\.pem: names 2 certificate\(s\)\n$")
        (self.folder / "old.pem").rename(pki / "sae-b.pem")
        self.assertEqual((self.revoked("sae-a"), self.revoked("sae-b")), (True, True))
        self.assertEqual(sorted(path.name for path in pki.iterdir()),
                         ["ca.key", "ca.pem", "crl.pem", "sae-a.key", "sae-a.pem", "sae-b.key", "sae-b.pem"])

    def test_forgets_nobody_who_is_revoked(self):
        """A list that cannot be read, or is not this authority's whole one, is not begun anew."""
        pki = self.make()
        self.quipu("pki", "revoke", "pki", "sae-a")
        good = (pki / "crl.pem").read_text()
        for damaged, said in (("", "is empty"), ("nonsense", "not one in PEM"), (good * 2, "more than one earlier list")):
            (pki / "crl.pem").write_text(damaged)
            self.assertIn(said, self.quipu("pki", "revoke", "pki", expect=program.ERROR).stderr)
            self.assertEqual((pki / "crl.pem").read_text(), damaged)
        (pki / "crl.pem").unlink()
        for wrong in (lambda: (pki / "crl.pem").mkdir(), lambda: (pki / "crl.pem").symlink_to(self.folder / "elsewhere")):
            wrong()
            self.assertIn("crl.pem", self.quipu("pki", "revoke", "pki", expect=program.ERROR).stderr)
            (pki / "crl.pem").rmdir() if (pki / "crl.pem").is_dir() else (pki / "crl.pem").unlink()

    def test_revokes_what_the_authority_issued(self):
        self.make()
        self.quipu("pki", "ca", "other")
        self.quipu("pki", "issue", "other", "sae-x")
        for names, said in ((["ca"], "pki/ca.pem: is the authority's own"), (["./other/sae-x.pem"], "./other/sae-x.pem: the certificate is not of this authority"),
                            (["sae-z"], "sae-z.pem: No such file")):
            self.assertIn(said, self.quipu("pki", "revoke", "pki", *names, expect=program.ERROR).stderr)
        self.assertFalse((self.folder / "pki" / "crl.pem").exists())

    def test_ends_no_later_than_its_authority(self):
        self.quipu("pki", "ca", "pki", "--days", "10")
        self.quipu("pki", "issue", "pki", "kme-a", "--days", "100")
        ends = {openssl("x509", "-in", self.folder / "pki" / name, "-noout", "-enddate").stdout for name in ("ca.pem", "kme-a.pem")}
        self.assertEqual(len(ends), 1)
        self.quipu("pki", "issue", "pki", "x", "--days", "0", expect=program.USAGE)


if __name__ == "__main__":
    program.main()
