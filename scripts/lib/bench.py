# SPDX-License-Identifier: Apache-2.0
"""What all files of the benchmarks use."""

import os
import pathlib
import subprocess
import time

# Where scripts/setup puts what it fetches.
FETCHED = pathlib.Path(os.environ.get("QUIPU_CACHE", pathlib.Path.home() / ".cache" / "quipu"))


class Failure(Exception):
    """Why there is nothing to measure; the text says what to do."""


def call(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"'{' '.join(map(str, command))}' failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def processor_s(pid):
    """Processor time of one process so far."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def wait_until(condition, what, patience_s=60):
    give_up = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise Failure(f"{what}: not within {patience_s} s")
        time.sleep(0.001)
    return value
