#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""genkey, pubkey, genpsk, version, help and usage errors."""

import base64
import os
import pathlib
import resource
import shutil
import socket
import subprocess

import program

# RFC 7748 section 6.1
ALICE_PRIVATE = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
ALICE_PUBLIC = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"


def base64_of(hexadecimal):
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


class Keys(program.ProgramTest):
    def test_new_keys_are_32_octets_and_all_different(self):
        lines = [self.quipu(verb).stdout for verb in ("genkey", "genkey", "genpsk", "genpsk")]
        self.assertEqual(len(set(lines)), 4)
        for line in lines:
            self.assertTrue(line.endswith("\n"))
            self.assertEqual(len(base64.b64decode(line[:-1], validate=True)), 32)

    def test_memory_with_keys_is_shown_to_nobody(self):
        """Neither by a core dump nor to other processes of the user, who is not root here: of root's everything belongs to root."""
        other_user = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
        allow = lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        program_of_theirs = shutil.copy(self.program, self.folder)
        self.folder.chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.settimeout(30)
            listener.bind(str(self.folder / "control.sock"))
            listener.listen()
            (self.folder / "control.sock").chmod(0o666)
            with subprocess.Popen([program_of_theirs, "--socket", self.folder / "control.sock", "rekey"], preexec_fn=allow,
                                  stderr=subprocess.DEVNULL, **other_user) as process:
                # It waits for an answer meanwhile.
                with listener.accept()[0]:
                    limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
                    owner = os.stat(f"/proc/{process.pid}/mem").st_uid
        self.assertRegex(limits, r"Max core file size +0 +0 ")
        self.assertEqual(owner, 0)

    def test_public_key_of_a_known_key(self):
        for end in ("\n", "\r\n", ""):
            out = self.quipu("pubkey", stdin=base64_of(ALICE_PRIVATE) + end).stdout
            self.assertEqual(out, base64_of(ALICE_PUBLIC) + "\n")

    def test_public_key_refuses_what_is_no_key(self):
        too_long = base64_of("00" * 33)
        for text in ("", "nonsense", ALICE_PRIVATE, too_long, base64_of(ALICE_PRIVATE) + "\nx", "A" * 5000):
            done = self.quipu("pubkey", stdin=text, expect=program.ERROR)
            self.assertEqual(done.stdout, "")
            self.assertIn("standard input", done.stderr)
            self.assertNotIn(ALICE_PRIVATE, done.stderr)

    def test_key_file_is_private_and_never_replaced(self):
        for verb in ("genkey", "genpsk"):
            self.quipu(verb, "--out", verb)
            self.assertEqual(self.mode(verb), 0o600)
            before = (self.folder / verb).read_bytes()
            self.assertEqual(len(base64.b64decode(before)), 32)
            refused = self.quipu(verb, "--out", verb, expect=program.ERROR)
            self.assertIn("exists already", refused.stderr)
            self.assertEqual((self.folder / verb).read_bytes(), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["genkey", "genpsk"])

    def test_a_file_that_is_made_is_told_and_one_that_cannot_be_is_named(self):
        for verb in ("genkey", "genpsk"):
            self.assertEqual(self.quipu(verb, "--out", verb).stderr, f"quipu: wrote {verb}, readable by its owner only\n")
            refused = self.quipu(verb, "--out", "no/key", expect=program.ERROR)
            self.assertEqual(refused.stderr, "quipu: no/key: its folder does not exist: make it first\n")
        self.assertEqual(sorted(os.listdir(self.folder)), ["genkey", "genpsk"])

    def test_public_key_of_a_file(self):
        (self.folder / "key").write_text(base64_of(ALICE_PRIVATE) + "\n")
        self.assertEqual(self.quipu("pubkey", "key").stdout, base64_of(ALICE_PUBLIC) + "\n")
        self.assertIn("nothing: No such file", self.quipu("pubkey", "nothing", expect=program.ERROR).stderr)
        (self.folder / "key").write_text("nonsense")
        self.assertIn("key is not a private key", self.quipu("pubkey", "key", expect=program.ERROR).stderr)

    def test_a_mistyped_verb_is_told_the_nearest(self):
        for arguments, told in (
            (["statsu"], "there is no verb 'statsu'; did you mean 'status'? 'quipu --help' lists all"),
            (["--socket", "x", "rekye", "--json"], "there is no verb 'rekye'; did you mean 'rekey'?"),
            (["lab", "dwon"], "there is no verb 'dwon'; did you mean 'down'? 'quipu lab --help' lists all"),
            (["incomprehensible"], "there is no verb 'incomprehensible'; 'quipu --help' lists all"),
        ):
            self.assertIn(told, self.quipu(*arguments, expect=program.USAGE).stderr)
        self.assertIn("required", self.quipu(expect=program.USAGE).stderr)

    def test_a_mistyped_option_is_told_the_nearest(self):
        for arguments, told in (
            (["status", "--jsn"], "quipu: there is no option '--jsn'; did you mean '--json'? 'quipu status --help' lists all\n"),
            (["genkey", "--otu=x"], "there is no option '--otu'; did you mean '--out'? 'quipu genkey --help' lists all"),
            (["rekey", "--sockt", "x"], "did you mean '--socket'? 'quipu rekey --help' lists all"),
            (["kms", "test", "--jsn"], "did you mean '--json'? 'quipu kms test --help' lists all"),
            (["pki", "--nonsense"], "there is no option '--nonsense'; 'quipu pki --help' lists all"),
        ):
            self.assertIn(told, self.quipu(*arguments, expect=program.USAGE).stderr)
        self.assertIn("not expected", self.quipu("version", "nonsense", expect=program.USAGE).stderr)

    def test_an_empty_file_name_shows_no_key(self):
        for verb in ("genkey", "genpsk"):
            for arguments in (["--out", ""], ["--out="], ["-o", ""]):
                done = self.quipu(verb, *arguments, expect=program.USAGE)
                self.assertEqual(done.stdout, "")
                self.assertIn("--out", done.stderr)

    def test_warns_when_others_may_read_the_file_behind_standard_output(self):
        for mode, warned in ((0o644, True), (0o600, False)):
            path = self.folder / f"out{mode}"
            path.touch(mode)
            path.chmod(mode)
            with path.open("wb") as out:
                done = subprocess.run([self.program, "genkey"], stdout=out, stderr=subprocess.PIPE, check=True)
            self.assertEqual(b"warning" in done.stderr, warned)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            for arguments in (["genkey"], ["version"], ["pubkey"], ["--version"], ["--help"], ["pki", "--help"]):
                done = subprocess.run(
                    [self.program, *arguments], input=base64_of(ALICE_PRIVATE).encode(), stdout=full, stderr=subprocess.PIPE
                )
                self.assertEqual(done.returncode, program.ERROR, arguments)
                self.assertIn(b"No space left", done.stderr)

    def test_complaints_that_nobody_can_read_change_nothing(self):
        reading, writing = os.pipe()
        os.close(reading)
        with open("/dev/full", "wb") as full, os.fdopen(writing, "wb") as gone:
            for unread in (full, gone):
                self.assertEqual(subprocess.run([self.program, "pubkey"], stdin=subprocess.DEVNULL, stderr=unread).returncode, program.ERROR)

    def test_version_and_help(self):
        self.assertRegex(self.quipu("version").stdout, r"^quipu \d+\.\d+\.\d+\n$")
        self.assertEqual(self.quipu("--version").stdout, self.quipu("version").stdout)
        text = self.quipu("--help").stdout
        for verb in ("status", "rekey", "reload", "permit-stamp-jump", "check", "genkey", "pubkey", "genpsk", "pki", "lab", "version"):
            self.assertIn(f"\n  {verb} ", text)
            self.assertIn("Usage", self.quipu(verb, "--help").stdout)
        self.assertIn("Exit codes:", text)

    def test_usage_errors(self):
        for arguments in ([], ["nonsense"], ["genkey", "--nonsense"], ["pki"], ["lab", "up", "--rekey-interval", "0"],
                          ["lab", "up", "--skr", "0"], ["lab", "down", "No!"], ["lab", "stop"], ["lab", "start", "a", "toolongid"]):
            self.assertNotEqual(self.quipu(*arguments, expect=program.USAGE).stderr, "")


if __name__ == "__main__":
    program.main()
