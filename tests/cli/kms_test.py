#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kms test: tells of KMEs what they really do, and what to set for them. The KMEs are those of kme_server.py; what it says of
quipu-kmsd is in tests/netns/kms_interface_test.py."""

import base64
import json

import program
from kme_server import Quirks, Site


class KmsTest(program.ProgramTest):
    def setUp(self):
        super().setUp()
        self.quipu("pki", "ca", "pki")
        self.quipu("pki", "issue", "pki", "sae-a")
        self.quipu("pki", "issue", "pki", "sae-b")
        self.quipu("pki", "issue", "pki", "kme", "--san", "IP:127.0.0.1")
        self.pki = self.folder / "pki"

    def site(self, quirks=None, keys=None):
        site = Site({} if keys is None else keys, quirks or Quirks(), self.pki / "kme", self.pki / "ca.pem")
        self.addCleanup(site.close)
        return site

    def credentials(self, prefix, sae):
        return [f"--{prefix}cert", self.pki / f"{sae}.pem", f"--{prefix}key", self.pki / f"{sae}.key"]

    def ask(self, quirks, *, peer=True, expect=program.OK, text=False):
        """What is said of a pair of KMEs with these quirks."""
        own = self.site(quirks)
        self.other = self.site(quirks, own.keys)
        words = ["kms", "test", own.url, "--slave", "sae-b", "--ca", self.pki / "ca.pem", *self.credentials("", "sae-a")]
        if peer:
            words += ["--peer-url", self.other.url, *self.credentials("peer-", "sae-b")]
        done = self.quipu(*words, *([] if text else ["--json"]), expect=expect)
        self.own, self.said = own, done.stdout
        return done.stdout if text else json.loads(done.stdout)

    def verdicts(self, report, check):
        return [(one["verdict"], one["text"]) for one in report["checks"] if one["check"] == check]

    def test_a_pair_by_the_standard(self):
        report = self.ask(Quirks())
        self.assertEqual({one["verdict"] for one in report["checks"]}, {"good"}, report["checks"])
        self.assertEqual((report["usable"], report["settings"]), (True, []))
        self.assertEqual(report["status"]["stored_key_count"], 100)
        own, other = report["kmes"]
        self.assertEqual((own["tls"]["version"], own["certificate"]["common_name"]), ("TLSv1.3", "kme"))
        self.assertGreater(own["certificate"]["not_after_s"], 0)
        self.assertEqual((own["connections"], other["connections"]), (self.own.connections, self.other.connections))
        self.assertEqual((self.own.connections, self.other.connections), (1, 1))
        self.assertEqual(set(report["took"]), {"status", "enc_keys", "dec_keys"})
        # One by each method, two together, one of the default size.
        self.assertEqual(report["keys_used"], 5)

    def test_a_kme_whose_certificate_is_revoked_is_not_asked(self):
        self.quipu("pki", "revoke", "pki", "kme")
        site = self.site()
        done = self.quipu("kms", "test", site.url, "--slave", "sae-b", "--ca", self.pki / "ca.pem", "--crl", self.pki / "crl.pem",
                          *self.credentials("", "sae-a"), expect=program.DOWN)
        self.assertIn("revoked", done.stdout)
        self.assertEqual(site.keys, {})

    def test_the_same_in_words(self):
        said = self.ask(Quirks(), text=True)
        self.assertIn("  good   dec_keys by POST: gives the same key at both KMEs\n", said)
        self.assertIn("Quipu gets keys here, without further settings.\n", said)

    def test_no_octet_of_a_key_is_told(self):
        for text in (True, False):
            self.ask(Quirks(gives_twice=True), text=text, expect=program.DEGRADED)  # so that no key goes from the table
            self.assertTrue(self.own.keys)
            for key in self.own.keys.values():
                for form in (base64.b64encode(key).decode(), key.hex(), str(key)):
                    self.assertNotIn(form, self.said)

    def test_methods_that_are_not_taken(self):
        for status in (400, 404, 405):
            report = self.ask(Quirks(methods=("GET",), wrong_method=status))
            self.assertEqual((report["usable"], report["settings"]), (True, []), report["checks"])
            self.assertEqual(self.verdicts(report, "dec_keys by GET ?key_ID="), [("good", "gives the same key at both KMEs")])
        report = self.ask(Quirks(methods=("POST",)))
        self.assertEqual((report["usable"], report["settings"]), (True, []), report["checks"])
        # Nothing that quipud takes for a refusal of the method: it has to be told.
        report = self.ask(Quirks(methods=("GET",), wrong_method=500))
        self.assertEqual((report["usable"], report["settings"]), (True, ['method = "get"']), report["checks"])

    def test_other_names_in_the_query(self):
        report = self.ask(Quirks(methods=("GET",), key_size=352, size_parameter="key_size", key_id_parameter="key_IDs"))
        self.assertEqual(report["settings"], ['size_parameter = "key_size"', 'key_id_parameter = "key_IDs"'])
        self.assertTrue(report["usable"], report["checks"])

    def test_master_in_each_entry(self):
        report = self.ask(Quirks(methods=("POST",), wants_master=True))
        self.assertEqual(report["settings"], ["master_in_key_ids = true"])
        self.assertTrue(report["usable"], report["checks"])

    def test_a_key_that_comes_late(self):
        report = self.ask(Quirks(not_yet=3))
        self.assertEqual(self.verdicts(report, "dec_keys by POST"), [("good", "gives the same key at both KMEs")])

    def test_sizes_and_numbers(self):
        for odd, verdict in (("down", ("note", "gives 256 bit for 257")), ("up", ("good", "gives 264 bit for 257"))):
            report = self.ask(Quirks(odd_size=odd), peer=False)
            self.assertEqual(self.verdicts(report, "enc_keys of an odd size"), [verdict])
        report = self.ask(Quirks(honours_number=False), peer=False)
        self.assertEqual(self.verdicts(report, "enc_keys with number"), [("note", "KME delivered 1 keys where 2 were due")])
        report = self.ask(Quirks(honours_size=False, key_size=352), peer=False, expect=program.DOWN)
        self.assertFalse(report["usable"])
        self.assertIn(("note", "KME delivered a key of 352 bit where 256 were due"), self.verdicts(report, "enc_keys by POST"))

    def test_how_refusals_look(self):
        prescribed = "; the standard's is HTTP 400: one or more keys specified are not found on KME"
        for form, said in (("html", ", with HTML"), ("empty", ", with an empty body"),
                           ("untyped", ": one or more keys specified are not found on KME (no Content-Type)"),
                           ("detail", ": one or more keys specified are not found on KME")):
            report = self.ask(Quirks(error_form=form, unknown_key=404))
            self.assertEqual(self.verdicts(report, "dec_keys of an unknown key"), [("note", f"refused: HTTP 404{said}{prescribed}")])
            self.assertTrue(report["usable"])
        report = self.ask(Quirks(knows_extensions=False), peer=False)
        self.assertEqual([verdict for verdict, _ in self.verdicts(report, "enc_keys with an unknown mandatory extension")], ["note"])

    def test_status_that_says_nothing_or_contradicts_itself(self):
        report = self.ask(Quirks(status={"key_size": 0, "stored_key_count": 0}), peer=False)
        self.assertIn("every number is 0 or left out", self.verdicts(report, "status")[0][1])
        self.assertTrue(report["usable"])
        status = {"master_SAE_ID": "\x1b[31msae-z", "slave_SAE_ID": "sae-q", "key_size": 512, "stored_key_count": 9, "max_key_count": 3,
                  "max_key_per_request": 0, "max_key_size": 256, "min_key_size": 64}
        said = self.ask(Quirks(status=status), peer=False, text=True)
        for text in ('slave_SAE_ID is "sae-q"', "max_key_count 3 is below stored_key_count 9", "max_key_size 256 is below key_size 512",
                     "max_key_per_request is 0", 'takes us for SAE "\\x1b[31msae-z"'):
            self.assertIn(text, said)
        self.assertNotIn("\x1b", said)

    def test_faults(self):
        report = self.ask(Quirks(gives_twice=True), expect=program.DEGRADED)
        self.assertEqual(self.verdicts(report, "dec_keys of a key that was fetched")[0][0], "fault")
        self.assertTrue(report["usable"])
        report = self.ask(Quirks(wrong_keys=True), expect=program.DOWN)
        self.assertEqual(self.verdicts(report, "dec_keys by POST")[0][0], "fault")
        self.assertFalse(report["usable"])

    def test_keys_that_quipu_does_not_take(self):
        report = self.ask(Quirks(padded=False), peer=False, expect=program.DOWN)
        self.assertIn("base64", self.verdicts(report, "enc_keys by POST")[0][1])
        report = self.ask(Quirks(uuids=False))
        self.assertIn(("note", "its key_IDs are no UUIDs: they are taken as they are"), self.verdicts(report, "enc_keys by POST"))
        for status in (503, 400):
            report = self.ask(Quirks(exhausted=status), peer=False, expect=program.DOWN)
            self.assertIn("Not enough key material available", self.verdicts(report, "enc_keys by POST")[0][1])

    def test_nobody_there(self):
        site = self.site()
        site.close()
        done = self.quipu("kms", "test", site.url, "--slave", "sae-b", "--ca", self.pki / "ca.pem", *self.credentials("", "sae-a"),
                          expect=program.DOWN)
        self.assertIn("no connection", done.stdout)
        self.assertIn("FAULT  status: no answer: ", done.stdout)

    def test_a_certificate_of_another_authority(self):
        self.quipu("pki", "ca", "other")
        self.quipu("pki", "issue", "other", "sae-o")
        other, site = self.folder / "other", self.site()
        asked = ("kms", "test", site.url, "--slave", "sae-b", "--ca")
        sae_a = self.credentials("", "sae-a")
        done = self.quipu(*asked, other / "ca.pem", *sae_a, expect=program.DOWN)
        self.assertRegex(done.stdout, rf"the peer's certificate: .*; look whether {other}/ca.pem \(--ca\) holds the authority of the "
                         rf"KME's certificate, and whether the KME trusts that of {self.pki}/sae-a.pem \(--cert\)\n")
        done = self.quipu(*asked, self.pki / "ca.pem", "--cert", other / "sae-o.pem", "--key", other / "sae-o.key", expect=program.DOWN)
        self.assertRegex(done.stdout, rf"refused our certificate: .* trusts that of {other}/sae-o.pem \(--cert\)\n")
        peer = ["--peer-url", self.site().url, *self.credentials("peer-", "sae-b"), "--peer-ca", other / "ca.pem"]
        done = self.quipu(*asked, self.pki / "ca.pem", *sae_a, *peer, expect=program.DOWN)
        self.assertRegex(done.stdout, rf"whether {other}/ca.pem \(--peer-ca\) holds .* {self.pki}/sae-b.pem \(--peer-cert\)\n")
        done = self.quipu("kms", "test", site.url.replace("127.0.0.1", "localhost"), "--slave", "sae-b", "--ca", self.pki / "ca.pem",
                          *sae_a, expect=program.DOWN)
        self.assertIn("ismatch; name the KME in the URL as its certificate does\n", done.stdout)

    def test_who_asks_is_unknown(self):
        """Said once, however often the KME does."""
        report = self.ask(Quirks(exhausted=401), peer=False, expect=program.DOWN)
        (verdict, text), = self.verdicts(report, "who asks")
        self.assertEqual(verdict, "note")
        self.assertIn('HTTP 401: the certificate names "sae-a", and the KME knows no such SAE, or not its pair with "sae-b": ', text)
        self.assertEqual(self.verdicts(self.ask(Quirks(exhausted=503), peer=False, expect=program.DOWN), "who asks"), [])

    def test_a_peer_whose_certificate_is_revoked_by_a_list_of_its_own_is_not_asked(self):
        self.quipu("pki", "revoke", "pki", "kme")
        own = self.site()
        other = self.site(keys=own.keys)
        words = ["kms", "test", own.url, "--slave", "sae-b", "--ca", self.pki / "ca.pem", *self.credentials("", "sae-a")]
        peer = ["--peer-url", other.url, *self.credentials("peer-", "sae-b"), "--peer-ca", self.pki / "ca.pem"]
        self.quipu(*words, *peer)
        done = self.quipu(*words, *peer, "--peer-crl", self.pki / "crl.pem", "--json", expect=program.DOWN)
        self.assertIn("revoked", done.stdout)
        self.assertEqual(json.loads(done.stdout)["kmes"][1]["connections"], 0)

    def configuration(self, site, more=""):
        config = self.folder / "quipu.toml"
        config.write_text(f"""[device]
