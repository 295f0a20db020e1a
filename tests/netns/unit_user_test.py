#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`--check` of the units' own configurations, as root runs it where the packages are installed: what the units' users could not read is
told. In a mount namespace of its own, whose /etc holds those users and nothing else."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import support
from support import PROGRAMS, run

GOOD, CONFIG_INVALID = 0, 5
USERS = {"quipud": ("_quipu", 12345), "quipu-kmsd": ("_quipu-kms", 12346)}

QUIPUD = """[device]
name = "quipu0"
private_key_file = "/etc/quipu/own/key"
addresses = ["10.70.0.1/24"]
[[peer]]
name = "dc-b"
public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
psk_file = "/etc/quipu/own/psk"
endpoint = "192.0.2.2:51900"
allowed_ips = ["10.70.0.2/32"]
qkd = "off"
"""

KMSD = """[kme]
id = "kme-a"
store = "/etc/quipu/own/kms.db"
store_key_file = "/etc/quipu/own/key"
[etsi014]
listen = "127.0.0.1:8014"
ca = "/etc/quipu/own/ca.pem"
cert = "/etc/quipu/own/kme-a.pem"
key = "/etc/quipu/own/kme-a.key"
[km_link]
listen = "127.0.0.1:8020"
ca = "/etc/quipu/own/ca.pem"
cert = "/etc/quipu/own/kme-a.pem"
key = "/etc/quipu/own/kme-a.key"
[[sae]]
id = "sae-a"
"""

CONFIGURATIONS = {"quipud": ("quipu.toml", QUIPUD, ("key", "psk")),
                  "quipu-kmsd": ("kms.toml", KMSD, ("key", "ca.pem", "kme-a.pem", "kme-a.key", "kms.db"))}


class CheckAsRoot(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.etc = pathlib.Path(folder.name)
        self.etc.chmod(0o755)
        users = "".join(f"{name}:x:{number}:{number}::/:/bin/sh\n" for name, number in USERS.values())
        (self.etc / "passwd").write_text("root:x:0:0::/:/bin/sh\n" + users)
        (self.etc / "group").write_text("root:x:0:\nquipu:x:12350:\n")
        self.own = self.etc / "quipu" / "own"
        self.own.mkdir(parents=True)
        for key in ("key", "psk"):
            run(PROGRAMS / "quipu", "genpsk", "--out", self.own / key)
        run(PROGRAMS / "quipu", "pki", "ca", self.etc / "pki")
        run(PROGRAMS / "quipu", "pki", "issue", self.etc / "pki", "kme-a", "--san", "IP:127.0.0.1")
        for file in ("ca.pem", "kme-a.pem", "kme-a.key"):
            (self.etc / "pki" / file).rename(self.own / file)
        (self.own / "kms.db").touch()  # a new one

    def check(self, daemon, *options):
        """By somebody who ignores how children end, which a daemon inherits. For that it takes bash: dash leaves the signal as it is."""
        return subprocess.run(["unshare", "--mount", "bash", "-c", 'mount --bind "$0" /etc && trap "" CHLD && exec "$@"', self.etc,
                               PROGRAMS / daemon, "--check", *options], capture_output=True, text=True)

    def test_what_the_units_cannot_read(self):
        for daemon, (name, text, files) in CONFIGURATIONS.items():
            user, number = USERS[daemon]
            told = f"{user}, as whom the unit runs, may not read it"
            configuration = self.etc / "quipu" / name
            configuration.write_text(text)
            self.own.chmod(0o755)
            for file in files:
                os.chown(self.own / file, number, 0)
                (self.own / file).chmod(0o400)
            done = self.check(daemon)
            self.assertEqual(done.returncode, GOOD, done.stderr)
            for file in files:
                os.chown(self.own / file, 0, 0)
                done = self.check(daemon)
                self.assertEqual(done.returncode, CONFIG_INVALID, done.stdout + done.stderr)
                self.assertIn(f"/etc/quipu/own/{file}: {told}", done.stderr)
                draft = self.etc / "quipu" / "draft"
                draft.write_text(text)
                self.assertEqual(self.check(daemon, "--config", "/etc/quipu/draft").returncode, GOOD)
                os.chown(self.own / file, number, 0)
            configuration.chmod(0o600)
            self.assertIn(f"/etc/quipu/{name}: {told}", self.check(daemon).stderr)


if __name__ == "__main__":
    support.main()
