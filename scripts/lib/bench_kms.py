# SPDX-License-Identifier: Apache-2.0
"""Measures the KMSs of two sites over loopback. Called by scripts/bench, as root, in a network namespace of its own.

  quipu-bench --ETSI 014--> quipu-kmsd of site a <==KM link==> quipu-kmsd of site b <--ETSI 014-- quipu-bench
                                quipu-driver     <---fibre--->     quipu-driver
"""

import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from bench import Failure, call, wait_until
from bench_figures import benchmark
from bench_site import Site, start

KEY_BITS = 256
STOCK_KEYS = 1_000_000
# The stock that a load begins with, and the rate at which the device goes on delivering during it: what the target takes.
LOAD_STOCK_KEYS = 262_144
LOAD_SKR_BIT_S = 6_000_000
LANES = 32
LOAD_BLOCK_OCTETS = 16_320
FIBRE = 8050
BARE = "bare responder"


class TwoSites:
    """Both KMSs, with fresh stores; gone with the folder that they are in."""

    def __init__(self, programs, folder):
        self.programs = programs
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quipu-bench-", dir=folder))
        pki = self.folder / "pki"
        call(programs / "quipu", "pki", "ca", pki, "--name", "quipu bench")
        self.a, self.b = (Site(letter, programs, self.folder, pki) for letter in "ab")
        self.both = (self.a, self.b)
        self.bare = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for site in self.both:
            site.stop(signal.SIGKILL)
        self.stop_bare()
        shutil.rmtree(self.folder)

    def configure(self, skr_bit_s, initial_bits):
        for site, other in ((self.a, self.b), (self.b, self.a)):
            site.write_configuration(site.peer_section(other), site.link_section(other, FIBRE, skr_bit_s, initial_bits, LOAD_BLOCK_OCTETS))

    def start(self):
        start(self.both, [self.both])

    def stop(self):
        for site in self.both:
            site.stop()

    def start_bare(self):
        """In the place of each KMS, who answers at once and always the same."""
        for site in self.both:
            certificate = self.a.pki / f"kme-{site.letter}"
            self.bare.append(subprocess.Popen([self.programs / "quipu-bench-bare", self.a.pki / "ca.pem", f"{certificate}.pem", f"{certificate}.key"],
                                              stdout=subprocess.PIPE, text=True))
        ports = [responder.stdout.readline() for responder in self.bare]
        if "" in ports:
            raise Failure("quipu-bench-bare ended before it listened")
        return [int(port) for port in ports]

    def stop_bare(self):
        for responder in self.bare:
            responder.kill()
            responder.wait()
            responder.stdout.close()
        self.bare = []

    def stock_keys(self, site):
        """Leased or not: a KMS that serves goes on to take leases out of its stock."""
        pool = site.pool(self.b if site is self.a else self.a)
        return (pool["stock_bits"] + pool["leased_bits"]) // KEY_BITS if pool else 0

    def wait_for_stock(self, keys):
        for site in self.both:
            wait_until(lambda site=site: self.stock_keys(site) >= keys, f"a stock of {keys} keys at site {site.letter}", 600)
        return min(self.stock_keys(site) for site in self.both)

    def syncs(self):
        return sum(site.status()["store_syncs"] for site in self.both)

    def ask(self, ports, lanes, seconds):
        """One run of quipu-bench against whoever listens there."""
        command = [self.programs / "quipu-bench", "--lanes", lanes, "--duration-ms", round(seconds * 1000)]
        for site, port in zip(self.both, ports):
            command += [f"--kms-{site.letter}", f"127.0.0.1:{port}", f"--sae-{site.letter}", f"sae-{site.letter}",
                        f"--pki-{site.letter}", site.pki]
        result = json.loads(call(*command))
        requests = result["enc_keys"]["requests"] + result["dec_keys"]["requests"]
        if result["unequal"] != 0:
            raise Failure(f"{result['unequal']} pairs of keys were not equal")
        if result["unanswered"] != 0 or requests == 0:
            raise Failure(f"{result['unanswered']} of {requests + result['unanswered']} requests got no key")
        return {**result, "requests": requests, "requests_s": requests / result["seconds"]}

    def load(self, lanes, seconds):
        """The KMSs, with what it cost beside it."""
        before = [site.cpu_s() for site in self.both], self.syncs()
        result = self.ask([site.etsi for site in self.both], lanes, seconds)
        cpu = [site.cpu_s() - start for site, start in zip(self.both, before[0])]
        return {**result, "fsyncs": self.syncs() - before[1], "cpu_us_per_request": 1e6 * sum(cpu) / result["requests"]}


