#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A path between two sites that becomes narrower than their interfaces, and wide again. The picture is in sites.py."""

import re
import unittest

import support
from sites import set_up_pair
from support import wait_until

MTU = 1400  # of the interface: the default
WIDTH = 1300  # of the narrow path, in octets of inner packet
OVERHEAD = {4: 62, 6: 82}  # octets of a datagram but for the packet in it
NARROW = 1220  # of one where IPv6 does not fit as it is
IPV6_LEAST_MTU = 1280
STEP = 8  # how exactly the width is found
HEADERS = {4: 28, 6: 48}  # octets of a ping but for its data


class NarrowPath(unittest.TestCase):
    outer = 4

    def setUp(self):
        set_up_pair(type(self), outer=self.outer)
        self.addCleanup(self.doClassCleanups)
        wait_until(lambda: self.a.reaches(self.b), "the tunnel carries pings")

    def set_width(self, octets):
        """Of the link between the outside and site b. Nobody tells site a: what a router says of it is not believed."""
        for namespace, link in ((self.world.outside, "site2"), (self.b.namespace, "outer0")):
            namespace.ip("link", "set", link, "mtu", octets + OVERHEAD[self.outer])

    def begin_anew(self):
        """A new session: both ends probe the path at once."""
        for site in (self.a, self.b):
            site.stop_daemon()
            site.start_daemon()
            site.wait_ready()
        wait_until(lambda: self.a.reaches(self.b), "the tunnel carries pings again")

    def limits(self):
        self.a.reaches(self.b)  # a tunnel that carries nothing is not probed
        return self.a.tunnel(self.b)["path_mtu"], self.b.tunnel(self.a)["path_mtu"]

    @staticmethod
    def is_found(limit, width=WIDTH):
        return width - STEP < limit <= width

    def find_width(self, width):
        self.set_width(width)
        self.begin_anew()
        wait_until(lambda: all(self.is_found(limit, width) for limit in self.limits()), "the width is found")

    def ping_of(self, size, family, fragments="do"):
        target = self.b.inner4 if family == 4 else self.b.inner6
        return self.a.namespace.run("ping", "-n", "-M", fragments, "-c", "1", "-W", "1", "-s", str(size - HEADERS[family]), target,
                                    check=False)

    def test_hosts_learn_what_fits(self):
        self.assertIn("1 received", self.ping_of(MTU, 4))
        self.find_width(WIDTH)
        for family in (4, 6):
            told = wait_until(lambda: re.search(r"mtu ?= ?(\d+)", self.ping_of(MTU, family)), "the sender is told")
            self.assertTrue(self.is_found(int(told[1])), told[0])
            wait_until(lambda: "1 received" in self.ping_of(int(told[1]), family), "what fits arrives")
        self.assertGreater(self.a.tunnel(self.b)["drops"]["too_big"], 0)
        self.find_width(MTU)

    def test_what_no_host_makes_smaller_goes_in_fragments(self):
        self.find_width(NARROW)
        dropped = self.a.tunnel(self.b)["drops"]["too_big"]
        wait_until(lambda: "1 received" in self.ping_of(MTU, 4, "dont"), "an IPv4 packet without DF arrives")
        wait_until(lambda: "1 received" in self.ping_of(IPV6_LEAST_MTU, 6), "the least IPv6 packet arrives")
        self.assertEqual(self.a.tunnel(self.b)["drops"]["too_big"], dropped)
        self.assertNotIn("1 received", self.ping_of(IPV6_LEAST_MTU, 4))


class NarrowPathOverIpv6(NarrowPath):
    """The same with IPv6 outside."""

    outer = 6


if __name__ == "__main__":
    support.main()
