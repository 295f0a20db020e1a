# SPDX-License-Identifier: Apache-2.0
"""The tunnels of others, set up as their manuals say, between the sites of a laboratory (bench_tunnels)."""

import os
import pathlib
import shutil
import subprocess

import bench_strongswan
from bench import FETCHED, Failure, call, wait_until
from bench_tunnels import Tunnel


def wireguard_go(laboratory):
    """As its manual says. MTU and queues are those that it chooses, as `wg-quick` does: 80 octets less than the path's."""
    program = FETCHED / "wireguard-go" / "usr" / "bin" / "wireguard-go"
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


def all_of_them(laboratory):
    return [start(laboratory) for start in (wireguard_go, openvpn, bench_strongswan.strongswan)]


def add_argument(parser):
    parser.add_argument("--peers", action="store_true", help="compare with wireguard-go, OpenVPN and strongSwan")
