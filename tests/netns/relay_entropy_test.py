#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Key relayed over a trusted node, made of the octets of an entropy source: a FIFO that the test writes to."""

import os
import subprocess
import unittest

import support
from sites import World
from support import PROGRAMS, run, wait_until


class Entropy(unittest.TestCase):
    """a - b - c: a makes the blocks."""

    def setUp(self):
        self.world = World(3)
        self.addCleanup(self.world.close)
        self.a, b, self.c = self.world.sites
        self.source = self.a.folder / "qrandom0"
        os.mkfifo(self.source)
        self.a.entropy_source = self.source
        self.writer = self.open_writer()
        self.addCleanup(lambda: self.writer is not None and os.close(self.writer))
        self.write(os.urandom(40_000))
        self.world.start_kmss([(self.a, b), (b, self.c)], relayed=[(self.a, self.c)], trusted_nodes=(b,), relay_stock_bit=65536)

    def open_writer(self):
        return os.open(self.source, os.O_RDWR | os.O_NONBLOCK)  # the one that waits for nobody

    def write(self, octets):
        """Less than a pipe holds."""
        wait_until(lambda: self.written(octets), "the source's octets are wanted")

    def written(self, octets):
        try:
            return os.write(self.writer, octets) == len(octets)
        except BlockingIOError:
            return False

    def entropy(self):
        return self.a.kms_control.result("relay_routes")["entropy"]

    def wait_for(self, state):
        wait_until(lambda: self.entropy()["state"] == state, f"the entropy source is {state}")

    def draw(self):
        return self.a.ask("sae-c/enc_keys", {"number": 100})[0]

    def whole_log(self):
        return (self.a.folder / "quipu-kmsd.log").read_text()

    def test_a_source_that_ends_and_one_that_is_stuck(self):
        self.wait_for("good")
        self.assertGreaterEqual(self.entropy()["used_bits"], 65536)
        self.assertIsNone(self.c.kms_control.result("relay_routes")["entropy"])
        # It ends, and comes back.
        os.close(self.writer)
        self.writer = None
        self.wait_for("absent")
        self.assertIn("nobody writes to it", self.entropy()["reason"])
        self.writer = self.open_writer()
        self.write(os.urandom(2_000))
        self.wait_for("good")
        # It is stuck: an alarm, and no block is made from then on.
        self.write(bytes(100))
        self.wait_for("failed")
        used = self.entropy()["used_bits"]
        wait_until(lambda: self.draw() == 503, "the pool is used up")
        self.assertEqual((self.entropy()["used_bits"], self.entropy()["ready_bits"]), (used, 0))
        self.assertEqual(self.whole_log().count("relay_entropy_failed"), 1)
        told = subprocess.run([PROGRAMS / "quipu", "--kms-socket", self.a.kms_control.path, "relay", "routes"],
                              capture_output=True, text=True)
        self.assertIn(f"  entropy of relayed blocks {self.source}  FAILED  used ", told.stdout)
        self.assertEqual(told.returncode, 3)
        self.assertIn("  FAILED  used ", run(PROGRAMS / "quipu", "--kms-socket", self.a.kms_control.path, "status", check=False))
        # Sound octets are not taken from it any more, until a restart.
        self.a.stop_kms()
        self.write(os.urandom(40_000))
        self.a.start_kms()
        wait_until(lambda: self.a.kms_control.ask("status"), "quipu-kmsd answers")
        wait_until(lambda: self.draw() == 200, "blocks are made again")

    def test_a_source_that_is_no_device(self):
        self.a.stop_kms()
        self.source.unlink()
        self.source.write_bytes(os.urandom(40_000))
        self.a.start_kms()
        wait_until(lambda: self.a.kms_control.ask("status"), "quipu-kmsd answers")
        self.wait_for("absent")
        self.assertIn("neither a character device nor a FIFO", self.entropy()["reason"])
        self.assertIn("relay_entropy_absent", self.whole_log())


if __name__ == "__main__":
    support.main()
