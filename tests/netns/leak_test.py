#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No packet for a protected prefix ever leaves in clear.

  host 192.168.1.2 --- gateway a ===== outside (its default route) ===== gateway b --- host 192.168.2.2
                                  ^ everything is captured here

A canary is sent without a pause from the host and from the gateway itself to protected addresses of both families, while the
gateway's daemon starts, stops, is killed, cannot start, and while there is no KMS. First all of that runs with the blackhole routes removed, when
the canary must be seen: only then does its absence mean anything."""

import os
import secrets
import select
import signal
import socket
import subprocess
import threading
import unittest

import support
from sites import World
from support import PROGRAMS, in_namespace, wait_until

ETH_P_ALL = 3
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
            frame = self._socket.recv(65536)
            self.frames += 1
            if self._canary in frame:
                self.seen.append(frame)

    def close(self):
        os.write(self._stop_write, b"x")
        self._thread.join()
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


class Leak(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(2)
        cls.addClassCleanup(cls.world.close)
        cls.a, cls.b = cls.world.sites
        cls.lan = cls.a.add_lan()
        cls.b.add_lan()
        cls.world.start_kmss([(cls.a, cls.b)])
        cls.a.write_daemon_config([cls.b], rekey_interval_s=1)
        cls.b.write_daemon_config([cls.a], rekey_interval_s=1)
        for site in cls.world.sites:
            site.start_daemon()
            site.wait_ready()
        cls.protected = [cls.b.inner4, cls.b.inner6, "192.168.2.2", "fd00:2::2"]
        wait_until(lambda: cls.lan.pings("192.168.2.2"), "host reaches host through both gateways")
        cls.canary = b"canary-" + secrets.token_hex(16).encode()

    def remove_blackholes(self):
        for family in ("-4", "-6"):
            run_words = ("route", "flush", "type", "blackhole", "proto", "81")
            self.a.namespace.run("ip", family, *run_words, check=False)

    def live_through_everything(self, guarded):
        """The canary's frames outside, by what was happening."""
        capture = Capture(self.a.namespace, "outer0", self.canary)
        sources = [Canary(namespace, self.protected, self.canary) for namespace in (self.lan, self.a.namespace)]
        seen = {}

        def after(event):
            """Lets both sources send on for a while, then books what was seen since the last event."""
            if not guarded:
                self.remove_blackholes()
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
        return seen

    def test_1_without_blackholes_the_canary_is_seen(self):
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
        with self.a.folder.joinpath("quipud.log").open("ab") as log:
            command = ["ip", "netns", "exec", self.a.namespace.name, str(PROGRAMS / "quipud"), "--config",
                       str(self.a.folder / "quipu.toml"), *options]
            return subprocess.run(command, stdout=log, stderr=log).returncode

    def leaks(self):
        """How many canaries get out of a gateway that is left as it is."""
        capture = Capture(self.a.namespace, "outer0", self.canary)
        sources = [Canary(namespace, self.protected, self.canary) for namespace in (self.lan, self.a.namespace)]
        try:
            wait_until(lambda: all(source.sent >= 400 for source in sources), "the canary sings")
        finally:
            for source in sources:
                source.close()
            capture.close()
        return len(capture.seen)

    def test_3_nor_when_quipud_cannot_start(self):
        key, stamps = self.a.folder / "device.key", self.a.folder / "stamps"
        self.assertTrue(stamps.exists())
        self.a.stop_daemon()
        for broken, code in ((key, 5), (stamps, 1)):
            self.remove_blackholes()
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


if __name__ == "__main__":
    support.main()
