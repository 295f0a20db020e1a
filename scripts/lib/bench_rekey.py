# SPDX-License-Identifier: Apache-2.0
"""Measures what a rekey costs. Called by scripts/bench, as root.

Two laboratories, one with N = 1 s, one with N = 60 s, take turns under full TCP load. Then numbered datagrams without other load, and
rekeys one after the other. At last one daemon that rekeys with many.
"""

import functools
import os
import threading
import time

import bench_tunnels as tunnels
from bench import Failure
from bench_figures import benchmark
from bench_numbered import send_numbered
from bench_rekey_many import REASONS, measure_many
from bench_throughput import load, report_of, serve
from demo import control, percentile

SHORT_S, LONG_S = 1, 60
PACKETS_PER_S = 5000


def tunnel_of(site):
    return control(site["control_socket"], "status")["tunnels"][0]


def rekey_drops(laboratory):
    return sum(tunnel_of(site)["drops"].get(reason, 0) for site in (laboratory.a, laboratory.b) for reason in REASONS)


def rekeys(laboratory):
    return max(tunnel_of(site)["rekeys"] for site in (laboratory.a, laboratory.b))


def measure_tcp(figures, short, long, pairs, seconds):
    rates, of_long, drops, count = [], [], rekey_drops(short), rekeys(short)
    for number in range(pairs):
        for laboratory, values in ((short, rates), (long, of_long))[:: 1 if number % 2 == 0 else -1]:
            end = load(laboratory, tunnels.quipu(laboratory), ["-P", "1"], seconds)
            values.append(end["sum_received"]["bits_per_second"] / 1e9)
    figures.add("rekey_tcp", "Gbit/s", rates)
    figures.add("rekey_tcp", "Gbit/s", of_long, f"N = {LONG_S} s")
    figures.compare("rekey_tcp", f"N = {LONG_S} s", rates, of_long)
    figures.add("rekey_tcp_rekeys", "rekeys", [rekeys(short) - count])
    figures.add("rekey_tcp_drops", "packets", [rekey_drops(short) - drops])


class RekeyWatch:
    """When site a, which sends, took new keys: asked of its daemon each 10 ms, in seconds since this was entered."""

    def __init__(self, site):
        self.site, self.times, self.ended = site, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        epoch = self.epoch
        while not self.ended.wait(0.01):
            if (now := tunnel_of(self.site)["epoch"]) != epoch:
                self.times.append(time.monotonic() - self.begin)
                epoch = now

    def __enter__(self):
        self.epoch, self.begin = tunnel_of(self.site)["epoch"], time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def record_series(figures, laboratory, seconds):
    """One more run, for a picture of it. iperf3 begins a few milliseconds after it is started: both axes of time are one."""
    with RekeyWatch(laboratory.a) as rekeyed:
        report = report_of(laboratory, tunnels.quipu(laboratory), ["-P", "1", "-i", "0.1", "-O", "0"], seconds)
    intervals = [interval["sum"] for interval in report["intervals"]]
    figures.add_series("throughput_s", [interval["end"] for interval in intervals])
    figures.add_series("throughput_gbit_s", [interval["bits_per_second"] / 1e9 for interval in intervals])
    figures.add_series("rekeys_s", [time_s for time_s in rekeyed.times if time_s <= intervals[-1]["end"]])


def measure_datagrams(figures, laboratory, seconds):
    before = rekeys(laboratory)
    inside = [functools.partial(laboratory.inside, site) for site in (laboratory.a, laboratory.b)]
    expected, lost = send_numbered(*inside, laboratory.b["tunnel_address"], PACKETS_PER_S, seconds)
    figures.add("rekey_udp_sent", "packets", [expected])
    figures.add("rekey_udp_lost", "packets", [lost])
    figures.add("rekey_udp_rekeys", "rekeys", [rekeys(laboratory) - before])


def measure_latency(figures, laboratory, count):
    """The end that makes the handshake tells how long it took: from the decision to the first packet under the new keys. Asked for as
    fast as an end begins them."""
    times = []
    for _ in range(4 * count):
        if len(times) >= count:
            break
        for site in (laboratory.a, laboratory.b):
            result = control(site["control_socket"], "rekey")["rekeys"][0]
            if result.get("latency_ms") is not None:
                times.append(result["latency_ms"])
    if not times:
        raise Failure("no end tells how long its rekeys take")
    figures.add("rekey_latency_p50", "ms", [percentile(times, 0.5)])
    figures.add("rekey_latency_p99", "ms", [percentile(times, 0.99)])
    figures.add("rekey_latency_count", "rekeys", [len(times)])


def measure_one_tunnel(figures, programs, arguments):
    run = f"{os.getpid() % 46656:x}"
    with (tunnels.Laboratory(programs, f"s{run}", 1500, ["--rekey-interval", SHORT_S]) as short,
          tunnels.Laboratory(programs, f"l{run}", 1500, ["--rekey-interval", LONG_S]) as long):
        for laboratory in (short, long):
            serve(laboratory)
        measure_tcp(figures, short, long, arguments.runs, arguments.seconds)
        record_series(figures, short, arguments.seconds)
        measure_datagrams(figures, short, arguments.seconds)
        measure_latency(figures, short, arguments.rekeys)


def measure(figures, programs, folder, arguments):
    if arguments.case != "rekeys_100":
        measure_one_tunnel(figures, programs, arguments)
    measure_many(figures, programs, folder, arguments)


def add_arguments(parser):
    parser.set_defaults(runs=9)
    parser.add_argument("--case", choices=["rekeys_100"], help="this case alone")
    parser.add_argument("--peers-count", type=int, default=100, help="of rekeys_100")
    parser.add_argument("--rekeys", type=int, default=1000, help="how many are timed")


if __name__ == "__main__":
    benchmark("rekey", measure, 10, add_arguments)
