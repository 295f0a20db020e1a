# SPDX-License-Identifier: Apache-2.0
"""Measures one daemon that rekeys with many peers, each with N = 1 s (bench_rekey)."""

import time

from bench import processor_s
from bench_numbered import send_numbered
from bench_star import Star
from demo import percentile

REKEY_INTERVAL_S = 1
# The stream, in one of the tunnels.
PACKETS_PER_S = 500
# Why a packet is dropped that a rekey can have to do with (docs/status.md).
REASONS = ("queue_full", "blocked", "key_limit", "failed_open", "replay", "expired_key")


def rekeys(star):
    return sum(tunnel["rekeys"] for tunnel in star.hub.tunnels())


def used_s(star):
    """Processor time so far: of the hub, and of both KMSs."""
    return processor_s(star.hub.process.pid), sum(site.cpu_s() for site in star.sites)


def measure_rate(figures, star, runs, seconds):
    rates, hub, kms, sent, lost = [], [], [], 0, 0
    for _ in range(runs):
        count, used, begin = rekeys(star), used_s(star), time.monotonic()
        to = star.peers[0]
        expected, missing = send_numbered(star.hub.inside, to.inside, to.inner, PACKETS_PER_S, seconds)
        took = time.monotonic() - begin
        rates.append((rekeys(star) - count) / took)
        for values, before, after in zip((hub, kms), used, used_s(star)):
            values.append(100 * (after - before) / took)
        sent, lost = sent + expected, lost + missing
    figures.add("rekeys_100", "rekeys/s", rates)
    figures.add("rekeys_100_peers", "peers", [len(star.peers)])
    figures.add("rekeys_100_cpu", "% of a CPU", hub)
    figures.add("rekeys_100_kms_cpu", "% of a CPU", kms)
    figures.add("rekeys_100_sent", "packets", [sent])
    figures.add("rekeys_100_lost", "packets", [lost])


def latencies_ms(star, seconds):
    """Of the rekeys in so many seconds: the hub, which began them, tells the last one of each tunnel. Asked for by itself, as to answer
    costs it something."""
    times, seen, give_up = [], {}, time.monotonic() + seconds
    while time.monotonic() < give_up:
        for tunnel in star.hub.tunnels():
            if tunnel["last_rekey_ms"] is not None and seen.get(tunnel["peer"]) != tunnel["rekeys"]:
                times.append(tunnel["last_rekey_ms"])
            seen[tunnel["peer"]] = tunnel["rekeys"]
        time.sleep(REKEY_INTERVAL_S / 4)
    return times


def measure_many(figures, programs, folder, arguments):
    with Star(programs, folder, arguments.peers_count, REKEY_INTERVAL_S) as star:
        measure_rate(figures, star, arguments.runs, arguments.seconds)
        times = latencies_ms(star, arguments.seconds)
        figures.add("rekeys_100_p50", "ms", [percentile(times, 0.5)])
        figures.add("rekeys_100_p99", "ms", [percentile(times, 0.99)])
        drops = sum(tunnel["drops"].get(reason, 0) for tunnel in star.hub.tunnels() for reason in REASONS)
        figures.add("rekeys_100_drops", "packets", [drops])
