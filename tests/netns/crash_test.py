#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two KMSs that are killed again and again while SAEs fetch keys: real programs, files, drivers and TLS. One site is also put back to
old copies of its disk, and cloned. No key is handed out twice, both sites have equal keys, and the books balance.

QUIPU_KMS_KILLS, QUIPU_KMS_RESTORES, QUIPU_KMS_CLONES: how many of each (default 100, 20, 5). QUIPU_CRASH_SEED: their order.
QUIPU_KMS_BENCH: with the blocks and the rate of the device that `scripts/bench kms` measures with."""

import os
import pathlib
import random
import sys
import unittest

import support
from crash import SLOT, Story
from support import PROGRAMS

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lib"))
from bench_kms import LOAD_BLOCK_OCTETS, LOAD_SKR_BIT_S

RESTORES = int(os.environ.get("QUIPU_KMS_RESTORES", 20))
COUNTS = {"kill": int(os.environ.get("QUIPU_KMS_KILLS", 100)), "restore": RESTORES // 2, "restore_alone": RESTORES - RESTORES // 2,
          "clone": int(os.environ.get("QUIPU_KMS_CLONES", 5))}
DEVICE = {"skr_bit_s": LOAD_SKR_BIT_S, "block_octets": LOAD_BLOCK_OCTETS} if "QUIPU_KMS_BENCH" in os.environ else {}
QUIET_FETCHES = 500
SEED = int(os.environ.get("QUIPU_CRASH_SEED", random.randrange(2**32)))


class Crash(unittest.TestCase):
    def story(self, program, **device):
        print(f"QUIPU_CRASH_SEED={SEED}", flush=True)
        story = Story(random.Random(SEED), program, **device)
        self.addCleanup(story.close)
        story.begin()
        return story

    def test_no_key_is_handed_out_twice(self):
        story = self.story(PROGRAMS / "quipu-kmsd", **DEVICE)
        disasters = [name for name, count in COUNTS.items() for _ in range(count)]
        story.rng.shuffle(disasters)
        story.run(disasters)
        self.assertEqual(story.ledger.violations, [])
        # And without one nothing is lost; who finds no KMS, or one without contact, has lost nothing.
        interruptions, lost, fetches = story.interruptions, story.ledger.lost_fetches, story.ledger.fetches
        story.wait_for_fetches(QUIET_FETCHES)
        self.assertEqual(story.ledger.lost_fetches, lost)
        story.end()
        # A campaign in which hardly a key was handed out proves nothing.
        self.assertGreater(story.ledger.pairs, 10 * len(disasters))
        # An interruption takes at most what each load has under way, of which a clone has a third one.
        print(f"dec_keys: {lost} of {fetches} lost in {interruptions} interruptions of {len(disasters)} disasters", flush=True)
        self.assertLessEqual(lost, len(story.loads) * interruptions + COUNTS["clone"])

    def test_without_a_disaster_the_books_have_each_key_that_saes_got(self):
        story = self.story(PROGRAMS / "quipu-kmsd")
        story.wait_for_fetches(QUIET_FETCHES)
        self.assertEqual(story.end(), [SLOT * story.ledger.delivered[kme.sae] for kme in story.kmes])

    def test_a_kms_that_hands_out_unacknowledged_keys_is_caught(self):
        story = self.story(PROGRAMS.parent / "mutants" / "bin" / "quipu-kmsd")
        story.run(["kill", "restore", "restore_alone", "clone"] * 5)
        self.assertNotEqual(story.ledger.violations, [])


if __name__ == "__main__":
    support.main()
