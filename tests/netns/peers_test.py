#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three sites: several peers of one device, peers that come and go while others are in use, and what a bad file does not do."""

import signal
import subprocess
import unittest

import support
from sites import World
from support import PROGRAMS, wait_until


class ThreeSites(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(3)
        cls.addClassCleanup(cls.world.close)
        cls.a, cls.b, cls.c = cls.world.sites
        cls.world.start([(cls.a, cls.b), (cls.a, cls.c)])

    def setUp(self):
        for site in (self.b, self.c):
            wait_until(lambda: self.a.reaches(site), f"site {site.letter} is reached")
            # So many that a tunnel which is made anew counts fewer.
            self.assertEqual(self.a.namespace.pings(site.inner4, 100, 0.002), 100)

    def assert_kept(self, before):
        """A tunnel that carries packets, which is the one that it was: another would count from nothing."""
        peer = next(site for site in (self.b, self.c) if before["peer"] == f"site-{site.letter}")
        wait_until(lambda: self.a.reaches(peer), f"site {peer.letter} is still reached")
        after = self.a.tunnel(peer)
        self.assertGreaterEqual(after["epoch"], before["epoch"])
        self.assertGreater(after["traffic"]["tx_packets"], before["traffic"]["tx_packets"])

    def blackholes(self, site):
        return [line.split()[1] for line in site.namespace.ip("route", "show", "type", "blackhole").splitlines()]

    def test_each_peer_has_its_own_tunnel(self):
        self.assertEqual({tunnel["peer"] for tunnel in self.a.status()["tunnels"]}, {"site-b", "site-c"})
        for peer in (self.b, self.c):
            self.assertEqual(self.a.namespace.pings(peer.inner6, 5), 5)
            self.assertEqual(self.a.tunnel(peer)["state"], "up")

    def test_a_peer_without_an_endpoint_is_found_when_it_calls(self):
        self.a.write_daemon_config([self.b, self.c], without_endpoint=True)
        self.a.stop_daemon()
        self.a.start_daemon()
        self.a.wait_ready()
        for site in (self.b, self.c):
            wait_until(lambda: site.reaches(self.a), f"site {site.letter} calls")
            wait_until(lambda: self.a.reaches(site), f"site {site.letter} is reached where it called from")
        self.a.write_daemon_config([self.b, self.c])
        self.a.control.result("reload")

    def test_a_reload_touches_only_what_changed(self):
        before = self.a.tunnel(self.b)
        self.a.write_daemon_config([self.b])
        result = self.a.control.result("reload")
        self.assertEqual((result["added"], result["removed"], result["changed"]), ([], ["site-c"], []))
        self.assertNotIn(f"{self.c.inner4}", self.blackholes(self.a))
        self.assertEqual(set(result["unprotected"]), {f"{self.c.inner4}/32", f"{self.c.inner6}/128"})
        self.assertIn("event=unprotected", self.a.whole_log())
        self.assertIn(f"{self.b.inner4}", self.blackholes(self.a))
        self.assert_kept(before)
        self.a.write_daemon_config([self.b, self.c])
        self.a.daemon.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.a.status()["tunnels"]) == 2, "SIGHUP adds the peer again")
        self.assertIn(f"{self.c.inner4}", self.blackholes(self.a))
        self.assert_kept(before)
        wait_until(lambda: self.a.reaches(self.c), "the peer that came back is reached")

    def test_a_bad_file_changes_nothing(self):
        before = self.a.status()["tunnels"]
        path = self.a.write_daemon_config([self.b, self.c])
        good = path.read_text()
        path.write_text(good.replace("rekey_interval_s", "rekey_interval", 1))
        check = subprocess.run([PROGRAMS / "quipud", "--config", path, "--check"], capture_output=True, text=True)
        self.assertEqual(check.returncode, 5, check.stderr)
        self.assertIn("quipu.toml:", check.stderr)
        self.assertIn("rekey_interval_s", check.stderr)
        reply = self.a.control.ask("reload")
        self.assertFalse(reply["ok"])
        self.assertIn("rekey_interval_s", reply["error"]["message"])
        for tunnel in before:
            self.assert_kept(tunnel)
        path.write_text(good)
        self.assertEqual(subprocess.run([PROGRAMS / "quipud", "--config", path, "--check"], capture_output=True).returncode, 0)

    def test_the_steady_log_is_short(self):
        """Nothing is written, however often keys change. What happens besides, such as a KMS that is late, is told: then another six
        rekeys are looked at."""
        rekeys = lambda: sum(tunnel["rekeys"] for tunnel in self.a.status()["tunnels"])
        for _ in range(5):
            before, enough = self.a.whole_log(), rekeys() + 6
            wait_until(lambda: self.a.reaches(self.b) and self.a.reaches(self.c) and rekeys() >= enough, "six more rekeys")
            told = self.a.whole_log().removeprefix(before)
            if not told:
                return
        self.fail(f"something is written in each six rekeys: {told}")


if __name__ == "__main__":
    support.main()
