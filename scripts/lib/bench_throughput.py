# SPDX-License-Identifier: Apache-2.0
"""Measures how much the tunnel carries. Called by scripts/bench, as root.

  iperf3 -> quipud of site a == veth, bridge, veth == quipud of site b -> iperf3
"""

import json
import os
import pathlib
import random
import re
import statistics
import subprocess

import bench_peers as peers
import bench_tunnels as tunnels
from bench import Failure, call, wait_until
from bench_figures import benchmark

PORT = 5201
# case: (MTU of the path, arguments of iperf3, unit)
CASES = {
    "tcp1_1500": (1500, ["-P", "1"], "Gbit/s"),
    "tcp4_1500": (1500, ["-P", "4"], "Gbit/s"),
    # The largest payload that no contestant fragments on this path.
    "udp_1400": (1500, ["-u", "-b", "0", "-l", "1372"], "Gbit/s"),
    "udp_64": (1500, ["-u", "-b", "0", "-l", "64"], "packets/s"),
    "rtt_idle": (1500, None, "ms"),
    "tcp1_9000": (9000, ["-P", "1"], "Gbit/s"),
}


def serve(laboratory):
    laboratory.start(laboratory.b, "iperf3", "-s", "-p", PORT)
    listens = laboratory.inside(laboratory.b, "ss", "-Hltn", f"sport = :{PORT}")
    wait_until(lambda: call(*listens).strip(), "iperf3 listens")


def try_report(laboratory, tunnel, options, seconds):
    """None while the server, which serves one at a time, has not done with the run before."""
    done = subprocess.run(laboratory.inside(laboratory.a, "iperf3", "-c", tunnel.address, "-p", PORT, "-J", "-t", max(1, round(seconds)),
                                            "-O", 1, *options), capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise Failure(f"iperf3 through {tunnel.name}: {done.stderr or done.stdout}") from None
    error = report.get("error", "")
    if error and "the server is busy" not in error:
        raise Failure(f"iperf3 through {tunnel.name}: {error}")
    return None if error else report


def report_of(laboratory, tunnel, options, seconds):
    """What iperf3 says of one run: one second at the start is not counted, unless the options say
    otherwise. It takes whole seconds."""
    return wait_until(lambda: try_report(laboratory, tunnel, options, seconds), f"iperf3 through {tunnel.name}")


def load(laboratory, tunnel, options, seconds):
    return report_of(laboratory, tunnel, options, seconds)["end"]


def round_trips_ms(laboratory, tunnel, count):
    """Of those of `count` pings, one each 10 ms, that were answered."""
    said = call(*laboratory.inside(laboratory.a, "ping", "-n", "-c", count, "-i", 0.01, "-W", 1, tunnel.address))
    return [float(time) for time in re.findall(r"time=([0-9.]+)", said)]


def round_trip_ms(laboratory, tunnel):
    times = round_trips_ms(laboratory, tunnel, 200)
    if len(times) < 190:
        raise Failure(f"of 200 pings through {tunnel.name} {len(times)} were answered")
    return statistics.median(times)


def measure_once(case, laboratory, tunnel, seconds):
    _, options, unit = CASES[case]
    if options is None:
        return round_trip_ms(laboratory, tunnel)
    end = load(laboratory, tunnel, options, seconds)
    if unit == "packets/s":  # iperf3's own count is wrong where some time at the start is left out
        return end["sum_received"]["bits_per_second"] / 8 / 64
    return end["sum_received"]["bits_per_second"] / 1e9


def resident_mib(laboratory):
    """The larger of both daemons, at most since it was started."""
    pids = [pid for site in (laboratory.a, laboratory.b) for pid, _ in site["processes"]]
    daemons = [pid for pid in pids if os.readlink(f"/proc/{pid}/exe").endswith("/quipud")]
    peak = lambda pid: int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024
    return max(peak(pid) for pid in daemons)


def measure_path(figures, laboratory, contestants, arguments, mtu):
    """`contestants`: (laboratory, tunnel). They take turns, another one first each time."""
    for case in [case for case in CASES if CASES[case][0] == mtu and (not arguments.case or case in arguments.case)]:
        values = {tunnel.name: [] for _, tunnel in contestants}
        order = random.Random(case)  # nobody always comes after the same one
        for _ in range(arguments.runs):
            for where, tunnel in order.sample(contestants, len(contestants)):
                values[tunnel.name].append(measure_once(case, where, tunnel, arguments.seconds))
        for name, of_one in values.items():
            figures.add(case, CASES[case][2], of_one, name)
        for name, of_one in values.items():
            if name != "quipu":
                figures.compare(case, name, values["quipu"], of_one)
    figures.add(f"resident_{mtu}", "MiB", [resident_mib(laboratory)])


def measure(figures, programs, folder, arguments):
    run = f"{os.getpid() % 46656:x}"
    with tunnels.with_program(programs, "quipud", "quipud-null") as null_programs:
        for mtu in sorted({CASES[case][0] for case in CASES if not arguments.case or case in arguments.case}):
            with tunnels.Laboratory(programs, f"q{run}", mtu) as laboratory, tunnels.Laboratory(null_programs, f"n{run}", mtu) as null:
                contestants = [(laboratory, tunnels.quipu(laboratory)), (null, tunnels.quipu(null, "null cipher")),
                               (laboratory, tunnels.bare(laboratory))]
                if arguments.peers:
                    contestants += [(laboratory, tunnel) for tunnel in peers.all_of_them(laboratory)]
                for where in (laboratory, null):
                    serve(where)
                measure_path(figures, laboratory, contestants, arguments, mtu)


def add_arguments(parser):
    peers.add_argument(parser)
    parser.add_argument("--case", action="append", choices=CASES, help="this case alone")


if __name__ == "__main__":
    benchmark("throughput", measure, 5, add_arguments)
