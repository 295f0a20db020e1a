#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks, for a moment: the form of their figures, and that keys are compared. They judge no speed."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

import support
from support import PROGRAMS

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lib"
SVG = "{http://www.w3.org/2000/svg}"
RESULT = {"case", "contestant", "unit", "median", "min", "max", "runs"}
CASES = {"kms_pairs", "kms_pairs_p99", "kms_pairs_compared", "kms_pairs_cpu", "kms_pairs_fsyncs", "kms_single_enc_keys_p50",
         "kms_single_dec_keys_p50", "kms_single_fsyncs", "kms_ingest", "kms_stock", "kms_stock_start", "kms_stock_rss"}
# Taken of a responder that does nothing, too.
COMPARED = {"kms_pairs", "kms_single_enc_keys_p50", "kms_single_dec_keys_p50"}

RELAY_CASES = {"relay_rate", "relay_cpu", "relay_fsyncs", "relay_failed", "relay_reroute"}

REKEY_CASES = {"rekey_tcp", "rekey_tcp_rekeys", "rekey_tcp_drops", "rekey_udp_sent", "rekey_udp_lost", "rekey_udp_rekeys", "rekey_latency_p50",
               "rekey_latency_p99", "rekey_latency_count", "rekeys_100", "rekeys_100_peers", "rekeys_100_cpu", "rekeys_100_kms_cpu", "rekeys_100_sent",
               "rekeys_100_lost", "rekeys_100_drops", "rekeys_100_p50", "rekeys_100_p99"}
TUNNEL_CASES = {"tcp1_1500", "tcp4_1500", "udp_1400", "udp_64", "rtt_idle", "tcp1_9000"}
LATENCY_CASES = {f"latency_{when}_{share}" for when in ("idle", "load") for share in ("p50", "p99")}
# By bench: those that it writes.
SERIES = {"latency": {f"latency_{when}/{name}" for when in ("idle", "load") for name in ("quipu", "null cipher", "bare path")},
          "rekey": {"throughput_s", "throughput_gbit_s", "rekeys_s"}}


def bench(what, *options):
    return subprocess.run(["unshare", "--net", sys.executable, "-B", SCRIPTS / f"bench_{what}.py", "--bin", PROGRAMS, *options],
                          capture_output=True, text=True)


def plot(*arguments):
    return subprocess.run([sys.executable, "-B", SCRIPTS / "plot.py", *arguments], capture_output=True, text=True)


