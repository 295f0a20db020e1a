# SPDX-License-Identifier: Apache-2.0
"""Measures scp of one file from site a to site b: over the bare path, through Quipu, and through the tunnels of others. Called by
scripts/bench, as root. The file is in memory at both ends, so that no disk is measured, and the cipher of ssh is the same each time."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import bench_peers as peers
import bench_tunnels as tunnels
from bench import Failure, call, wait_until
from bench_figures import benchmark
from demo import pam_is_needed

CIPHER = "aes128-gcm@openssh.com"


class SshServer:
    """sshd inside site b, on all of its addresses; keys and settings lie in a folder of the run."""

    def __init__(self, laboratory, folder):
        self.laboratory, self.folder = laboratory, folder
        for name in ("host", "user"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        (folder / "sshd_config").write_text(
            f"Port 22\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/user.pub\nStrictModes no\n"
            f"UsePAM {pam_is_needed()}\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n")
        laboratory.start(laboratory.b, shutil.which("sshd"), "-D", "-e", "-f", folder / "sshd_config")
        wait_until(lambda: call(*laboratory.inside(laboratory.b, "ss", "-Hltn", "sport = :22")).strip(), "sshd listens")

    def copy_s(self, tunnel, source, target):
        command = ["scp", "-q", "-i", self.folder / "user", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                   "-o", f"UserKnownHostsFile={self.folder}/known", "-c", CIPHER, source, f"root@{tunnel.address}:{target}"]
        begin = time.monotonic()
        done = subprocess.run(self.laboratory.inside(self.laboratory.a, *command), capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"scp through {tunnel.name}: {done.stderr.strip()}")
        return time.monotonic() - begin


def measure(figures, programs, folder, arguments):
    with (tunnels.Laboratory(programs, f"c{os.getpid() % 46656:x}", 1500) as laboratory,
          tempfile.TemporaryDirectory(prefix="quipu-bench-", dir="/dev/shm") as memory):
        memory = pathlib.Path(memory)
        source = memory / "source"
        with open(source, "wb") as file:
            for _ in range(arguments.mib):
                file.write(os.urandom(1 << 20))
        server = SshServer(laboratory, memory)
        contestants = [tunnels.quipu(laboratory), tunnels.bare(laboratory)]
        if arguments.peers:
            contestants += peers.all_of_them(laboratory)
        rates = {tunnel.name: [] for tunnel in contestants}
        for run in range(arguments.runs):
            first = run % len(contestants)
            for tunnel in contestants[first:] + contestants[:first]:
                (memory / "target").unlink(missing_ok=True)
                took = server.copy_s(tunnel, source, memory / "target")
                if run == 0 and call("cmp", source, memory / "target"):
                    raise Failure("the file that arrived is another one")
                rates[tunnel.name].append(arguments.mib * 8 * 1.048576 / took)
        case = "scp_1g" if arguments.mib == 1024 else f"scp_{arguments.mib}m"
        for name, values in rates.items():
            figures.add(case, "Mbit/s", values, name)
        for name, values in rates.items():
            if name != "quipu":
                figures.compare(case, name, rates["quipu"], values)


def add_arguments(parser):
    peers.add_argument(parser)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")


if __name__ == "__main__":
    benchmark("scp", measure, 0, add_arguments)
