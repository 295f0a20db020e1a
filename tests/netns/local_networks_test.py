#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A site's own networks inside the prefix of a peer: in the tunnel until the configuration says that they are local. The network of
the KM links, 10.255.0.0/24, is such a one for site a, whose peer protects 10.0.0.0/8."""

import unittest

import support
from sites import World
from support import wait_until

ALLOWED = ["10.0.0.0/8", "192.168.0.0/16"]


class LocalNetworks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(2)
        cls.addClassCleanup(cls.world.close)
        cls.a, cls.b = cls.world.sites
        cls.world.start_kmss([(cls.a, cls.b)])
        cls.a.write_daemon_config([cls.b], allowed=ALLOWED)
        cls.b.write_daemon_config([cls.a])
        for site in cls.world.sites:
            site.start_daemon()
            site.wait_ready()

    def warned_of(self, prefix, device):
        fields = f"prefix={prefix} via={device} setting=device.local_networks"
        return any("event=connected_protected " in line and fields in line for line in self.a.whole_log().splitlines())

    def way_to_the_other_kms(self):
        return self.a.namespace.ip("route", "get", self.b.km)

    def reload(self, networks, opened):
        self.a.write_daemon_config([self.b], allowed=ALLOWED, device=f"local_networks = {networks}\n".replace("'", '"'))
        result = self.a.control.result("reload")
        self.assertEqual(result["changed"], ["device.local_networks"])
        self.assertEqual(result.get("unprotected", []), opened)

    def test_a_network_that_comes_and_goes_is_told_once(self):
        # Each further network that is told shows that the machine was looked at, with and without the one in question.
        further = 0

        def looked():
            nonlocal further
            further += 1
            self.a.namespace.ip("address", "add", f"10.201.{further}.1/24", "dev", "km0")
            wait_until(lambda: self.warned_of(f"10.201.{further}.0/24", "km0"), "a further network is told")

        for _ in range(3):
            self.a.namespace.ip("address", "add", "10.200.0.1/24", "dev", "km0")
            looked()
            self.a.namespace.ip("address", "del", "10.200.0.1/24", "dev", "km0")
            looked()
        self.assertEqual(self.a.whole_log().count("prefix=10.200.0.0/24 "), 1)

    def test_they_are_local_when_the_configuration_says_so(self):
        wait_until(lambda: self.warned_of("10.255.0.0/24", "km0"), "a warning at the start")
        self.assertIn("dev quipu0", self.way_to_the_other_kms())
        self.reload(["10.255.0.0/24"], opened=["10.255.0.0/24"])
        self.assertIn("dev km0", self.way_to_the_other_kms())
        wait_until(lambda: self.a.reaches(self.b), "the KMSs reach each other, and the tunnel is up")

        lan = self.a.add_lan()
        wait_until(lambda: self.warned_of("192.168.1.0/24", "lan0"), "a warning of a network that came later")
        self.assertFalse(lan.pings("192.168.1.1"), "the answer goes into the tunnel")
        self.reload(["10.255.0.0/24", "192.168.1.0/24"], opened=["192.168.1.0/24"])
        wait_until(lambda: lan.pings("192.168.1.1"), "the answer goes to the LAN")

        self.a.stop_daemon()
        wait_until(lambda: lan.pings("192.168.1.1"), "after a stop, too")
        wait_until(lambda: self.a.namespace.pings(self.b.km), "the network of the KM links as well")
        self.assertIn("blackhole", self.a.namespace.ip("route", "show", "table", "81", "10.0.0.0/8"))
        self.a.start_daemon()
        self.a.wait_ready()
        self.reload(["192.168.1.0/24"], opened=[])
        self.assertIn("dev quipu0", self.way_to_the_other_kms(), "protected again")


if __name__ == "__main__":
    support.main()
