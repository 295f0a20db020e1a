# SPDX-License-Identifier: Apache-2.0
"""One site's KMS as the benchmarks start it: its folder, its certificates, its process, and what it tells of itself."""

import json
import pathlib
import re
import signal
import socket
import subprocess

from bench import Failure, call, processor_s, wait_until


class Site:
    """Ports and identifiers follow from the letter; `address` is where it listens, `saes` are those that it serves."""

    def __init__(self, letter, programs, folder, pki, address="127.0.0.1", saes=None):
        self.letter, self.programs, self.pki, self.address = letter, programs, pki, address
        self.saes = saes or [f"sae-{letter}"]
        number = ord(letter) - ord("a")
        self.etsi, self.km_link = 8010 + number, 8030 + number
        self.folder = folder / letter
        self.folder.mkdir()
        self.process = None
        call(programs / "quipu", "genpsk", "--out", self.folder / "store.key")
        for sae in self.saes:
            call(programs / "quipu", "pki", "issue", pki, sae)
        call(programs / "quipu", "pki", "issue", pki, f"kme-{letter}", "--san", f"IP:{address}")

    def write_configuration(self, *sections):
        tls = f'ca = "{self.pki}/ca.pem"\ncert = "{self.pki}/kme-{self.letter}.pem"\nkey = "{self.pki}/kme-{self.letter}.key"\n'
        (self.folder / "kms.toml").write_text(
            f'[kme]\nid = "kme-{self.letter}"\nstore = "{self.folder}/kms.db"\nstore_key_file = "{self.folder}/store.key"\n'
            f'control_socket = "{self.folder}/control.sock"\n'
            f'[etsi014]\nlisten = "{self.address}:{self.etsi}"\n{tls}'
            f'[km_link]\nlisten = "{self.address}:{self.km_link}"\n{tls}'
            + "".join(f'[[sae]]\nid = "{sae}"\n' for sae in self.saes) + "".join(sections))

    def peer_section(self, other, more=""):
        return f'[[peer_kme]]\nid = "kme-{other.letter}"\naddress = "{other.address}:{other.km_link}"\nsaes = {json.dumps(other.saes)}\n{more}'

    def link_section(self, other, fibre, skr_bit_s, initial_bits, block_octets):
        """A simulated device pair; the fibre is a port."""
        first, second = sorted((self.letter, other.letter))
        return (f'[[link]]\nname = "{first}-{second}"\npeer_kme = "kme-{other.letter}"\ndriver = "sim"\nallow_simulated = true\n'
                f'[link.options]\nrole = "{"alice" if self.letter == first else "bob"}"\nfibre = "127.0.0.1:{fibre}"\n'
                f'skr_bit_s = {skr_bit_s}\ninitial_bits = {initial_bits}\nblock_octets = {block_octets}\n')

    def start(self):
        with open(self.folder / "kmsd.log", "ab") as log:
            self.process = subprocess.Popen([self.programs / "quipu-kmsd", "--config", self.folder / "kms.toml"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(number)
        self.process.wait()
        self.process = None

    def ask(self, verb):
        """None while it does not answer."""
        if self.process.poll() is not None:
            raise Failure(f"the KMS of site {self.letter} has ended:\n{(self.folder / 'kmsd.log').read_text()[-2000:]}")
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.folder / "control.sock"))
                connection.sendall(json.dumps({"verb": verb}).encode() + b"\n")
                return json.loads(connection.makefile().readline())["result"]
            except (FileNotFoundError, ConnectionError):
                return None

    def status(self):
        return self.ask("status")

    def pool(self, other):
        status = self.status()
        return next(pool for pool in status["pools"] if pool["peer_kme"] == f"kme-{other.letter}") if status else None

    def serves(self, other):
        pool = self.pool(other)
        return pool is not None and pool["serving"]

    def rss_mib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    def cpu_s(self):
        """Processor time of the daemon so far; its driver is a process of its own."""
        return processor_s(self.process.pid)


def start(sites, pools):
    """Returns when all pools serve, each a pair of sites."""
    for site in sites:
        site.start()
    for one, other in pools:
        for site, peer in ((one, other), (other, one)):
            wait_until(lambda site=site, peer=peer: site.serves(peer), f"site {site.letter} serves its pool with site {peer.letter}")
