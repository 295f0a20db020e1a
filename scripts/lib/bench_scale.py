# SPDX-License-Identifier: Apache-2.0
"""Measures what many peers cost that nobody talks to. Called by scripts/bench, as root."""

import base64
import os
import pathlib
import re
import secrets
import time

import bench_tunnels as tunnels
from bench import Failure, call, processor_s
from bench_figures import benchmark
from bench_throughput import load, serve
from demo import control


def quipud_of(site):
    return next(pid for pid, _ in site["processes"] if os.readlink(f"/proc/{pid}/exe").endswith("/quipud"))


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def further_peers(site, count):
    """Sections of peers whose endpoints nobody has."""
    psk = pathlib.Path(site["folder"]) / "a-b.psk"
    sections = []
    for number in range(count):
        key = base64.b64encode(secrets.token_bytes(31) + b"\x00").decode()
        sections.append(f'\n[[peer]]\nname = "far-{number}"\npublic_key = "{key}"\npsk_file = "{psk}"\n'
                        f'endpoint = "192.0.2.200:{10000 + number}"\nallowed_ips = ["10.80.{number // 256}.{number % 256}/32"]\n'
                        'sources = [{ kms = "local", peer_sae_id = "sae-b", simulated = true }]\n')
    return "".join(sections)


def measure(figures, programs, folder, arguments):
    with tunnels.Laboratory(programs, f"m{os.getpid() % 46656:x}", 1500) as laboratory:
        serve(laboratory)
        site, daemon = laboratory.a, quipud_of(laboratory.a)
        tunnel = tunnels.quipu(laboratory)
        before = load(laboratory, tunnel, ["-P", "1"], arguments.seconds)["sum_received"]["bits_per_second"] / 1e9
        resident = resident_mib(daemon)
        configuration = pathlib.Path(site["folder"]) / "quipu.toml"
        with open(configuration, "a") as file:
            file.write(further_peers(site, arguments.peers_count))
        begin = time.monotonic()
        call(laboratory.quipu, "--socket", site["control_socket"], "reload")
        figures.add("scale_reload", "s", [time.monotonic() - begin])
        count = len(control(site["control_socket"], "status")["tunnels"])
        if count != arguments.peers_count + 1:
            raise Failure(f"{count} peers instead of {arguments.peers_count + 1}")
        figures.add("scale_peers", "peers", [count])
        figures.add("scale_resident", "MiB more", [resident_mib(daemon) - resident])
        used = []
        for _ in range(arguments.runs):
            start, begin = processor_s(daemon), time.monotonic()
            time.sleep(arguments.seconds)
            used.append(100 * (processor_s(daemon) - start) / (time.monotonic() - begin))
        figures.add("scale_idle_cpu", "% of a CPU", used)
        after = load(laboratory, tunnel, ["-P", "1"], arguments.seconds)["sum_received"]["bits_per_second"] / 1e9
        figures.add("scale_tcp", "Gbit/s", [after])
        figures.add("scale_tcp_before", "Gbit/s", [before])


def add_arguments(parser):
    parser.add_argument("--peers-count", type=int, default=1000, help="how many further peers")


if __name__ == "__main__":
    benchmark("scale", measure, 5, add_arguments)
