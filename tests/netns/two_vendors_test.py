#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two vendors' devices between two sites, each key made of both: the same at both ends, and none once one device is dead."""

import json
import pathlib
import secrets
import subprocess
import unittest

import support
from kms_interface_test import Site
from sites import Control
from support import PROGRAMS, run, wait_until

TOPOLOGY = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "lab" / "two-vendors.toml"
SLOW, FAST = "a-b", "a-b-2"


class TwoVendors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.id = "v" + secrets.token_hex(3)
        cls.addClassCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", cls.id], capture_output=True)
        up = json.loads(run(PROGRAMS / "quipu", "lab", "up", cls.id, "--topology", TOPOLOGY, "--json"))
        cls.descriptions = up["sites"]
        cls.a, cls.b = (Site(site) for site in up["sites"])

    def pool(self):
        return Control(self.descriptions[0]["kms_control_socket"]).result("status")["pools"][0]

    def stocks(self):
        return {each["source"]: each["stock_bits"] for each in self.pool()["sources"]}

    def draw(self):
        """One large request, fetched at the other end. The status."""
        status, container = self.a.ask("POST", "sae-b/enc_keys", {"number": 128, "size": 1024})
        if status == 200:
            wanted = {"key_IDs": [{"key_ID": key["key_ID"]} for key in container["keys"]]}
            fetched, theirs = self.b.ask("POST", "sae-a/dec_keys", wanted)
            self.assertEqual(fetched, 200, theirs)
            self.assertEqual({key["key_ID"]: key["key"] for key in theirs["keys"]},
                             {key["key_ID"]: key["key"] for key in container["keys"]})
        return status

    def cut_fibre(self, port):
        for description in self.descriptions:
            for end in ("dport", "sport"):
                run("ip", "-n", description["network_namespace"], "rule", "add", "pref", "1", "ipproto", "tcp", end, str(port),
                    "blackhole")

    def test_keys_of_both_and_none_of_one(self):
        pool = self.pool()
        self.assertEqual(pool["min_sources"], 2)
        self.assertEqual([link["name"] for link in pool["links"]], [SLOW, FAST])
        self.assertEqual(set(self.stocks()), {SLOW, FAST})
        self.assertEqual(self.draw(), 200)
        text = run(PROGRAMS / "quipu", "--socket", self.descriptions[0]["control_socket"], "--kms-socket",
                   self.descriptions[0]["kms_control_socket"], "status", check=False)
        self.assertRegex(text, rf"each key is the xor of 2 sources, in stock: .* of {SLOW}, .* of {FAST}\n")
        # The slow device's fibre is cut. What both had is used up; what the other one goes on making is no key.
        self.cut_fibre(8031)
        # One 503 may be for want of time on a slow machine.
        wait_until(lambda: all(self.draw() == 503 for _ in range(3)), "the keys come to an end")
        before = self.stocks()
        wait_until(lambda: self.stocks()[FAST] > before[FAST], "the other device goes on")
        self.assertEqual(self.draw(), 503)
        self.assertEqual(self.pool()["stock_bits"], self.stocks()[SLOW])


if __name__ == "__main__":
    support.main()
