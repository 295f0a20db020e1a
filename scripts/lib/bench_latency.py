# SPDX-License-Identifier: Apache-2.0
"""Measures round trips between the sites, through tunnels that are idle and through tunnels that TCP fills. Called by scripts/bench, as
root."""

import concurrent.futures
import os
import time

import bench_peers as peers
import bench_tunnels as tunnels
from bench import Failure
from bench_figures import benchmark
from bench_throughput import load, round_trips_ms, serve
from demo import percentile

PINGS_PER_S = 100
# TCP has found its rate by then.
RAMP_S = 1
# The load lasts so much longer than the pings should, whose answers are waited for up to 1 s.
SLACK_S = 3


def enough(times, count, least_share, tunnel):
    if len(times) < count * least_share:
        raise Failure(f"of {count} pings through {tunnel.name} {len(times)} were answered")
    return times


def idle_ms(laboratory, tunnel, count):
    return enough(round_trips_ms(laboratory, tunnel, count), count, 0.95, tunnel)


def loaded_ms(laboratory, tunnel, count):
    """A full queue drops pings as well as segments: only those that were answered have a time."""
    with concurrent.futures.ThreadPoolExecutor() as beside:
        carried = beside.submit(load, laboratory, tunnel, ["-P", "1"], RAMP_S + count / PINGS_PER_S + SLACK_S)
        time.sleep(RAMP_S)
        times = round_trips_ms(laboratory, tunnel, count)
        if carried.done():
            raise Failure(f"the load through {tunnel.name} ended before the pings did")
        carried.result()
    return enough(times, count, 0.5, tunnel)


def measure_case(figures, case, measure_ms, contestants, arguments):
    """`contestants`: (laboratory, tunnel). They take turns, another one first each time."""
    count = max(1, round(arguments.seconds * PINGS_PER_S))
    runs = {tunnel.name: [] for _, tunnel in contestants}
    for run in range(arguments.runs):
        first = run % len(contestants)
        for where, tunnel in contestants[first:] + contestants[:first]:
            runs[tunnel.name].append(measure_ms(where, tunnel, count))
    for share, name_of_share in ((0.5, "p50"), (0.99, "p99")):
        values = {name: [percentile(times, share) for times in of_one] for name, of_one in runs.items()}
        for name, of_one in values.items():
            figures.add(f"{case}_{name_of_share}", "ms", of_one, name)
        for name, of_one in values.items():
            if name != "quipu":
                figures.compare(f"{case}_{name_of_share}", name, values["quipu"], of_one)
    for name, of_one in runs.items():
        figures.add_series(f"{case}/{name}", [time_ms for times in of_one for time_ms in times])


def measure(figures, programs, folder, arguments):
    run = f"{os.getpid() % 46656:x}"
    with (tunnels.with_program(programs, "quipud", "quipud-null") as null_programs,
          tunnels.Laboratory(programs, f"q{run}", 1500) as laboratory, tunnels.Laboratory(null_programs, f"n{run}", 1500) as null):
        contestants = [(laboratory, tunnels.quipu(laboratory)), (null, tunnels.quipu(null, "null cipher")), (laboratory, tunnels.bare(laboratory))]
        if arguments.peers:
            contestants += [(laboratory, tunnel) for tunnel in peers.all_of_them(laboratory)]
        for where in (laboratory, null):
            serve(where)
        measure_case(figures, "latency_idle", idle_ms, contestants, arguments)
        measure_case(figures, "latency_load", loaded_ms, contestants, arguments)


if __name__ == "__main__":
    benchmark("latency", measure, 5, peers.add_argument)
