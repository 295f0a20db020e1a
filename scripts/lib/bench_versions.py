# SPDX-License-Identifier: Apache-2.0
"""The versions of what the benchmarks run, for their figures: those of Quipu's own programs and, where they take part, of others."""

import gzip
import re
import shutil
import subprocess

from bench import FETCHED, Failure


def printed_version(text, after=""):
    """The first number with a point behind `after`, with what is written to it."""
    found = re.search(re.escape(after) + r"\D*?(\d+\.\d[^\s,()]*)", text)
    if not found:
        raise Failure(f"no version is in: {text[:200]}")
    return found[1]


def output(*command):
    """OpenVPN ends with a failure after it has told its version."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True).stdout


def fetched_version(name, package):
    """Of a Debian package that was unpacked: wireguard-go itself tells an older one than it is."""
    changelog = FETCHED / name / "usr" / "share" / "doc" / package / "changelog.Debian.gz"
    if not changelog.exists():
        raise Failure(f"{name} is not there: 'scripts/setup peers' fetches it")
    with gzip.open(changelog, "rt") as file:
        return re.match(r"\S+ \((\S+)\)", file.readline())[1]


def of_peers():
    if not shutil.which("openvpn"):
        raise Failure("openvpn is not there: 'scripts/setup peers' installs it")
    openvpn = output("openvpn", "--version")
    return {"wireguard-go": fetched_version("wireguard-go", "wireguard-go"), "openvpn": printed_version(openvpn, "OpenVPN"),
            "strongswan": fetched_version("strongswan", "strongswan-charon"),
            # Debian's, which strongSwan has in it as well.
            "openssl of peers": printed_version(openvpn, "OpenSSL ")}


def of(programs, peers):
    """Of Quipu, of the OpenSSL in it, of the load generator, and with `peers` of the contestants. The kernel's is with the machine."""
    versions = {"quipu": printed_version(output(programs / "quipu", "--version")),
                "openssl": printed_version(output(programs / "quipu-bench", "--version"))}
    if shutil.which("iperf3"):
        versions["iperf3"] = printed_version(output("iperf3", "--version"))
    return versions | (of_peers() if peers else {})
