#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No packet for a protected prefix ever leaves in clear.

  host 192.168.1.2 --- gateway a ===== outside (its default route) ===== gateway b --- host 192.168.2.2
                                  ^ everything is captured here

A canary is sent without a pause from the host and from the gateway itself to protected addresses of both families, while the
gateway's daemon starts, stops, is killed, cannot start, while there is no KMS, and while routers and admins route these addresses
elsewhere. First all of that runs with the guards (rule and blackhole routes) removed, when the canary must be seen: only then does its
absence mean anything."""

import contextlib
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import threading
import unittest

import support
from sites import World
from support import PROGRAMS, in_namespace, wait_until

ETH_P_ALL = 3
ETHERTYPES = {b"\x08\x00", b"\x86\xdd"}  # IPv4, IPv6
CANARY_PORT = 9


class Capture:
    """Counts frames with the canary on one interface, sent or received."""

    def __init__(self, namespace, device, canary):
        self._canary = canary
        self._socket = in_namespace(namespace.name, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((device, ETH_P_ALL))
        self._stop_read, self._stop_write = os.pipe()
        self.frames = 0
        self.seen = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        while self._stop_read not in (ready := select.select([self._socket, self._stop_read], [], [])[0]):
            self._take(self._socket.recv(65536))

    def _take(self, frame):
        self.frames += 1
        if self._canary in frame:
            self.seen.append(frame)

    def close(self):
        os.write(self._stop_write, b"x")
        self._thread.join()
        # What came before and was not read yet counts as well.
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take(self._socket.recv(65536, socket.MSG_DONTWAIT))
        self._socket.close()
        os.close(self._stop_read)
        os.close(self._stop_write)


class Canary:
    """Sends datagrams with the canary to protected addresses, from one namespace, until it is told to end."""

    def __init__(self, namespace, targets, canary):
        self._canary = canary
        self._targets = [(socket.AF_INET6 if ":" in target else socket.AF_INET, target) for target in targets]
        self._sockets = {family: in_namespace(namespace.name, lambda: socket.socket(family, socket.SOCK_DGRAM))
                         for family in (socket.AF_INET, socket.AF_INET6)}
        self.sent = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sing)
        self._thread.start()

    def _sing(self):
        while not self._end.wait(0.002):
            for family, target in self._targets:
                try:
                    self._sockets[family].sendto(self._canary, (target, CANARY_PORT))
                except OSError:
                    pass  # a blackhole says so to the sender on the same machine
                self.sent += 1

    def close(self):
        self._end.set()
        self._thread.join()
        for open_socket in self._sockets.values():
            open_socket.close()


def advertise(namespace, device, host, network):
    """A router advertisement, as anybody on the link can send one: "the host is behind me, the network is on this link"."""
    octets = lambda address: socket.inet_pton(socket.AF_INET6, address)
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0)
    message += struct.pack("!BBBBI", 24, 3, 128, 0, 1800) + octets(host)
    message += struct.pack("!BBBBIII", 3, 4, 64, 0x80, 1800, 1800, 0) + octets(network)

    def send():
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
            router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            router.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex(device)))

    in_namespace(namespace.name, send)


class Leak(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(2)
        cls.addClassCleanup(cls.world.close)
        cls.a, cls.b = cls.world.sites
        cls.lan = cls.a.add_lan()
        cls.b.add_lan()
        cls.world.start([(cls.a, cls.b)], rekey_interval_s=1)
        cls.protected = [cls.b.inner4, cls.b.inner6, "192.168.2.2", "fd00:2::2"]
        wait_until(lambda: cls.lan.pings("192.168.2.2"), "host reaches host through both gateways")
        cls.canary = b"canary-" + secrets.token_hex(16).encode()

    def remove_guards(self):
        for family in ("-4", "-6"):
            self.a.namespace.run("ip", family, "rule", "del", "pref", "81", check=False)
            self.a.namespace.run("ip", family, "route", "flush", "type", "blackhole", "proto", "81", check=False)

    def live_through_everything(self, guarded):
        """The canary's frames outside, by what was happening."""
        capture = Capture(self.a.namespace, "outer0", self.canary)
        sources = [Canary(namespace, self.protected, self.canary) for namespace in (self.lan, self.a.namespace)]
        seen = {}

        def after(event):
            """Lets both sources send on for a while, then books what was seen since the last event."""
            if not guarded:
                self.remove_guards()
            marks = [source.sent + 400 for source in sources]
            wait_until(lambda: all(source.sent >= mark for source, mark in zip(sources, marks)), "the canary sings")
            seen[event] = len(capture.seen)
            capture.seen.clear()

        try:
            self.a.stop_daemon()
            after("stopped")
            self.a.start_daemon()
            self.a.wait_ready()
            wait_until(lambda: self.lan.pings("192.168.2.2"), "the tunnel is up again")
            after("started")
            self.a.stop_daemon(signal.SIGKILL)
            after("killed")
            self.a.start_daemon()
            self.a.wait_ready()
            wait_until(lambda: self.lan.pings("192.168.2.2"), "the tunnel is up once more")
            after("started again")
            for site in (self.a, self.b):
                site.stop_kms()
            wait_until(lambda: not self.lan.pings("192.168.2.2"), "no key is left")
            after("without a KMS")
            self.a.stop_daemon(signal.SIGKILL)
            after("killed without a KMS")
            self.a.start_daemon()
            self.a.wait_ready()
            after("started without a KMS")
            for site in (self.a, self.b):
                site.start_kms()
            wait_until(lambda: self.lan.pings("192.168.2.2"), "keys flow again", patience_s=60)
            after("healed")
            self.assertGreater(capture.frames, 0)
        finally:
            for source in sources:
                source.close()
            capture.close()
        seen["at last"] = len(capture.seen)
        return seen

    def test_1_without_guards_the_canary_is_seen(self):
        seen = self.live_through_everything(guarded=False)
        for event in ("stopped", "killed", "killed without a KMS"):
            self.assertGreater(seen[event], 0, f"{event}: this test would not notice a leak: {seen}")

    def test_2_with_them_it_never_is(self):
        # The run before took them away; the daemon sets them at its start.
        self.a.stop_daemon()
        self.a.start_daemon()
        self.a.wait_ready()
        seen = self.live_through_everything(guarded=True)
        self.assertEqual(sum(seen.values()), 0, seen)

    def quipud(self, *options):
        """Runs to its end in site a; the exit code."""
        environment = {**os.environ, "STATE_DIRECTORY": str(self.a.service_state)}
        with self.a.folder.joinpath("quipud.log").open("ab") as log:
            command = ["ip", "netns", "exec", self.a.namespace.name, str(PROGRAMS / "quipud"), "--config",
                       str(self.a.folder / "quipu.toml"), *options]
            return subprocess.run(command, stdout=log, stderr=log, env=environment).returncode

    def leaked(self):
        """The canary's frames that get out of a gateway that is left as it is."""
        capture = Capture(self.a.namespace, "outer0", self.canary)
        sources = [Canary(namespace, self.protected, self.canary) for namespace in (self.lan, self.a.namespace)]
        try:
            wait_until(lambda: all(source.sent >= 400 for source in sources), "the canary sings")
        finally:
            for source in sources:
                source.close()
            capture.close()
        return capture.seen

    def leaks(self):
        return len(self.leaked())

    def test_3_nor_when_quipud_cannot_start(self):
        key, stamps = self.a.folder / "device.key", self.a.folder / "stamps"
        self.assertTrue(stamps.exists())
        self.a.stop_daemon()
        for broken, code in ((key, 5), (stamps, 1)):
            self.remove_guards()
            self.assertGreater(self.leaks(), 0, "this test would not notice a leak")
            aside = broken.rename(broken.with_suffix(".aside"))
            broken.mkdir()
            try:
                self.assertEqual(self.quipud(), code)
                self.assertEqual(self.leaks(), 0, f"without {broken.name}")
            finally:
                broken.rmdir()
                aside.rename(broken)
        self.a.start_daemon()
        self.a.wait_ready()

    def test_4_guards_alone_need_no_key_and_go_when_they_are_told_to(self):
        self.assertEqual(self.quipud("--remove-guards"), 1, "a tunnel is carrying these prefixes")
        self.a.stop_daemon()
        self.assertEqual(self.quipud("--remove-guards"), 0)
        self.assertGreater(self.leaks(), 0)
        key = self.a.folder / "device.key"
        aside = key.rename(key.with_suffix(".aside"))
        try:
            self.assertEqual(self.quipud("--guard"), 0)
            self.assertEqual(self.leaks(), 0)
        finally:
            aside.rename(key)
        self.assertEqual(self.quipud("--remove-guards", *self.b.lan_prefixes), 0)
        self.assertIn("192.168.2.0/24", self.a.log())
        self.assertGreater(self.leaks(), 0)
        self.assertEqual(self.quipud("--remove-guards", "nonsense"), 1)
        self.a.start_daemon()
        self.a.wait_ready()

    def foreign_routes(self):
        """What the main table has for the host behind the other gateway, by family."""
        return [self.a.namespace.ip(family, "route", "show", "table", "main", address)
                for family, address in (("-4", "192.168.2.2"), ("-6", "fd00:2::2"))]

    def test_5_nor_by_more_specific_routes_of_somebody_else(self):
        sysctls = [f"net.ipv6.conf.outer0.{knob}" for knob in ("forwarding=0", "accept_ra=1", "accept_ra_rt_info_max_plen=128")]
        self.a.namespace.run("sysctl", "-qw", *sysctls)
        self.a.namespace.ip("route", "add", "192.168.2.2/32", "via", "198.18.1.1")
        advertise(self.world.outside, "site1", host="fd00:2::2", network="fd00:2::")
        wait_until(lambda: all("outer0" in routes for routes in self.foreign_routes()), "the routes are there")
        self.assertIn("proto ra", self.foreign_routes()[1])
        wait_until(lambda: "event=connected_protected" in self.a.whole_log(), "it is told")
        self.assertIn("prefix=fd00:2::/64 via=outer0 setting=device.local_networks", self.a.whole_log())
        self.a.stop_daemon()
        self.remove_guards()
        seen = {frame[12:14] for frame in self.leaked()}
        self.assertEqual(seen, ETHERTYPES, "this test would not notice a leak")
        self.assertEqual(self.quipud("--guard"), 0)
        self.assertEqual(self.leaks(), 0, "guarded")
        self.a.start_daemon()
        self.a.wait_ready()
        wait_until(lambda: self.lan.pings("192.168.2.2") and self.lan.pings("fd00:2::2"), "the tunnel is up")
        self.assertEqual(self.leaks(), 0, "tunnelled")
        self.a.stop_daemon(signal.SIGKILL)
        self.assertEqual(self.leaks(), 0, "killed")
        for routes in self.foreign_routes():
            self.assertIn("outer0", routes, "nobody took the foreign routes away")
        self.a.start_daemon()
        self.a.wait_ready()

    def test_6_nor_when_the_configuration_cannot_be_read(self):
        self.a.stop_daemon()
        config, guards = self.a.folder / "quipu.toml", self.a.service_state / "guards"
        text, before = config.read_text(), self.a.whole_log()
        self.assertEqual(guards.stat().st_mode & 0o777, 0o600)
        try:
            config.write_text("[device\n")
            for options in (("--guard",), ()):
                self.remove_guards()
                self.assertGreater(self.leaks(), 0, "this test would not notice a leak")
                self.assertEqual(self.quipud(*options), 5)
                self.assertEqual(self.leaks(), 0)
            self.remove_guards()
            in_the_way = (self.b.inner4, "dev", "outer0", "metric", str(2**32 - 1))
            self.a.namespace.ip("route", "add", *in_the_way)
            self.assertEqual(self.quipud("--guard"), 5)
            self.a.namespace.ip("route", "del", *in_the_way)
            self.assertIn("192.168.2.0/24", self.a.namespace.ip("route", "show", "type", "blackhole"), "the others are")
            guards.unlink()
            self.assertEqual(self.quipud("--guard"), 5)
        finally:
            config.write_text(text)
        told = self.a.whole_log().removeprefix(before)
        self.assertEqual(told.count(f"that were last in effect, as listed in {guards}"), 2)
        self.assertEqual(told.count(f"NOT EVERYTHING IS GUARDED: adding the route to {self.b.inner4}/32: "), 1)
        self.assertEqual(told.count("NO MORE IS GUARDED THAN BEFORE: "), 1)
        self.a.start_daemon()
        self.a.wait_ready()
        self.assertTrue(guards.exists())


if __name__ == "__main__":
    support.main()
