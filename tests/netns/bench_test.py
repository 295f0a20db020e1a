#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks, for a moment: the form of their figures, and that keys are compared. They judge no speed."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import support
from support import PROGRAMS

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lib"
RESULT = {"case", "contestant", "unit", "median", "min", "max", "runs"}
CASES = {"kms_pairs", "kms_pairs_p99", "kms_pairs_compared", "kms_pairs_cpu", "kms_pairs_fsyncs", "kms_single_enc_keys_p50",
         "kms_single_dec_keys_p50", "kms_single_fsyncs", "kms_ingest", "kms_stock", "kms_stock_start", "kms_stock_rss"}
# Taken of a responder that does nothing, too.
COMPARED = {"kms_pairs", "kms_single_enc_keys_p50", "kms_single_dec_keys_p50"}

RELAY_CASES = {"relay_rate", "relay_cpu", "relay_fsyncs", "relay_failed", "relay_reroute"}

REKEY_CASES = {"rekey_tcp", "rekey_tcp_rekeys", "rekey_tcp_drops", "rekey_udp_sent", "rekey_udp_lost", "rekey_udp_rekeys", "rekey_latency_p50",
               "rekey_latency_p99", "rekey_latency_count"}
TUNNEL_CASES = {"tcp1_1500", "tcp4_1500", "udp_1400", "udp_64", "rtt_idle", "tcp1_9000"}


def bench(what, *options):
    return subprocess.run(["unshare", "--net", sys.executable, "-B", SCRIPTS / f"bench_{what}.py", "--bin", PROGRAMS, *options],
                          capture_output=True, text=True)


class Bench(unittest.TestCase):
    def figures_of(self, what, *options):
        """Of ours by case, of others, and the ratios: of the form that they have to have."""
        with tempfile.TemporaryDirectory() as folder:
            figures = pathlib.Path(folder) / "figures.json"
            done = bench(what, "--json", figures, *options)
            self.assertEqual(done.returncode, 0, done.stderr)
            document = json.loads(figures.read_text())
        self.assertEqual(set(document), {"bench", "machine", "results", "ratios"})
        self.assertEqual(document["bench"], what)
        results = {result["case"]: result for result in document["results"] if result["contestant"] == "quipu"}
        others = {(result["case"], result["contestant"]): result for result in document["results"] if result["contestant"] != "quipu"}
        for result in document["results"]:
            self.assertEqual(set(result), RESULT)
            self.assertLessEqual(result["min"], result["median"])
            self.assertLessEqual(result["median"], result["max"])
        return results, others, document["ratios"]

    def test_every_pair_is_compared(self):
        results, others, ratios = self.figures_of("kms", "--runs", "2", "--seconds", "0.2", "--stock-keys", "8000")
        self.assertEqual(set(results), CASES)
        self.assertEqual(set(others), {(case, "bare responder") for case in COMPARED})
        self.assertEqual(set(ratios), COMPARED)
        for ratio in ratios.values():
            self.assertGreater(ratio["bare responder"], 0)
        self.assertEqual(results["kms_pairs"]["runs"], 2)
        self.assertGreater(results["kms_pairs_compared"]["min"], 0)
        self.assertGreater(results["kms_pairs_fsyncs"]["min"], 0, "a stock that comes in is durable")
        self.assertGreaterEqual(results["kms_stock"]["min"], 8000)

    def test_relayed_key_comes_in_and_goes_another_way(self):
        results, _, _ = self.figures_of("relay", "--runs", "1", "--seconds", "1", "--link-bits", "50000000")
        self.assertEqual(set(results), RELAY_CASES)
        for case in ("relay_rate", "relay_cpu", "relay_fsyncs", "relay_reroute"):
            self.assertGreater(results[case]["min"], 0)

    def test_what_a_tunnel_carries(self):
        """Each case for a moment, by a build that is not the one that is measured otherwise."""
        results, others, ratios = self.figures_of("throughput", "--runs", "1", "--seconds", "1")
        self.assertEqual(set(results), TUNNEL_CASES | {"resident_1500", "resident_9000"})
        self.assertEqual(set(others), {(case, other) for case in TUNNEL_CASES for other in ("null cipher", "bare path")})
        self.assertEqual(set(ratios), TUNNEL_CASES)
        for case in TUNNEL_CASES:
            self.assertGreater(results[case]["min"], 0)
            self.assertGreater(ratios[case]["bare path"], 0)

    def test_what_a_rekey_costs(self):
        results, others, ratios = self.figures_of("rekey", "--runs", "1", "--seconds", "2", "--rekeys", "5")
        self.assertEqual(set(results), REKEY_CASES)
        self.assertEqual(set(others), {("rekey_tcp", "N = 60 s")})
        self.assertGreater(ratios["rekey_tcp"]["N = 60 s"], 0)
        self.assertGreaterEqual(results["rekey_tcp_rekeys"]["min"], 1)
        self.assertEqual(results["rekey_udp_sent"]["min"], 10_000)
        self.assertGreaterEqual(results["rekey_latency_count"]["min"], 5)
        self.assertLessEqual(results["rekey_latency_p50"]["median"], results["rekey_latency_p99"]["median"])

    def test_what_scp_takes(self):
        results, others, ratios = self.figures_of("scp", "--runs", "1", "--mib", "8")
        self.assertEqual(set(results), {"scp_8m"})
        self.assertEqual(set(others), {("scp_8m", "bare path")})
        self.assertGreater(ratios["scp_8m"]["bare path"], 0)

    def test_what_many_peers_cost(self):
        results, _, _ = self.figures_of("scale", "--runs", "1", "--seconds", "1", "--peers-count", "50")
        self.assertEqual(results["scale_peers"]["min"], 51)
        self.assertGreater(results["scale_tcp"]["min"], 0)

    def test_a_folder_in_memory_is_refused(self):
        done = bench("kms", "--folder", "/dev/shm")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/dev/shm is in memory (tmpfs)", done.stderr)


if __name__ == "__main__":
    support.main()
