#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys for SAEs of several KMEs: sae-a asks for one key for sae-b and sae-c, whose KMEs share a QKD link with kme-a only.

  sae-b -> kme-b  <== KM link ==>  kme-a <- sae-a  <== KM link ==>  kme-c <- sae-c
"""

import signal
import unittest

import support
from sites import World
from support import wait_until


class Multicast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(3)
        cls.addClassCleanup(cls.world.close)
        cls.a, cls.b, cls.c = cls.world.sites
        cls.world.start_kmss([(cls.a, cls.b), (cls.a, cls.c)], second_sae=True)

    def request(self):
        return self.a.ask("sae-b/enc_keys", {"number": 3, "additional_slave_SAE_IDs": ["sae-c"]})

    def test_slaves_at_two_kmes_fetch_the_same_key(self):
        status, issued = self.request()
        self.assertEqual(status, 200, issued)
        wanted = {"key_IDs": [{"key_ID": key["key_ID"]} for key in issued["keys"]]}
        for site in (self.b, self.c):
            status, fetched = site.ask("sae-a/dec_keys", wanted)
            self.assertEqual(status, 200, fetched)
            self.assertEqual(fetched["keys"], issued["keys"])
            self.assertEqual(site.ask("sae-a/dec_keys", wanted)[0], 400)

    def test_who_was_not_named_or_names_another_master_gets_no_key(self):
        status, issued = self.a.ask("sae-b/enc_keys", {})
        self.assertEqual(status, 200, issued)
        wanted = {"key_IDs": [{"key_ID": issued["keys"][0]["key_ID"]}]}
        self.assertEqual(self.b.ask("sae-a/dec_keys", wanted, sae="sae-b2"), (401, None))
        self.assertEqual(self.b.ask("sae-c/dec_keys", wanted), (401, None))
        self.assertEqual(self.b.ask("sae-a/dec_keys", wanted)[0], 200)

    def test_without_one_of_the_kmes_nobody_gets_a_key(self):
        self.c.stop_kms(signal.SIGKILL)
        wait_until(lambda: self.request()[0] == 503, "the other KME is missed")
        self.assertEqual(self.a.ask("sae-b/enc_keys", {})[0], 200)
        self.c.start_kms()
        wait_until(lambda: self.request()[0] == 200, "the other KME is back")


if __name__ == "__main__":
    support.main()
