#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Strangers at the UDP port and at the control socket: nothing crashes, nothing is lost, no key is burnt."""

import json
import os
import random
import socket
import unittest

import support
from sites import set_up_pair
from support import in_namespace, wait_until

ETH_P_ALL = 3


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # So rare that no rekey by the timer falls into a case: every key that goes is then a stranger's doing.
        set_up_pair(cls, rekey_interval_s=3600)
        cls.random = random.Random(20)

    def setUp(self):
        wait_until(lambda: self.a.reaches(self.b), "the tunnel is up")
        wait_until(self.has_one_key_ahead, "each end has fetched the next key")
        self.epoch = self.a.tunnel(self.b)["epoch"]
        self.keys = self.keys_gone()

    def tearDown(self):
        self.assertEqual(self.a.namespace.pings(self.b.inner4, 10), 10)
        self.assertEqual((self.a.tunnel(self.b)["epoch"], self.keys_gone()), (self.epoch, self.keys))
        for site in self.world.sites:
            self.assertIsNone(site.daemon.poll(), site.log())

    def keys_gone(self):
        """Delivered and burnt keys by both KMSs' and both daemons' own accounts."""
        pools = [pool for site in self.world.sites for pool in site.kms_control.result("status")["pools"]]
        tunnels = [self.a.tunnel(self.b), self.b.tunnel(self.a)]
        return ([(pool["delivered_keys"], pool["burnt_bits"]) for pool in pools],
                [(tunnel["qkd_keys_used"], tunnel["qkd_keys_burnt"]) for tunnel in tunnels])

    def has_one_key_ahead(self):
        pools, tunnels = self.keys_gone()
        return all(delivered == used + burnt + 1 for (delivered, _), (used, burnt) in zip(pools, tunnels))

    def stranger(self, family=socket.AF_INET):
        opened = in_namespace(self.world.outside.name, lambda: socket.socket(family, socket.SOCK_DGRAM))
        self.addCleanup(opened.close)
        return opened

    def datagrams_handled(self, site):
        return sum(site.status()["drops"].values())

    @staticmethod
    def datagrams_read(site, version):
        """By whom it concerns in the site's network namespace, which is nobody but quipud."""
        if version == 6:
            return int(dict(map(str.split, site.namespace.run("cat", "/proc/net/snmp6").splitlines()))["Udp6InDatagrams"])
        lines = site.namespace.run("cat", "/proc/net/snmp").splitlines()
        names, values = (line.split() for line in lines if line.startswith("Udp:"))
        return int(values[names.index("InDatagrams")])

    def throw(self, datagrams):
        """At both sites and both families, no more at once than a socket holds; waits until the daemons have seen them all."""
        for site in self.world.sites:
            before = self.datagrams_handled(site)
            for version, family, address in ((4, socket.AF_INET, site.outer4), (6, socket.AF_INET6, site.outer6)):
                opened = self.stranger(family)
                for first in range(0, len(datagrams), 50):
                    some = datagrams[first:first + 50]
                    enough = self.datagrams_read(site, version) + len(some)
                    for datagram in some:
                        opened.sendto(datagram, (address, 51900))
                    wait_until(lambda: self.datagrams_read(site, version) >= enough, f"site {site.letter} has read them")
            self.assertGreater(self.datagrams_handled(site), before)

    def test_garbage_of_every_type_and_size(self):
        self.throw([bytes([kind]) + self.random.randbytes(size) for kind in (0, 1, 2, 3, 4, 5, 255)
                    for size in (0, 1, 3, 15, 31, 63, 147, 1000, 1400)] + [b"", b"\0" * 9000])

    def recorded(self):
        """Datagrams of the two daemons: data, and a whole handshake."""
        capture = in_namespace(self.world.outside.name,
                               lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)))
        self.addCleanup(capture.close)
        capture.bind(("site1", ETH_P_ALL))
        capture.setblocking(False)
        for site in self.world.sites:
            site.control.ask("rekey")
        self.assertEqual(self.a.namespace.pings(self.b.inner4, 5), 5)
        payloads = []
        while True:
            try:
                packet = capture.recv(65536)
            except BlockingIOError:
                break
            if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_UDP:
                payloads.append(packet[(packet[0] & 15) * 4 + 8:])
        self.assertTrue({1, 2, 4} <= {payload[0] for payload in payloads if payload})
        return payloads

    def test_what_was_recorded_comes_again_changed_and_unchanged(self):
        payloads = self.recorded()
        wait_until(self.has_one_key_ahead, "each end has fetched the key after that")
        self.epoch = self.a.tunnel(self.b)["epoch"]
        self.keys = self.keys_gone()
        changed = []
        for payload in payloads[:40]:
            for _ in range(20):
                copy = bytearray(payload)
                copy[self.random.randrange(len(copy))] ^= 1 << self.random.randrange(8)
                changed.append(bytes(copy))
            changed += [payload[:self.random.randrange(len(payload))], payload + b"\0", payload]
        self.throw(changed)

    def test_garbage_at_the_control_socket(self):
        for site in self.world.sites:
            for text in (b"\n", b"{\n", b"[]\n", b"null\n", b'{"verb":1}\n', b'{"verb":"status","verb":"status"}\n',
                         b'{"verb":"explode"}\n', b'{"verb":"rekey","peer":{}}\n', b"[" * 4000 + b"\n", b"\xff\xfe\n", b"\0\n"):
                reply = self.reply_to(site, text)
                self.assertEqual(json.loads(reply)["ok"], False, text)
            self.assertEqual(self.reply_to(site, b"x" * 100_000), b"", "a line without an end closes the connection")
            # Half a request, then silence, from more clients than are served: others are still answered afterwards.
            halves = []
            for _ in range(40):
                half = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                half.connect(site.control.path)
                half.send(b'{"verb":')
                halves.append(half)
            for half in halves:
                half.close()
            wait_until(lambda: site.control.ask("status"), "an honest client is answered")

    @staticmethod
    def reply_to(site, text):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            connection.connect(site.control.path)
            try:
                connection.sendall(text)
                return connection.makefile("rb").readline()
            except ConnectionError:
                return b""

    def test_verbs_that_write_are_for_root(self):
        """Whoever may open the socket may read; nobody but root and the daemon's user may change something."""
        os.chmod(self.world.folder, 0o755)
        os.chmod(self.a.folder, 0o755)
        os.chmod(self.a.control.path, 0o666)
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                fine = (self.a.control.ask("status")["ok"] and
                        all(self.a.control.ask(verb)["error"]["code"] == "not_permitted" for verb in ("rekey", "reload")))
                os._exit(0 if fine else 1)
            except BaseException:
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        os.chmod(self.a.control.path, 0o660)


if __name__ == "__main__":
    support.main()
