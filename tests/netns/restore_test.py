#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What others take away from a running tunnel is put back: interface set down and up, routes and rules flushed or deleted one by one."""

import subprocess
import time
import unittest

import support
from leak_test import Canary, Capture
from sites import set_up_pair
from support import wait_until

CANARY = b"canary-after-the-routes-were-put-back"


class Restore(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        set_up_pair(cls)

    def setUp(self):
        self.wait_for_both_families("the tunnel carries both families")
        self.whole = self.ours()

    def wait_for_both_families(self, what):
        wait_until(lambda: self.a.namespace.pings(self.b.inner4) and self.a.namespace.pings(self.b.inner6), what)

    def ours(self):
        """Our rules and routes, and the interface's addresses."""
        routes = self.a.own_routes()
        addresses = self.a.namespace.ip("-o", "address", "show", "dev", "quipu0", "scope", "global").splitlines()
        self.assertNotIn("", routes)
        return routes, sorted(line.split()[3] for line in addresses)

    def wait_for_whole(self, what):
        wait_until(lambda: self.ours() == self.whole, what)
        self.wait_for_both_families(what)

    def logged(self, event):
        return [line for line in self.a.whole_log().splitlines() if f"event={event} " in line]

    def leaks(self):
        """How many canaries for the peer's inside leave the gateway in clear."""
        capture = Capture(self.a.namespace, "outer0", CANARY)
        source = Canary(self.a.namespace, [self.b.inner4, self.b.inner6], CANARY)
        try:
            wait_until(lambda: source.sent >= 400, "the canary sings")
        finally:
            source.close()
            capture.close()
        return len(capture.seen)

    def test_an_interface_that_was_set_down_and_up(self):
        before = len(self.logged("routes_restored"))
        self.a.namespace.ip("link", "set", "quipu0", "down")
        self.a.namespace.ip("link", "set", "quipu0", "up")
        self.wait_for_whole("routes and addresses are back")
        wait_until(lambda: any(f"address {self.a.inner6}" in line for line in self.logged("routes_restored")[before:]), "it is told")

    def test_an_interface_that_an_operator_sets_down_stays_down_without_a_leak(self):
        before = len(self.logged("link_down"))
        self.a.namespace.ip("link", "set", "quipu0", "down")
        wait_until(lambda: len(self.logged("link_down")) > before, "it is told")
        guards = [line for line in self.ours()[0] if "quipu0" not in line]
        for table in ("main", "81"):
            self.a.namespace.ip("route", "flush", "table", table, "type", "blackhole", "proto", "81")
        self.a.namespace.ip("rule", "del", "pref", "81")
        wait_until(lambda: self.ours()[0] == guards, "the guards are back")
        self.assertEqual(self.leaks(), 0)
        self.assertIn("DOWN", self.a.namespace.ip("link", "show", "quipu0"))
        self.a.namespace.ip("link", "set", "quipu0", "up")
        self.wait_for_whole("the tunnel is whole again")

    def test_flushed_tables_and_rules(self):
        for what in ("main table", "our table", "rules", "all of them"):
            with self.subTest(what=what):
                before = len(self.logged("routes_restored"))
                if what in ("main table", "all of them"):
                    self.flush_main()
                for family in ("-4", "-6"):
                    if what in ("our table", "all of them"):
                        self.a.namespace.ip(family, "route", "flush", "table", "81")
                    if what in ("rules", "all of them"):
                        self.a.namespace.ip(family, "rule", "flush")
                        self.a.namespace.ip(family, "rule", "add", "pref", "32766", "lookup", "main")
                self.wait_for_whole("what was flushed is back")
                self.assertEqual(self.leaks(), 0)
                wait_until(lambda: any("alarm=yes" in line for line in self.logged("routes_restored")[before:]), "the alarm is raised")

    def flush_main(self):
        """And what others had there is put back by them."""
        for family, gateway in (("-4", "198.18.1.1"), ("-6", "2001:db8:1::1")):
            self.a.namespace.ip(family, "route", "flush", "table", "main")
            net = gateway.rpartition("1")[0] + ("0/24" if family == "-4" else "/64")
            self.a.namespace.ip(family, "route", "replace", net, "dev", "outer0")
            self.a.namespace.ip(family, "route", "replace", "10.255.0.0/24" if family == "-4" else "fd70::/64", "dev",
                                "km0" if family == "-4" else "quipu0")
            self.a.namespace.ip(family, "route", "replace", "default", "via", gateway)

    def test_rules_and_routes_that_were_deleted_one_by_one(self):
        for words in (("-4", "rule", "del", "pref", "81"),
                      ("-6", "rule", "del", "pref", "81"),
                      ("-4", "route", "del", self.b.inner4, "dev", "quipu0", "table", "81"),
                      ("-6", "route", "del", self.b.inner6, "dev", "quipu0", "table", "81"),
                      ("-4", "route", "del", "blackhole", self.b.inner4, "table", "81"),
                      ("-4", "route", "del", "blackhole", self.b.inner4),
                      ("-6", "route", "del", "blackhole", self.b.inner6, "metric", str(2**32 - 1))):
            with self.subTest(words=words):
                before = len(self.logged("routes_restored"))
                self.a.namespace.ip(*words)
                wait_until(lambda: len(self.logged("routes_restored")) > before, "it is told")
                self.wait_for_whole("it is back")
        self.assertEqual(self.leaks(), 0)

    def test_a_blackhole_of_somebody_else_that_did_for_ours_is_missed(self):
        before = len(self.logged("routes_restored"))
        route = ("blackhole", self.b.inner4, "metric", str(2**32 - 1), "proto", "static")
        self.a.namespace.ip("-4", "route", "replace", *route)
        self.a.namespace.ip("-4", "route", "del", *route)
        wait_until(lambda: len(self.logged("routes_restored")) > before, "it is told")
        self.wait_for_whole("ours is there again")

    def test_against_a_program_that_deletes_it_again_and_again_it_comes_once_a_second(self):
        rule = ("-4", "rule", "del", "pref", "81")
        before = len(self.logged("routes_restored"))

        def restored_often():
            self.a.namespace.ip(*rule, check=False)
            return len(self.logged("routes_restored")) >= before + 8

        began = time.monotonic()
        wait_until(restored_often, "it is put back each time")
        restored = len(self.logged("routes_restored")) - before
        # The first comes at once; then there are pauses, of which the first four are shorter than a second. A slow machine has more time.
        self.assertLessEqual(restored, 4 + time.monotonic() - began)
        self.wait_for_whole("it is back")
        self.assertEqual(self.leaks(), 0)

    def test_a_rule_of_somebody_else_raises_an_alarm_and_is_left_alone(self):
        foreign = ("to", self.b.inner6, "lookup", "100", "pref", "50")
        before = len(self.logged("bypassed"))
        self.a.namespace.ip("-6", "rule", "add", *foreign)
        try:
            wait_until(lambda: len(self.logged("bypassed")) > before, "the alarm is raised")
            self.assertIn('text="IPv6 rule of priority 50 (table 100)" alarm=yes', self.logged("bypassed")[-1])
            self.assertIn("lookup 100", self.a.namespace.ip("-6", "rule", "show", "pref", "50"))
            wait_until(lambda: "rule of priority 50" in self.a.tunnel(self.b)["reason"], "the status says so")
            wait_until(lambda: self.a.reaches(self.b), "IPv4 goes on")
            status = subprocess.run([support.PROGRAMS / "quipu", "--socket", self.a.control.path, "status"], capture_output=True, text=True)
            self.assertEqual(status.returncode, 3, status.stdout)
            self.assertRegex(status.stdout, r"  UP  DEGRADED.*\n  reason .*rule of priority 50")
        finally:
            self.a.namespace.ip("-6", "rule", "del", *foreign)
        # That nobody sends would be a reason, too.
        wait_until(lambda: self.a.reaches(self.b) and not self.a.tunnel(self.b)["reason"], "the status is clear again")

    def test_a_reload_is_refused_as_a_whole_while_something_too_much_like_ours_leads_away(self):
        route = (self.b.inner4, "table", "81", "proto", "81", "scope", "link", "nexthop", "dev", "outer0", "nexthop", "dev", "km0")
        self.a.namespace.ip("route", "append", *route)
        before = self.a.own_routes()
        self.a.write_daemon_config([self.b], allowed=["172.20.0.0/16"])
        reply = self.a.control.ask("reload")
        self.assertFalse(reply["ok"])
        self.assertIn("remove it by hand", str(reply))
        self.assertNotIn("restart", str(reply))
        self.assertEqual(self.a.own_routes(), before, "nothing of the refused configuration")
        self.a.namespace.ip("route", "del", *route)
        self.assertEqual(self.a.control.result("reload")["changed"], ["site-b"])
        self.a.write_daemon_config([self.b])
        self.a.control.result("reload")
        self.wait_for_whole("all is as it was")


if __name__ == "__main__":
    support.main()
