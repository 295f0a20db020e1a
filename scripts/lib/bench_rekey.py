# SPDX-License-Identifier: Apache-2.0
"""Measures what a rekey costs. Called by scripts/bench, as root.

Two laboratories, one with N = 1 s, one with N = 60 s, take turns under full TCP load. Then numbered datagrams without other load, and
rekeys one after the other.
"""

import os
import subprocess
import sys
import threading
import time

import bench_tunnels as tunnels
from bench import Failure
from bench_figures import benchmark
from bench_throughput import load, report_of, serve
from demo import control, percentile

SHORT_S, LONG_S = 1, 60
PACKETS_PER_S = 5000
# Why a packet is dropped that a rekey can have to do with (docs/status.md).
REASONS = ("queue_full", "blocked", "key_limit", "failed_open", "replay", "expired_key")


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


SENDER = """
import socket, sys, time
to, rate, seconds = (sys.argv[1], 7000), int(sys.argv[2]), float(sys.argv[3])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
begin = time.monotonic()
for number in range(int(rate * seconds)):
    while time.monotonic() < begin + number / rate:
        time.sleep(0.0005)
    out.sendto(number.to_bytes(8, "big") + bytes(92), to)
"""
RECEIVER = """
import socket, sys
expected = int(sys.argv[1])
into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
into.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
into.bind(("", 7000))
print("ready", flush=True)
seen = set()
into.settimeout(20)
try:
    while len(seen) < expected:
        seen.add(int.from_bytes(into.recv(200)[:8], "big"))
        into.settimeout(2)
except TimeoutError:
    pass
print(expected - len(seen), flush=True)
"""


def measure_datagrams(figures, laboratory, seconds):
    expected = int(PACKETS_PER_S * seconds)
    before = rekeys(laboratory)
    receiver = subprocess.Popen(laboratory.inside(laboratory.b, sys.executable, "-c", RECEIVER, expected), stdout=subprocess.PIPE, text=True)
    if receiver.stdout.readline().strip() != "ready":
        raise Failure("the receiver of numbered datagrams has ended")
    subprocess.run(laboratory.inside(laboratory.a, sys.executable, "-c", SENDER, laboratory.b["tunnel_address"], PACKETS_PER_S, seconds), check=True)
    lost = int(receiver.communicate()[0])
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


def measure(figures, programs, folder, arguments):
    run = f"{os.getpid() % 46656:x}"
    with (tunnels.Laboratory(programs, f"s{run}", 1500, ["--rekey-interval", SHORT_S]) as short,
          tunnels.Laboratory(programs, f"l{run}", 1500, ["--rekey-interval", LONG_S]) as long):
        for laboratory in (short, long):
            serve(laboratory)
        measure_tcp(figures, short, long, arguments.runs, arguments.seconds)
        record_series(figures, short, arguments.seconds)
        measure_datagrams(figures, short, arguments.seconds)
        measure_latency(figures, short, arguments.rekeys)


def add_arguments(parser):
    parser.set_defaults(runs=9)
    parser.add_argument("--rekeys", type=int, default=1000, help="how many are timed")


if __name__ == "__main__":
    benchmark("rekey", measure, 10, add_arguments)
