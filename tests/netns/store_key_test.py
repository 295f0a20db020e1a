#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A KMS that is killed while it changes the key of its store, and SAEs fetch keys. With both key files it starts and goes on with the
change; nothing is missing, the audit log has one line for each change, and the books balance.

QUIPU_KEY_CHANGES: how many changes at least (default 8). QUIPU_CRASH_SEED: when it is killed."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import unittest

import support
from crash import PATIENCE_S, Story
from support import PROGRAMS, wait_until

CHANGES = int(os.environ.get("QUIPU_KEY_CHANGES", 8))
MOST = 10 * CHANGES
LEAST_INTERRUPTED = 2
SEED = int(os.environ.get("QUIPU_CRASH_SEED", random.randrange(2**32)))
INITIAL_BITS = 2**25  # 2,048 chunks: some parts


def is_reloaded(kme):
    return "event=reloaded " in kme.log()


class StoreKey(unittest.TestCase):
    def setUp(self):
        print(f"QUIPU_CRASH_SEED={SEED}", flush=True)
        self.story = Story(random.Random(SEED), PROGRAMS / "quipu-kmsd", INITIAL_BITS)
        self.addCleanup(self.story.close)
        self.story.begin(stock_bits=INITIAL_BITS // 2)
        self.kme = self.story.a
        self.done = 0  # changes

    def on_disk(self):
        """Of a process that has ended: how many changes have ended, whether one is under way, and blocks whose material is missing."""
        copy = self.story.folder / "read"
        self.kme.copy_disk(copy)
        with contextlib.closing(sqlite3.connect(copy / "kms.db")) as database:
            one = lambda sql: database.execute(sql).fetchone()[0]
            seen = (one("SELECT coalesce(sum((length(text) - length(replace(text, '\"store_key_changed\"', ''))) / 19), 0) FROM audit"),
                    one("SELECT previous_check IS NOT NULL FROM store_key"),
                    one("SELECT count(*) FROM blocks WHERE state IN (1, 2) AND NOT EXISTS (SELECT 1 FROM chunks "
                        "WHERE chunks.pool = blocks.pool AND chunks.block = blocks.id)"))
        shutil.rmtree(copy)
        return seen

    def strike(self, moment=is_reloaded):
        """Kills it around a change of the key. Whether the change is under way."""
        self.kme.make_store_key()
        self.kme.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.kme.lives() and moment(self.kme), "the moment of the kill", PATIENCE_S)
        self.kme.kill()
        ended, under_way, missing = self.on_disk()
        self.assertEqual(missing, 0)
        self.assertIn(ended, (self.done, self.done + 1))
        self.assertFalse(under_way and ended > self.done)
        self.has_ended = ended > self.done
        return under_way

    def go_on(self):
        """Starts it, which makes the change where it has not ended."""
        self.kme.start()
        if not self.has_ended:
            self.wait_for_the_change()
            self.assertIn("damaged_chunks=0", self.kme.log())
        self.done += 1
        self.story.wait_for_keys()

    def wait_for_the_change(self):
        wait_until(lambda: self.kme.lives() and "event=store_key_changed " in self.kme.log(), "the change goes on", PATIENCE_S)

    def some_moment(self):
        """While the change is under way, as a rule; or after some keys, which may be before it or after it."""
        if self.story.rng.random() < 0.5:
            return is_reloaded
        pairs = self.story.ledger.pairs + self.story.rng.randrange(64)
        return lambda _: self.story.ledger.pairs >= pairs

    def expect_refusal(self, why):
        self.kme.start()
        wait_until(lambda: self.kme.control.ask("status"), "it is out of service", PATIENCE_S)
        self.assertIn(why, self.kme.control.result("status")["reason"])
        self.assertEqual(self.kme.kill(signal.SIGTERM), 0)

    def test_killed_around_a_change(self):
        interrupted = 0
        while self.done < CHANGES or interrupted < LEAST_INTERRUPTED:
            self.assertLess(self.done, MOST, "it is never struck between")
            interrupted += self.strike(self.some_moment())
            self.go_on()
        self.assertEqual(self.story.ledger.violations, [])
        self.story.end()
        self.assertEqual(self.on_disk(), (self.done, 0, 0))

    def test_one_key_is_not_enough_until_the_change_has_ended(self):
        while not self.strike():
            self.assertLess(self.done, MOST, "it is never struck between")
            self.go_on()
        previous = self.kme.folder.joinpath("previous.key").read_bytes()
        self.kme.forget_previous_key()
        self.expect_refusal("both keys are needed")
        self.kme.folder.joinpath("previous.key").write_bytes(previous)
        self.kme.folder.joinpath("previous.key").chmod(0o600)
        self.kme.configure()
        self.kme.start()
        self.wait_for_the_change()
        self.assertEqual(self.kme.kill(signal.SIGTERM), 0)
        self.kme.forget_previous_key()
        self.kme.start()
        self.story.wait_for_keys()
        self.story.end()


if __name__ == "__main__":
    support.main()
