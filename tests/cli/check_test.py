#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check: both kinds of configuration, exit code 5 with FILE:LINE:COLUMN for each problem."""

import program

QUIPUD = """[device]
name = "quipu0"
private_key_file = "/etc/quipu/device.key"
addresses = ["10.70.0.1/24"]

[kms.local]
url = "https://127.0.0.1:8014"
sae_id = "sae-a"
ca = "/etc/quipu/pki/ca.pem"
cert = "/etc/quipu/pki/sae-a.pem"
key = "/etc/quipu/pki/sae-a.key"

[[peer]]
name = "dc-b"
public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
psk_file = "/etc/quipu/dc-b.psk"
endpoint = "192.0.2.2:51900"
allowed_ips = ["10.70.0.2/32"]
rekey_interval_s = 10
sources = [{ kms = "local", peer_sae_id = "sae-b" }]
"""

KMSD = """[kme]
id = "kme-a"
store = "/var/lib/quipu-kms/kms.db"
store_key_file = "/etc/quipu/kms-store.key"

[etsi014]
listen = "127.0.0.1:8014"
ca = "/etc/quipu/pki/ca.pem"
cert = "/etc/quipu/pki/kme-a.pem"
key = "/etc/quipu/pki/kme-a.key"

[km_link]
listen = "192.0.2.1:8020"
ca = "/etc/quipu/pki/ca.pem"
cert = "/etc/quipu/pki/kme-a.pem"
key = "/etc/quipu/pki/kme-a.key"

[[sae]]
id = "sae-a"
"""


class Check(program.ProgramTest):
    def check(self, text, *options, expect):
        (self.folder / "file.toml").write_text(text)
        return self.quipu("check", "file.toml", *options, expect=expect)

    def test_valid_files_of_both_daemons(self):
        self.assertIn("a valid configuration of quipud\n", self.check(QUIPUD, expect=program.OK).stdout)
        self.assertIn("a valid configuration of quipu-kmsd\n", self.check(KMSD, expect=program.OK).stdout)

    def test_the_daemon_is_told_from_what_the_toml_says(self):
        for text in (KMSD.replace("[kme]", "  [ kme ]  # ours"), "\n\n" + KMSD.replace("[kme]", "[\"kme\"]")):
            self.assertIn("a valid configuration of quipu-kmsd\n", self.check(text, expect=program.OK).stdout)
        for text in (QUIPUD.replace("[device]", "\t[ device ]"), "# [kme]\n" + QUIPUD):
            self.assertIn("a valid configuration of quipud\n", self.check(text, expect=program.OK).stdout)
        self.assertIn("of quipud:", self.check("kms.x.sae_id = 1\n", expect=program.CONFIG_INVALID).stderr)

    def test_what_the_daemon_would_refuse(self):
        done = self.check(QUIPUD.replace("192.0.2.2:51900", "10.70.0.2:51900"), expect=program.CONFIG_INVALID)
        self.assertIn("file.toml:17:1: peer[1].endpoint: lies inside 10.70.0.2/32", done.stderr)

    def test_reference(self):
        text = self.quipu("check", "--reference").stdout
        self.assertTrue(text.startswith("# Configuration\n"))
        self.assertIn("| `rekey_interval_s` |", text)

    def test_each_daemon_refuses_the_other_ones_file(self):
        self.check(QUIPUD, "--for", "quipu-kmsd", expect=program.CONFIG_INVALID)
        self.check(KMSD, "--for", "quipud", expect=program.CONFIG_INVALID)

    def test_problem_with_line_column_and_nearest_key(self):
        done = self.check(QUIPUD.replace("psk_file", "psk_fiel"), expect=program.CONFIG_INVALID)
        self.assertIn("file.toml:16:1: ", done.stderr)
        self.assertIn("psk_file", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_all_problems_at_once(self):
        text = QUIPUD.replace("https://", "http://").replace("rekey_interval_s = 10", "rekey_interval_s = 0")
        done = self.check(text, expect=program.CONFIG_INVALID)
        self.assertIn("file.toml:7:", done.stderr)
        self.assertIn("file.toml:19:", done.stderr)
        self.assertIn("2 to correct", done.stderr)

    def test_control_characters_reach_no_terminal(self):
        for line in ('name = "\\u001b]0;owned\\u0007\\nF:1:1: forged\\u009b"', '"\\u001b[2J" = 1', 'name = "\u202e"', "\x1b[2J = 1"):
            done = self.check(QUIPUD.replace('name = "quipu0"', line), expect=program.CONFIG_INVALID)
            self.assertTrue(all(c == "\n" or " " <= c <= "~" for c in done.stderr), repr(done.stderr))
            self.assertNotIn("\nF:1:1: forged", done.stderr)
            self.assertIn("file.toml:2:", done.stderr)

    def test_what_is_no_toml(self):
        said = self.check("[device\n", expect=program.CONFIG_INVALID).stderr
        self.assertIn("file.toml:1:", said)
        self.assertIn("file.toml is no configuration: 1 to correct\n", said)

    def test_what_no_section_says_of_whom_it_is(self):
        for text in ("", "[devcie]\nname = 1\n"):
            said = self.check(text, expect=program.CONFIG_INVALID).stderr
            self.assertIn("file.toml has no section of a configuration of quipud ([device]) or quipu-kmsd ([kme])\n", said)
        self.assertIn("file.toml:1:2: devcie: ", self.check("[devcie]\n", "--for", "quipud", expect=program.CONFIG_INVALID).stderr)

    def test_file_that_cannot_be_read(self):
        self.assertIn("No such file", self.quipu("check", "missing.toml", expect=program.ERROR).stderr)
        self.assertIn("directory", self.quipu("check", self.folder, expect=program.ERROR).stderr)


if __name__ == "__main__":
    program.main()
