#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the package quipu leaves to a machine: when its guard runs at a boot, and what a purge takes out of the kernel. In private folders
and a private network, so that this machine's own stay as they are."""

import pathlib
import shutil
import subprocess
import unittest

import support

TOP = pathlib.Path(__file__).resolve().parents[2]


def run_alone(script, *arguments):
    """The output of a shell script that has /etc, /var/lib, /run and the network for itself."""
    private = "ip link set lo up\n" + "".join(f"mount -t tmpfs none {folder}\n" for folder in ("/etc", "/var/lib", "/run"))
    done = subprocess.run(["unshare", "--mount", "--net", "sh", "-ec", private + script, "sh", *map(str, arguments)],
                          capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class GuardAtBoot(unittest.TestCase):
    def would_run(self, *files):
        unit = (TOP / "systemd" / "quipu-guard.service").read_text()
        conditions = [line for line in unit.splitlines() if line.startswith("Condition")]
        self.assertTrue(conditions)
        make = "".join(f"mkdir -p {pathlib.Path(file).parent}\ntouch {file}\n" for file in files)
        code, told = run_alone(make + 'systemd-analyze condition "$@"', *conditions)
        self.assertIn("Conditions", told)
        return code == 0

    def test_runs_for_a_configuration_or_for_what_was_last_in_effect(self):
        self.assertFalse(self.would_run())
        self.assertTrue(self.would_run("/etc/quipu/quipu.toml"))
        self.assertTrue(self.would_run("/var/lib/quipu/guards"))


class Purge(unittest.TestCase):
    LISTING = "; ".join(f"ip {family} {what}" for family in ("-4", "-6")
                        for what in ("rule show pref 81", "route show table all type blackhole", "route show table all type throw"))

    def listed(self, *steps):
        """The lines of rules and routes after these commands, of which a purge is one."""
        code, told = run_alone("mkdir -p /run/systemd/system\n" + "\n".join((*steps, self.LISTING)))
        self.assertEqual(code, 0, told)
        return [line.strip() for line in told.splitlines()]

    def test_takes_ours_out_of_the_kernel_and_nothing_of_others(self):
        others, ours = [], []
        for family, own, foreign in (("-4", "10.2.0.0/16", "10.9.0.0/16"), ("-6", "fd02::/32", "fd09::/32")):
            others += [f"ip {family} rule add pref 81 from {foreign} table 81 protocol static",
                       f"ip {family} route add blackhole {foreign} table 81 proto static metric 9",
                       f"ip {family} route add blackhole {foreign} proto static metric 8"]
            ours += [f"ip {family} rule add pref 81 table 81 protocol 81",
                     f"ip {family} route add throw {foreign} table 81 proto 81 metric 2",
                     f"ip {family} route add blackhole {own} table 81 proto 81 metric {2**32 - 1}",
                     f"ip {family} route add blackhole {own} proto 81 metric {2**32 - 1}"]
        left = self.listed(*others)
        self.assertEqual(len(left), len(others))
        self.assertEqual(len(self.listed(*others, *ours)), len(others) + len(ours))
        purge = f"sh {TOP}/packaging/debian/quipu.postrm purge"
        self.assertEqual(self.listed(*others, *ours, purge), left)
        self.assertEqual(self.listed(*others, purge), left)


if __name__ == "__main__":
    support.main()