class Bench(unittest.TestCase):
    def figures_of(self, what, *options):
        """Of ours by case, of others, and the ratios: of the form that they have to have."""
        with tempfile.TemporaryDirectory() as folder:
            figures = pathlib.Path(folder) / "figures.json"
            done = bench(what, "--json", figures, *options)
            self.assertEqual(done.returncode, 0, done.stderr)
            document = json.loads(figures.read_text())
        self.series = document.pop("series", {})
        self.assertEqual(set(document), {"bench", "machine", "versions", "results", "ratios"})
        self.assertLessEqual({"quipu", "openssl"}, set(document["versions"]))
        for version in document["versions"].values():
            self.assertRegex(version, r"^\d+\.\d")
        self.assertEqual(document["bench"], what)
        self.assertEqual(set(self.series), SERIES.get(what, set()))
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
        results, others, ratios = self.figures_of("rekey", "--runs", "1", "--seconds", "2", "--rekeys", "5", "--peers-count", "3")
        self.assertEqual(set(results), REKEY_CASES)
        self.assertEqual(set(others), {("rekey_tcp", "N = 60 s")})
        self.assertGreater(ratios["rekey_tcp"]["N = 60 s"], 0)
        self.assertGreaterEqual(results["rekey_tcp_rekeys"]["min"], 1)
        self.assertEqual(results["rekey_udp_sent"]["min"], 10_000)
        self.assertGreaterEqual(results["rekey_latency_count"]["min"], 5)
        self.assertLessEqual(results["rekey_latency_p50"]["median"], results["rekey_latency_p99"]["median"])
        self.assertEqual(results["rekeys_100_peers"]["min"], 3)
        self.assertEqual(results["rekeys_100_sent"]["min"], 1000)
        for case in ("rekeys_100", "rekeys_100_cpu", "rekeys_100_p50"):
            self.assertGreater(results[case]["min"], 0)

        self.assertEqual(len(self.series["throughput_s"]), len(self.series["throughput_gbit_s"]))
        self.assertEqual(self.series["throughput_s"], sorted(self.series["throughput_s"]))
        self.assertGreaterEqual(len(self.series["rekeys_s"]), 1, "two seconds, N = 1 s")
        self.assertLessEqual(max(self.series["rekeys_s"]), self.series["throughput_s"][-1])

    def test_how_long_packets_take(self):
        results, others, ratios = self.figures_of("latency", "--runs", "1", "--seconds", "0.5")
        self.assertEqual(set(results), LATENCY_CASES)
        self.assertEqual(set(others), {(case, other) for case in LATENCY_CASES for other in ("null cipher", "bare path")})
        self.assertEqual(set(ratios), LATENCY_CASES)
        for when in ("idle", "load"):
            times = self.series[f"latency_{when}/quipu"]
            self.assertGreaterEqual(len(times), 25)
            self.assertLessEqual(min(times), results[f"latency_{when}_p50"]["median"])
            self.assertLessEqual(results[f"latency_{when}_p50"]["median"], results[f"latency_{when}_p99"]["median"])

    def test_what_the_pieces_cost(self):
        results, _, _ = self.figures_of("pieces", "--runs", "2", "--seconds", "0.01")
        self.assertGreaterEqual(len(results), 9)
        for result in results.values():
            self.assertEqual((result["unit"], result["runs"]), ("ns", 2))
            self.assertGreater(result["min"], 0)

    def test_what_scp_takes(self):
        results, others, ratios = self.figures_of("scp", "--runs", "1", "--mib", "8")
        self.assertEqual(set(results), {"scp_8m"})
        self.assertEqual(set(others), {("scp_8m", "bare path")})
        self.assertGreater(ratios["scp_8m"]["bare path"], 0)

    def test_what_many_peers_cost(self):
        results, _, _ = self.figures_of("scale", "--runs", "1", "--seconds", "1", "--peers-count", "50")
        self.assertEqual(results["scale_peers"]["min"], 51)
        self.assertGreater(results["scale_tcp"]["min"], 0)

    def drawn(self, series):
        """The pictures by name, as XML."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "figures.json"
            file.write_text(json.dumps({"series": series}))
            done = plot(file, "--out", pathlib.Path(folder) / "out")
            self.assertEqual(done.returncode, 0, done.stderr)
            return {path.name: ElementTree.parse(path).getroot() for path in (pathlib.Path(folder) / "out").iterdir()}

    def test_pictures_show_what_was_measured(self):
        pictures = self.drawn({"throughput_s": [0.1, 0.2, 0.3], "throughput_gbit_s": [1, 3, 2], "rekeys_s": [0.15, 0.25],
                               "latency_load/quipu": [0.3, 4, 0.5], "latency_load/a & b": [70]})
        self.assertEqual(set(pictures), {"figures-throughput.svg", "figures-latency_load.svg"})
        rekeys = [line for line in pictures["figures-throughput.svg"].iter(f"{SVG}line")
                  if line.get("stroke") == "#d55e00" and line.get("x1") == line.get("x2")]
        self.assertEqual(len(rekeys), 2)
        latency = pictures["figures-latency_load.svg"]
        curves = [[tuple(map(float, point.split(","))) for point in curve.get("points").split()] for curve in latency.iter(f"{SVG}polyline")]
        self.assertEqual([len(points) for points in curves], [3, 1])
        self.assertEqual(curves[0], sorted(curves[0], key=lambda point: (point[0], -point[1])), "to the right and up")
        self.assertEqual(curves[0][-1][1], curves[1][-1][1], "each curve ends at all of its round trips")
        words = {text.text for text in latency.iter(f"{SVG}text")}
        self.assertLessEqual({"quipu", "a & b", "round trip (ms)", "100"}, words)

    def test_what_cannot_be_drawn_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "figures.json"
            for text, reason in (("{", "is no JSON"), ("[]", "has no series"), ('{"results": []}', "has no series")):
                file.write_text(text)
                done = plot(file, "--out", folder)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(f"bench plot: {file} {reason}", done.stderr)
            self.assertIn("No such file", plot(pathlib.Path(folder) / "none", "--out", folder).stderr)

    def test_the_daemon_without_a_cipher_says_so(self):
        for program, warns in (("quipud-null", True), ("quipud", False)):
            done = subprocess.run([PROGRAMS / program, "--check", "--config", "/nonexistent"], capture_output=True, text=True)
            self.assertIn("/nonexistent", done.stderr)
            self.assertEqual("CARRIES CLEAR TEXT" in done.stderr, warns, program)

    def test_a_folder_in_memory_is_refused(self):
        done = bench("kms", "--folder", "/dev/shm")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/dev/shm is in memory (tmpfs)", done.stderr)


if __name__ == "__main__":
    support.main()
