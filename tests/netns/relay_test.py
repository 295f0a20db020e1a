#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys that come over trusted nodes: a tunnel between two sites that share no QKD link, and another way around a node that has died."""

import json
import signal
import subprocess
import unittest

import support
from sites import World
from support import PROGRAMS, run, wait_until


def routes(site):
    """The one relayed pool of a site, as `quipu relay routes` tells it."""
    done = subprocess.run([PROGRAMS / "quipu", "--kms-socket", site.kms_control.path, "relay", "routes", "--json"],
                          capture_output=True, text=True)
    return json.loads(done.stdout)["routes"][0] if done.stdout else None


def nodes_of(route):
    return [link["to"] for link in route["links"]]


class Line(unittest.TestCase):
    """a - b - c - d, with a tunnel between a and d."""

    @classmethod
    def setUpClass(cls):
        cls.world = World(4)
        cls.addClassCleanup(cls.world.close)
        a, b, c, d = cls.world.sites
        cls.a, cls.b, cls.d = a, b, d
        cls.world.start_kmss([(a, b), (b, c), (c, d)], relayed=[(a, d)], trusted_nodes=(b, c))
        for site, other in ((a, d), (d, a)):
            site.write_daemon_config([other], rekey_interval_s=1)
            site.start_daemon()
            site.wait_ready()

    def test_a_tunnel_with_keys_that_came_over_two_trusted_nodes(self):
        wait_until(lambda: self.a.reaches(self.d), "the tunnel carries pings")
        first = self.a.tunnel(self.d)["qkd_keys_used"]
        wait_until(lambda: self.a.reaches(self.d) and self.a.tunnel(self.d)["qkd_keys_used"] >= first + 3,
                   "the tunnel is rekeyed with relayed keys")
        tunnel = self.a.tunnel(self.d)
        self.assertEqual((tunnel["state"], tunnel["qkd"], tunnel["simulated"]), ("up", "ok", True))
        route = routes(self.a)
        self.assertEqual(nodes_of(route), ["kme-b", "kme-c", "kme-d"])
        self.assertTrue(route["source"])
        self.assertGreater(route["relayed"], 0)
        self.assertEqual(route["voided"], 0)

    def test_it_is_told(self):
        text = run(PROGRAMS / "quipu", "--kms-socket", self.a.kms_control.path, "relay", "routes")
        self.assertIn("relay of kme-a  relays for nobody\n", text)
        self.assertRegex(text, r"pool with kme-d  source here  stock [\d.]+ .?bit of 1048\.6 kbit\n")
        self.assertRegex(text, r"  link kme-b to kme-c  stock .*  SIMULATED\n")
        node = self.b.kms_control.result("relay_routes")
        self.assertTrue(node["trusted_node"])
        self.assertGreater(node["forwarded"], 0)
        self.assertEqual((node["refused"], node["forged"], node["routes"]), (0, 0, []))
        pools = {pool["peer_kme"]: pool for pool in self.a.kms_control.result("status")["pools"]}
        self.assertTrue(pools["kme-d"]["relayed"] and pools["kme-d"]["simulated"])
        self.assertFalse(pools["kme-b"]["relayed"])


class Ring(unittest.TestCase):
    """a - b - c - d - e - a: from a to c over b, or over e and d."""

    @classmethod
    def setUpClass(cls):
        cls.world = World(5)
        cls.addClassCleanup(cls.world.close)
        a, b, c, d, e = cls.world.sites
        cls.a, cls.b = a, b
        # More than the links' first key, so that blocks are on their way all the time.
        cls.world.start_kmss([(a, b), (b, c), (c, d), (d, e), (a, e)], relayed=[(a, c)], trusted_nodes=(b, c, d, e),
                             relay_stock_bit=64 << 20)

    def test_key_goes_another_way_when_a_node_has_died(self):
        self.b.stop_kms(signal.SIGKILL)
        before = routes(self.a)["relayed"]

        def goes_on():
            route = routes(self.a)
            return route["relayed"] > before and nodes_of(route) == ["kme-e", "kme-d", "kme-c"]

        wait_until(goes_on, "blocks are relayed over the other side of the ring")


if __name__ == "__main__":
    support.main()
