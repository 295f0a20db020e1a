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
STEP = 8  # how exactly the width is found
HEADERS = {4: 28, 6: 48}  # octets of a ping but for its data


class NarrowPath(unittest.TestCase):
    outer = 4

    def setUp(self):
        set_up_pair(type(self), outer=self.outer)
        self.addCleanup(self.doClassCleanups)
        wait_until(lambda: self.a.reaches(self.b), "the tunnel carries pings")

    def set_width(self, octets):
        """Of the outside, as nobody tells the sites: what a router there says of it is not believed."""
        self.world.outside.ip("link", "set", "site2", "mtu", octets + OVERHEAD[self.outer])

    def begin_anew(self):
        """A new session: it has the path probed at once."""
        self.a.stop_daemon()
        self.a.start_daemon()
        self.a.wait_ready()
        wait_until(lambda: self.a.reaches(self.b), "the tunnel carries pings again")

    def limit(self):
        self.a.reaches(self.b)  # a tunnel that carries nothing is not probed
        return self.a.tunnel(self.b)["path_mtu"]

    @staticmethod
    def is_found(limit):
        return WIDTH - STEP < limit <= WIDTH

    def ping_of(self, size, family):
        target = self.b.inner4 if family == 4 else self.b.inner6
        return self.a.namespace.run("ping", "-n", "-M", "do", "-c", "1", "-W", "1", "-s", str(size - HEADERS[family]), target,
                                    check=False)

    def test_hosts_learn_what_fits(self):
        self.assertIn("1 received", self.ping_of(MTU, 4))
        self.set_width(WIDTH)
        self.begin_anew()
        wait_until(lambda: self.is_found(self.limit()), "the width is found")
        for family in (4, 6):
            told = wait_until(lambda: re.search(r"mtu ?= ?(\d+)", self.ping_of(MTU, family)), "the sender is told")
            self.assertTrue(self.is_found(int(told[1])), told[0])
            wait_until(lambda: "1 received" in self.ping_of(int(told[1]), family), "what fits arrives")
        self.assertGreater(self.a.tunnel(self.b)["drops"]["too_big"], 0)
        self.set_width(MTU)
        self.begin_anew()
        wait_until(lambda: self.limit() == MTU, "the whole width is used again")


class NarrowPathOverIpv6(NarrowPath):
    """The same with IPv6 outside."""

    outer = 6


if __name__ == "__main__":
    support.main()
