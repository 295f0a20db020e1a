#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two sites whose devices have several lanes: threads with TUN queues and UDP ports of their own. The picture is in sites.py."""

import os
import socket
import threading
import unittest

import support
from sites import World
from support import in_namespace, wait_until

FIRST_PORT = 51900
FLOWS = 8
SIZE = 256 * 1024  # octets of each flow


def listen(site):
    return in_namespace(site.namespace.name, lambda: socket.create_server((site.inner4, 0)))


def echo(server):
    """Gives each connection back what it sent, until the server is closed."""

    def serve(connection):
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def exchange(connection):
    """Whether as much as SIZE comes back as it was sent."""
    sent = os.urandom(SIZE)
    sender = threading.Thread(target=connection.sendall, args=(sent,))
    sender.start()
    received = bytearray()
    while len(received) < SIZE and (data := connection.recv(65536)):
        received += data
    sender.join()
    return bytes(received) == sent


class Lanes(unittest.TestCase):
    lanes = (4, 4)

    def setUp(self):
        self.world = World(2)
        self.addCleanup(self.world.close)
        self.a, self.b = self.world.sites
        self.world.start([(self.a, self.b)], device=f"lanes = {self.lanes[0]}")
        if self.lanes[1] != self.lanes[0]:
            self.b.write_daemon_config([self.a], device=f"lanes = {self.lanes[1]}")
            self.b.stop_daemon()
            self.b.start_daemon()
            self.b.wait_ready()
        wait_until(lambda: self.a.reaches(self.b), "the tunnel carries pings")
        self.server = listen(self.b)
        self.addCleanup(self.server.close)
        echo(self.server)

    def connect(self):
        connection = in_namespace(self.a.namespace.name,
                                  lambda: socket.create_connection(self.server.getsockname(), timeout=support.PATIENCE_S))
        self.addCleanup(connection.close)
        return connection

    def carry(self):
        """Some flows, new ones each time, at once."""
        connections = [self.connect() for _ in range(FLOWS)]
        good = []
        threads = [threading.Thread(target=lambda c=c: good.append(exchange(c))) for c in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()
        self.assertEqual(good, [True] * FLOWS)

    def in_use(self):
        self.carry()
        return [site.tunnel(peer)["lanes_in_use"] for site, peer in ((self.a, self.b), (self.b, self.a))]

    def outside_rule(self, *words):
        self.world.outside.run("nft", *words)


class FourLanes(Lanes):
    def test_flows_spread_over_all_lanes_through_rekeys(self):
        self.assertEqual(self.a.status()["lanes"], 4)
        self.outside_rule("add", "table", "inet", "watch")
        self.outside_rule("add", "chain", "inet", "watch", "forward", "{ type filter hook forward priority 0; }")
        ports = range(FIRST_PORT, FIRST_PORT + 4)
        for port in ports:
            self.outside_rule("add", "counter", "inet", "watch", f"port{port}")
            self.outside_rule("add", "rule", "inet", "watch", "forward", "udp", "dport", str(port), "counter", "name", f"port{port}")
        wait_until(lambda: self.in_use() == [4, 4], "all lanes are used")
        epoch = self.a.tunnel(self.b)["epoch"]
        before = self.a.tunnel(self.b)["traffic"]["tx_bytes"]
        wait_until(lambda: self.carry() or self.a.tunnel(self.b)["epoch"] >= epoch + 3, "rekeys under load")
        self.assertGreater(self.a.tunnel(self.b)["traffic"]["tx_bytes"], before + FLOWS * SIZE, "all lanes are counted")
        for port in ports:
            counted = self.world.outside.run("nft", "list", "counter", "inet", "watch", f"port{port}")
            self.assertGreater(int(counted.split("packets")[1].split()[0]), 10, counted)
        for site, peer in ((self.a, self.b), (self.b, self.a)):
            drops = site.tunnel(peer)["drops"]
            self.assertEqual([drops[reason] for reason in ("failed_open", "replay", "malformed", "source_not_allowed")], [0] * 4)

    def test_a_firewall_that_passes_the_first_port_alone(self):
        wait_until(lambda: self.in_use() == [4, 4], "all lanes are used")
        self.outside_rule("add", "table", "inet", "wall")
        self.outside_rule("add", "chain", "inet", "wall", "forward", "{ type filter hook forward priority 0; }")
        self.outside_rule("add", "rule", "inet", "wall", "forward", "udp", "dport", f"{FIRST_PORT + 1}-{FIRST_PORT + 3}", "drop")
        connection = self.connect()
        self.assertTrue(exchange(connection), "what a lane loses is sent again by another")
        wait_until(lambda: self.in_use() == [1, 1], "the others are given up")
        self.assertEqual(self.a.tunnel(self.b)["lanes"], 4)


class UnequalEnds(Lanes):
    lanes = (4, 1)

    def test_the_end_with_more_lanes_uses_as_many_as_the_other_has(self):
        self.carry()
        self.assertEqual(self.a.tunnel(self.b)["lanes"], 1)
        self.assertEqual(self.in_use(), [1, 1])


if __name__ == "__main__":
    support.main()
