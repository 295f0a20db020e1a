# SPDX-License-Identifier: Apache-2.0
"""Measures single parts of the data plane and of the handshake. Called by scripts/bench."""

import json
import os
import pathlib
import tempfile

from bench import Failure, call
from bench_figures import benchmark

PROGRAM = "quipu-bench-pieces"


def measure(figures, programs, folder, arguments):
    program = programs / PROGRAM
    if not os.access(program, os.X_OK):
        raise Failure(f"{program} is not there: without libbenchmark-dev it is not built; 'scripts/setup bench' installs that")
    with tempfile.TemporaryDirectory(prefix="quipu-bench-") as reports:
        report = pathlib.Path(reports) / "report.json"
        call(program, f"--benchmark_repetitions={arguments.runs}", f"--benchmark_min_time={arguments.seconds}", f"--benchmark_out={report}",
             "--benchmark_out_format=json")
        runs = json.loads(report.read_text())["benchmarks"]
    values = {}
    for run in runs:
        if run.get("error_occurred"):
            raise Failure(f"{run['name']}: {run['error_message']}")
        if run["run_type"] == "iteration":
            # Processor time: each of them computes and never waits.
            values.setdefault(run["run_name"].replace("/", "_"), []).append(run["cpu_time"])
    for case, of_one in values.items():
        figures.add(case, "ns", of_one)


if __name__ == "__main__":
    benchmark("pieces", measure, 0.5, lambda parser: None)
