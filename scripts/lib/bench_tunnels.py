# SPDX-License-Identifier: Apache-2.0
"""Tunnels as the benchmarks start them, all between the same two network namespaces: those of a laboratory, where Quipu runs with its
KMSs, its drivers and a simulated QKD link. Others run beside it, idle while it is measured, as it is while they are."""

import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile

from bench import Failure, call, wait_until


class Laboratory:
    """Two sites, "a" and "b"."""

    def __init__(self, programs, name, mtu, options=()):
        self.quipu, self.name, self.mtu = programs / "quipu", name, mtu
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quipu-bench-"))
        self.processes = []
        made = call(self.quipu, "lab", "up", name, "--mtu", mtu, "--json", *options)
        self.a, self.b = json.loads(made)["sites"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
        subprocess.run([self.quipu, "lab", "down", self.name], capture_output=True)
        shutil.rmtree(self.folder)

    def inside(self, site, *command):
        return ["ip", "netns", "exec", site["network_namespace"], *map(str, command)]

    def start(self, site, *command, **more):
        """Runs until the end of the laboratory; what it says is kept until then."""
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(self.inside(site, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        self.processes.append(process)
        return process

    def wait_for_ping(self, address, name):
        def ping():
            return subprocess.run(self.inside(self.a, "ping", "-q", "-c", 1, "-w", 1, address), capture_output=True).returncode == 0

        try:
            wait_until(ping, f"a ping through {name}")
        except Failure as failure:
            raise Failure(f"{failure}\n{(self.folder / 'log').read_text()[-2000:]}") from None


class Tunnel:
    """`address`: of site b inside the tunnel."""

    def __init__(self, name, address):
        self.name, self.address = name, address


def quipu(laboratory, name="quipu"):
    return Tunnel(name, laboratory.b["tunnel_address"])


def bare(laboratory):
    """No tunnel at all."""
    return Tunnel("bare path", laboratory.b["underlay_address"])


@contextlib.contextmanager
def with_program(programs, name, instead):
    """A folder of the programs in which `instead` stands in the place of `name`."""
    with tempfile.TemporaryDirectory(prefix="quipu-bench-") as folder:
        folder = pathlib.Path(folder)
        shutil.copytree(programs.parent / "drivers", folder / "drivers")
        (folder / "bin").mkdir()
        for program in ("quipu", "quipud", "quipu-kmsd", "quipu-driver"):
            shutil.copy(programs / (instead if program == name else program), folder / "bin" / program)
        yield folder / "bin"
