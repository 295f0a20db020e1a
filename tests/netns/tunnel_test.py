#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two sites and what happens to them: rekeys under traffic, roaming, reload, crashes and a KMS that goes away. The picture is in
sites.py."""

import pathlib
import re
import signal
import subprocess
import unittest

import support
from sites import regular_initiator, set_up_pair
from support import PROGRAMS, wait_until


class TwoSites(unittest.TestCase):
    """One pair for all cases; each leaves it working."""

    outer = 4

    @classmethod
    def setUpClass(cls):
        set_up_pair(cls, outer=cls.outer)

    def setUp(self):
        self.wait_for_ping("the tunnel carries pings")

    def wait_for_ping(self, what):
        wait_until(lambda: self.a.reaches(self.b), what)

    def epochs(self):
        return self.a.tunnel(self.b)["epoch"]

    def test_both_families_inside_under_a_qkd_key(self):
        for source, target in ((self.a, self.b), (self.b, self.a)):
            self.assertEqual(source.namespace.pings(target.inner4, 20), 20)
            self.assertEqual(source.namespace.pings(target.inner6, 20), 20)
            self.assertEqual(source.tunnel(target)["protection_achieved"], "x25519+mlkem768+psk+qkd(1)-simulated")
            # Not while a KMS is late.
            wait_until(lambda: source.reaches(target) and source.tunnel(target)["qkd"] == "ok", "there are keys")

    def test_both_ends_give_the_same_account(self):
        def same_account():
            """Of one moment: no rekey came between the two, and neither end waits for a KMS."""
            self.wait_for_ping("the tunnel carries pings")
            statuses = [self.a.tunnel(self.b), self.b.tunnel(self.a)]
            well = all((status["state"], status["reason"], status["sources"][0]["reachable"]) == ("up", "", True) for status in statuses)
            return statuses if well and {status["initiator"] for status in statuses} == {True, False} else None

        for status in wait_until(same_account, "both ends are up without a reason, and one is the initiator"):
            self.assertEqual(status["endpoint"], f"{'[' if self.outer == 6 else ''}"
                             f"{status_peer_address(self, status)}{']' if self.outer == 6 else ''}:51900")

    def test_rekeys_under_traffic_lose_nothing(self):
        initiator, _ = regular_initiator(self.a, self.b)
        lost_before = [site.lost() for site in (self.a, self.b)]
        epochs = self.epochs()
        log = self.a.folder / "ping.log"
        answered = lambda: [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", log.read_text())]
        ping = self.a.namespace.start("ping", "-n", "-i", "0.005", self.b.inner4, log=log)
        try:
            wait_until(answered, "pings flow")
            for _ in range(15):
                for rekey in initiator.control.result("rekey")["rekeys"]:
                    self.assertGreater(rekey["latency_ms"], 0)
            enough = len(answered()) + 15
            wait_until(lambda: len(answered()) > enough, "pings go on under the last key")
        finally:
            ping.kill()
            ping.wait()
        self.assertGreaterEqual(self.epochs() - epochs, 15)
        # What was sent after the last that was answered may still have been under way, however many that is.
        sequence = sorted(answered())
        self.assertEqual(sequence, list(range(1, len(sequence) + 1)))
        self.assertEqual([site.lost() for site in (self.a, self.b)], lost_before)

    def test_a_rekey_by_name_and_of_nobody(self):
        initiator, other = regular_initiator(self.a, self.b)
        result = initiator.control.result("rekey", peer=f"site-{other.letter}")
        self.assertEqual([rekey["peer"] for rekey in result["rekeys"]], [f"site-{other.letter}"])
        reply = initiator.control.ask("rekey", peer="nobody")
        self.assertEqual((reply["ok"], reply["error"]["code"]), (False, "not_found"))

    def test_a_reload_that_is_refused_changes_nothing(self):
        config = self.a.folder / "quipu.toml"
        good = config.read_text()
        own = f'"{self.a.inner4}/24"'
        # The address is in use on another interface: the kernel's part fails behind routes that were changed already.
        taken = good.replace(own, f'{own}, "{self.a.km}/32"').replace('allowed_ips = [', 'allowed_ips = ["10.99.0.0/16", ')
        too_short = good.replace("rekey_interval_s = 2\n", "rekey_interval_s = 2\nmax_key_age_s = 2\n")
        too_long = good.replace("rekey_interval_s = 2\n", "rekey_interval_s = 2\nmax_key_age_s = 86400\n")
        before, key = self.a.own_routes(), self.a.tunnel(self.b)["handshakes"]["completed"]
        for text, code, place in ((taken, "conflict", self.a.km), (too_short, "malformed", "max_key_age_s"),
                                  (too_long, "malformed", "max_key_age_s")):
            self.assertNotEqual(text, good)
            config.write_text(text)
            try:
                reply = self.a.control.ask("reload")
            finally:
                config.write_text(good)
            self.assertFalse(reply["ok"])
            self.assertEqual(reply["error"]["code"], code)
            self.assertIn(place, reply["error"]["message"])
            self.assertEqual(self.a.own_routes(), before)
            self.assertGreaterEqual(self.a.tunnel(self.b)["handshakes"]["completed"], key, "the peer was made anew")
            self.wait_for_ping("the tunnel carries pings all the same")

    def test_renewed_certificates_take_effect_and_interrupt_nothing(self):
        before = self.a.tunnel(self.b)
        self.world.authority.issue(f"sae-{self.a.letter}", "127.0.0.1")
        self.assertEqual(self.a.control.result("reload")["changed"], ["kms.local (certificates)"])

        def rekeyed():
            self.wait_for_ping("the tunnel carries pings")
            tunnel = self.a.tunnel(self.b)
            return tunnel if tunnel["rekeys"] >= before["rekeys"] + 2 and tunnel["sources"][0]["reachable"] else None

        after = wait_until(rekeyed, "two more rekeys with keys of the KMS")
        self.assertGreaterEqual(after["traffic"]["tx_packets"], before["traffic"]["tx_packets"], "the same session")
        self.assertEqual(self.a.control.result("reload")["changed"], [])

    def test_a_reload_says_that_an_address_changed(self):
        config = self.a.folder / "quipu.toml"
        good = config.read_text()
        own = f'"{self.a.inner4}/24"'
        config.write_text(good.replace(own, f'{own}, "10.71.0.1/32"'))
        try:
            self.assertEqual(self.a.control.result("reload")["changed"], ["device.addresses"])
            self.assertIn("10.71.0.1/32", self.a.namespace.ip("address", "show", "dev", "quipu0"))
        finally:
            config.write_text(good)
        self.assertEqual(self.a.control.result("reload")["changed"], ["device.addresses"])
        self.assertEqual(self.a.control.result("reload")["changed"], [])

    def test_a_jump_of_stamps_takes_an_operators_word(self):
        """The regular initiator comes back with a counter far above any that it used, as after a wrong restore."""
        initiator, other = regular_initiator(self.a, self.b)
        name = f"site-{initiator.letter}"
        refusals = lambda: other.whole_log().count("event=stamp_jump_refused")
        before = refusals()
        # So that the other end knows, by a session that was confirmed, how far the counter has come.
        self.assertTrue(initiator.control.result("rekey")["rekeys"])
        initiator.stop_daemon()
        initiator.move_stamps(1 << 42)
        initiator.start_daemon()
        initiator.wait_ready()
        wait_until(lambda: initiator.reaches(other) or refusals() > before, "the jump is seen")
        self.assertGreater(refusals(), before)
        self.assertEqual(self.quipu(other, "permit-stamp-jump", "nobody").returncode, 1)
        self.assertEqual(self.quipu(other, "permit-stamp-jump", name).returncode, 0)
        self.assertIn("event=stamp_jump_permitted", other.whole_log())
        wait_until(lambda: initiator.reaches(other), "the tunnel heals", patience_s=60)
        # A rekey that this end starts is a message 1 with such a stamp.
        self.assertTrue(initiator.control.result("rekey")["rekeys"])
        refused = refusals()
        self.assertTrue(initiator.control.result("rekey")["rekeys"])
        self.assertEqual(refusals(), refused)

    def quipu(self, site, *words):
        return subprocess.run([PROGRAMS / "quipu", "--socket", site.control.path, *words], capture_output=True, text=True)

    def test_no_writable_memory_of_the_daemon_can_be_swapped_out(self):
        maps = pathlib.Path(f"/proc/{self.a.daemon.pid}/smaps").read_text()
        mappings = re.findall(r"^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+ *(.*)\n(?:[A-Z].*\n)*?VmFlags: (.*)$", maps, re.MULTILINE)
        writable = [(name, flags.split()) for permissions, name, flags in mappings if permissions.startswith("rw")]
        self.assertGreater(len(writable), 10)
        # Not locked: device memory (io), and what the kernel drops rather than swap out (dp), as libc's state of getrandom().
        self.assertEqual([name for name, flags in writable if not {"lo", "io", "dp"} & set(flags)], [])

    def test_keys_are_renewed_by_the_clock(self):
        epochs = self.epochs()
        wait_until(lambda: self.a.reaches(self.b) and self.epochs() >= epochs + 2, "two rekeys by the timer")

    def test_the_peer_is_followed_to_a_new_address(self):
        moved = {4: "198.18.1.7", 6: "2001:db8:1::7"}
        self.a.set_outer_addresses(moved[4], moved[6])
        try:
            wait_until(lambda: self.a.reaches(self.b), "pings flow from the new address")
            self.assertIn(moved[self.outer], self.b.tunnel(self.a)["endpoint"])
            wait_until(lambda: self.b.reaches(self.a), "and to it")
        finally:
            self.a.set_outer_addresses(self.a.outer4, self.a.outer6)
        wait_until(lambda: self.a.reaches(self.b), "and back again")

    def test_a_killed_daemon_heals_either_way(self):
        for killed in regular_initiator(self.a, self.b):
            self.assertEqual(killed.stop_daemon(signal.SIGKILL), -signal.SIGKILL)
            killed.start_daemon()
            killed.wait_ready()
            self.wait_for_ping(f"the tunnel heals after kill -9 of site {killed.letter}")

    def test_an_orderly_stop_and_start(self):
        self.assertEqual(self.b.stop_daemon(), 0, self.b.log())
        self.assertFalse(self.b.folder.joinpath("control.sock").exists())
        self.b.start_daemon()
        self.b.wait_ready()
        self.wait_for_ping("the tunnel is back after a restart")

    def test_without_a_kms_the_epoch_lives_to_its_age_and_then_data_stops(self):
        initiator, other = regular_initiator(self.a, self.b)
        for site in (self.a, self.b):
            site.stop_kms()
        before = initiator.whole_log()

        def blocked():
            initiator.reaches(other)
            return initiator.tunnel(other)["state"] == "blocked"

        wait_until(blocked, "data is blocked without QKD keys")
        told = re.findall(r"event=qkd_state .*\bqkd=(\w+)", initiator.whole_log().removeprefix(before))
        self.assertIn("stretch", told, "the epoch did not live on while it might")
        self.assertFalse(initiator.reaches(other))
        self.assertIn("KMS", initiator.tunnel(other)["reason"])
        for site in (self.a, self.b):
            site.start_kms()
        wait_until(lambda: initiator.tunnel(other)["qkd"] == "ok" == other.tunnel(initiator)["qkd"],
                   "the block ends when the KMSs are back, though nobody sends", patience_s=60)
        wait_until(lambda: initiator.reaches(other), "data flows again")

    def test_a_cable_that_was_pulled(self):
        self.a.namespace.ip("link", "set", "outer0", "down")
        wait_until(lambda: not self.a.reaches(self.b), "nothing gets through")
        self.a.namespace.ip("link", "set", "outer0", "up")
        self.a.set_outer_addresses(self.a.outer4, self.a.outer6)
        self.wait_for_ping("the tunnel heals")


def status_peer_address(case, status):
    peer = next(site for site in (case.a, case.b) if status["peer"] == f"site-{site.letter}")
    return peer.outer6 if case.outer == 6 else peer.outer4


class TwoSitesOverIpv6(TwoSites):
    """The same with IPv6 outside."""

    outer = 6


if __name__ == "__main__":
    support.main()