addresses = ["10.70.0.1/24"]
[kms.vendor]
url = "{site.url}"
{more}
sae_id = "sae-a"
ca = "{self.pki}/ca.pem"
cert = "{self.pki}/sae-a.pem"
key = "{self.pki}/sae-a.key"
[[peer]]
name = "dc-b"
public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
psk_file = "/etc/quipu/b.psk"
allowed_ips = ["10.2.0.0/16"]
sources = [{{ kms = "vendor", peer_sae_id = "sae-b" }}]
""")
        return config

    def test_every_kme_of_a_name_is_tested(self):
        site, good, dry = self.site(), self.site(), self.site(Quirks(exhausted=503))
        config = self.configuration(site, f'standby_urls = ["{good.url}"]')
        done = self.quipu("kms", "test", "vendor", "--config", config, "--json")
        self.assertEqual([json.loads(line)["kmes"][0]["url"] for line in done.stdout.splitlines()], [site.url, good.url])
        config = self.configuration(site, f'standby_urls = ["{dry.url}", "{good.url}"]')
        done = self.quipu("kms", "test", "vendor", "--config", config, "--json", expect=program.DOWN)
        self.assertEqual([json.loads(line)["usable"] for line in done.stdout.splitlines()], [True, False, True])

    def test_by_the_name_in_the_configuration(self):
        config = self.configuration(self.site())
        done = self.quipu("kms", "test", "vendor", "--config", config)
        self.assertIn("slave_SAE_ID         sae-b", done.stdout)
        done = self.quipu("kms", "test", "vendro", "--config", config, expect=program.ERROR)
        self.assertIn("vendro: neither an https:// URL nor a [kms.vendro] in", done.stderr)

    def test_what_is_missing_is_said(self):
        done = self.quipu("kms", "test", "https://127.0.0.1:1", expect=program.USAGE)
        self.assertIn("--ca is missing", done.stderr)
        done = self.quipu("kms", "test", "http://127.0.0.1:1", "--slave", "b", "--ca", self.pki / "ca.pem", *self.credentials("", "sae-a"),
                          expect=program.USAGE)
        self.assertIn("not an https:// URL", done.stderr)


if __name__ == "__main__":
    program.main()
