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


class StoreKey(unittest.TestCase):
    def setUp(self):
        print(f"QUIPU_CRASH_SEED={SEED}", flush=True)
        self.story = Story(random.Random(SEED), PROGRAMS / "quipu-kmsd", INITIAL_BITS)
        self.addCleanup(self.story.close)
        self.story.begin(stock_bits=INITIAL_BITS // 2)
        self.kme = self.story.a

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

    def kill_while_it_changes(self):
        self.kme.make_store_key()
        pairs = self.story.ledger.pairs + self.story.rng.randrange(64)
        self.kme.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.story.ledger.pairs >= pairs, "keys flow", PATIENCE_S)
        self.kme.kill()

    def expect_refusal(self, why):
        self.kme.start()
        wait_until(lambda: self.kme.lives() and self.kme.control.ask("status"), "it is out of service", PATIENCE_S)
        self.assertIn(why, self.kme.control.result("status")["reason"])
        self.assertEqual(self.kme.kill(signal.SIGTERM), 0)

    def test_killed_around_a_change(self):
        done = interrupted = 0
        while done < CHANGES or interrupted < LEAST_INTERRUPTED:
            self.assertLess(done, MOST, "it is never struck between")
            self.kill_while_it_changes()
            ended, under_way, missing = self.on_disk()
            self.assertEqual(missing, 0)
            self.assertIn(ended, (done, done + 1))
            self.assertFalse(under_way and ended > done)
            interrupted += under_way
            self.kme.start()
            if ended == done:
                wait_until(lambda: self.kme.lives() and "event=store_key_changed " in self.kme.log(), "the change goes on", PATIENCE_S)
                self.assertIn("damaged_chunks=0", self.kme.log())
            done += 1
            self.story.wait_for_keys()
        self.assertEqual(self.story.ledger.violations, [])
        self.story.end()
        self.assertEqual(self.on_disk(), (done, 0, 0))

    def test_one_key_is_not_enough_until_the_change_has_ended(self):
        for _ in range(MOST):
            self.kill_while_it_changes()
            if self.on_disk()[1]:
                break
            self.kme.start()
            self.story.wait_for_keys()
        previous = self.kme.folder.joinpath("previous.key").read_bytes()
        self.kme.forget_previous_key()
        self.expect_refusal("both keys are needed")
        self.kme.folder.joinpath("previous.key").write_bytes(previous)
        self.kme.folder.joinpath("previous.key").chmod(0o600)
        self.kme.configure()
        self.kme.start()
        wait_until(lambda: self.kme.lives() and "event=store_key_changed " in self.kme.log(), "the change goes on", PATIENCE_S)
        self.assertEqual(self.kme.kill(signal.SIGTERM), 0)
        self.kme.forget_previous_key()
        self.kme.start()
        self.story.wait_for_keys()
        self.story.end()


if __name__ == "__main__":
    support.main()