def p50_ms(runs, kind):
    return [run[kind]["p50_us"] / 1000 for run in runs]


def measure_load(sites, figures, runs, seconds):
    sites.configure(LOAD_SKR_BIT_S, LOAD_STOCK_KEYS * KEY_BITS)
    sites.start()
    sites.wait_for_stock(LOAD_STOCK_KEYS * 95 // 100)
    ports = sites.start_bare()
    both = {lanes: [(sites.load(lanes, seconds), sites.ask(ports, lanes, seconds)) for _ in range(runs)] for lanes in (LANES, 1)}
    pairs, bare_pairs = zip(*both[LANES])
    single, bare_single = zip(*both[1])
    rate, bare_rate = ([run["requests_s"] for run in those] for those in (pairs, bare_pairs))
    figures.add("kms_pairs", "requests/s", rate)
    figures.add("kms_pairs", "requests/s", bare_rate, BARE)
    figures.compare("kms_pairs", BARE, rate, bare_rate)
    figures.add("kms_pairs_p99", "ms", [max(run[kind]["p99_us"] for kind in ("enc_keys", "dec_keys")) / 1000 for run in pairs])
    figures.add("kms_pairs_compared", "pairs", [run["pairs"] for run in pairs])
    figures.add("kms_pairs_cpu", "us/request", [run["cpu_us_per_request"] for run in pairs])
    figures.add("kms_pairs_fsyncs", "fsyncs", [run["fsyncs"] for run in pairs])
    for kind in ("enc_keys", "dec_keys"):
        case = f"kms_single_{kind}_p50"
        figures.add(case, "ms", p50_ms(single, kind))
        figures.add(case, "ms", p50_ms(bare_single, kind), BARE)
        figures.compare(case, BARE, p50_ms(single, kind), p50_ms(bare_single, kind))
    figures.add("kms_single_fsyncs", "fsyncs", [run["fsyncs"] for run in single])
    sites.stop_bare()
    sites.stop()


def measure_stock(sites, figures, keys):
    """Ingest is measured by filling the stock, from the first key to the last one."""
    sites.configure(1_000_000_000, keys * KEY_BITS)
    sites.start()
    wait_until(lambda: sites.stock_keys(sites.a), "the first key")
    first, begin = sites.stock_keys(sites.a), time.monotonic()
    stock = sites.wait_for_stock(keys)
    seconds = time.monotonic() - begin
    figures.add("kms_ingest", "Mbit/s", [(stock - first) * KEY_BITS / seconds / 1e6])
    figures.add("kms_stock", "keys", [stock])
    sites.stop()


def measure_start(sites, figures, runs):
    """From exec to the time when both serve keys, and what they need then."""
    sites.configure(1, 0)
    start_s, rss_mib = [], []
    for _ in range(runs):
        begin = time.monotonic()
        sites.start()
        start_s.append(time.monotonic() - begin)
        rss_mib.append(max(site.rss_mib() for site in sites.both))
        sites.stop()
    figures.add("kms_stock_start", "s", start_s)
    figures.add("kms_stock_rss", "MiB", rss_mib)


def measure(figures, programs, folder, arguments):
    with TwoSites(programs, folder) as sites:
        measure_load(sites, figures, arguments.runs, arguments.seconds)
    with TwoSites(programs, folder) as sites:
        measure_stock(sites, figures, arguments.stock_keys)
        measure_start(sites, figures, arguments.runs)


if __name__ == "__main__":
    benchmark("kms", measure, 5, lambda parser: parser.add_argument("--stock-keys", type=int, default=STOCK_KEYS, help="in stock at the most"))
