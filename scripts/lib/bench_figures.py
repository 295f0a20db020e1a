# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share as programs: arguments, two processors, a folder on a real disk, and the form of the figures."""

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys

import bench_versions
from bench import Failure, call

PROCESSORS = 2


def file_system_of(folder):
    """Its kind. A commit on tmpfs is durable nowhere, and costs nothing."""
    kind = call("stat", "--file-system", "--format=%T", folder).strip()
    if kind in ("tmpfs", "ramfs"):
        raise Failure(f"{folder} is in memory ({kind}), where nothing is durable: give a folder on a disk by --folder")
    return kind


def share_processors():
    """This process, and all that it starts, run on the first of those that it may use."""
    mine = sorted(os.sched_getaffinity(0))[:PROCESSORS]
    if len(mine) < PROCESSORS:
        raise Failure(f"{PROCESSORS} processors are needed")
    os.sched_setaffinity(0, mine)


def machine(file_system):
    model = [line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"processor": model[0] if model else platform.machine(), "processors": PROCESSORS, "kernel": platform.release(),
            "file_system": file_system, "load_before": round(os.getloadavg()[0], 2)}


class Figures:
    """The results of all cases, printed as they come."""

    def __init__(self, bench, file_system, versions):
        self.document = {"bench": bench, "machine": machine(file_system), "versions": versions, "results": [], "ratios": {}}
        print(f"== {bench}: {self.document['machine']}", flush=True)
        print(f"   {', '.join(f'{name} {version}' for name, version in versions.items())}", flush=True)

    def add(self, case, unit, values, contestant="quipu"):
        result = {"case": case, "contestant": contestant, "unit": unit, "median": round(statistics.median(values), 6),
                  "min": round(min(values), 6), "max": round(max(values), 6), "runs": len(values)}
        self.document["results"].append(result)
        name = case if contestant == "quipu" else f"{case} ({contestant})"
        print(f"   {name:44} {result['median']:>12g} {unit:12} ({result['min']:g} to {result['max']:g}, {result['runs']} runs)", flush=True)

    def compare(self, case, contestant, values, others):
        """The median of the ratios of runs that took turns: what the machine did to one, it did to the other."""
        ratios = [value / other for value, other in zip(values, others)]
        self.document["ratios"].setdefault(case, {})[contestant] = ratio = round(statistics.median(ratios), 3)
        print(f"   {f'{case} / {contestant}':44} {ratio:>12g} {'':12} ({min(ratios):.3g} to {max(ratios):.3g})", flush=True)

    def add_series(self, name, values):
        """What was measured one by one, for `scripts/bench plot`. A document without series has no such key."""
        self.document.setdefault("series", {})[name] = [round(value, 6) for value in values]

    def write(self, path):
        path.write_text(json.dumps(self.document, indent=2) + "\n")


def benchmark(bench, measure, seconds, add_arguments):
    """The program: measure(figures, programs, folder, arguments) adds to the figures. `seconds` of load by default; add_arguments(parser)
    adds to what it may be called with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, help="where the stores are made, on a disk (that of the programs)")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=seconds)
    add_arguments(parser)
    arguments = parser.parse_args()
    programs = arguments.bin.resolve()
    folder = (arguments.folder or programs).resolve()
    try:
        figures = Figures(bench, file_system_of(folder), bench_versions.of(programs, getattr(arguments, "peers", False)))
        share_processors()
        call("ip", "link", "set", "lo", "up")
        measure(figures, programs, folder, arguments)
        if arguments.json:
            figures.write(arguments.json)
    except Failure as failure:
        sys.exit(f"bench {bench}: {failure}")
