# SPDX-License-Identifier: Apache-2.0
"""Tunnels as the benchmarks start them, all between the same two network namespaces: those of a laboratory, where Quipu runs with its
KMSs, its drivers and a simulated QKD link. Others run beside it, idle while it is measured, as it is while they are."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from bench import Failure, call, wait_until

PEERS = pathlib.Path(os.environ.get("QUIPU_CACHE", pathlib.Path.home() / ".cache" / "quipu"))


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


def wireguard_go(laboratory):
    """As its manual says. MTU and queues are those that it chooses, as `wg-quick` does: 80 octets less than the path's."""
    program = PEERS / "wireguard-go" / "usr" / "bin" / "wireguard-go"
    if not os.access(program, os.X_OK) or not shutil.which("wg"):
        raise Failure("wireguard-go is not there: 'scripts/setup peers' fetches it")
    sites = [(laboratory.a, "10.71.0.1"), (laboratory.b, "10.71.0.2")]
    private = [call("wg", "genkey").strip() for _ in sites]
    public = [subprocess.run(["wg", "pubkey"], input=key, capture_output=True, text=True, check=True).stdout.strip() for key in private]
    for number, (site, address) in enumerate(sites):
        interface = f"wg{laboratory.name[-6:]}{site['site']}"
        laboratory.start(site, program, "--foreground", interface, env={**os.environ, "LOG_LEVEL": "error"})
        wait_until(lambda: pathlib.Path(f"/var/run/wireguard/{interface}.sock").exists(), "the socket of wireguard-go")
        key = laboratory.folder / f"{interface}.key"
        key.write_text(private[number])
        other = sites[1 - number][0]
        call("wg", "set", interface, "private-key", key, "listen-port", 51820, "peer", public[1 - number], "allowed-ips", "10.71.0.0/24",
             "endpoint", f"{other['underlay_address']}:51820")
        call(*laboratory.inside(site, "ip", "address", "add", f"{address}/24", "dev", interface))
        call(*laboratory.inside(site, "ip", "link", "set", interface, "mtu", laboratory.mtu - 80, "up"))
    laboratory.wait_for_ping("10.71.0.2", "wireguard-go")
    return Tunnel("wireguard-go", "10.71.0.2")


def openvpn(laboratory):
    """Point to point, TLS with AES-256-GCM, no compression, and a TCP segment size with which no datagram has to be fragmented."""
    if not shutil.which("openvpn"):
        raise Failure("openvpn is not there: 'scripts/setup peers' installs it")
    pki = laboratory.folder / "pki"
    call(laboratory.quipu, "pki", "ca", pki, "--name", "quipu bench")
    sites = [(laboratory.a, "10.72.0.1"), (laboratory.b, "10.72.0.2")]
    for number, (site, address) in enumerate(sites):
        name = f"openvpn-{site['site']}"
        call(laboratory.quipu, "pki", "issue", pki, name, "--san", f"DNS:{name}")
        other, other_address = sites[1 - number]
        role = ["--tls-server", "--dh", "none"] if number == 0 else ["--tls-client"]
        laboratory.start(site, "openvpn", "--dev", "ovpn0", "--dev-type", "tun", "--proto", "udp4", "--lport", 1194,
                         "--remote", other["underlay_address"], 1194, "--ifconfig", address, other_address, *role,
                         "--ca", pki / "ca.pem", "--cert", pki / f"{name}.pem", "--key", pki / f"{name}.key",
                         "--data-ciphers", "AES-256-GCM", "--cipher", "AES-256-GCM", "--sndbuf", 4194304, "--rcvbuf", 4194304,
                         "--txqueuelen", 1000, "--tun-mtu", laboratory.mtu, "--mssfix", laboratory.mtu, "mtu", "--verb", 1)
    laboratory.wait_for_ping("10.72.0.2", "OpenVPN")
    return Tunnel("openvpn", "10.72.0.2")


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
