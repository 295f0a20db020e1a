# SPDX-License-Identifier: Apache-2.0
"""Measures the relay of key over trusted nodes. Called by scripts/bench, as root, in a network namespace of its own.

The rate, over three hops:                   kme-a ===== kme-b ===== kme-c ===== kme-d
The time until there is another way, in a ring:  kme-a ===== kme-b ===== kme-c ===== kme-d ===== kme-a

Each ===== is a simulated QKD link with a driver at both ends, and a KM link; the pool that is fed by relay has a KM link alone.
"""

import pathlib
import shutil
import signal
import tempfile
import time

from bench import Failure, call, wait_until
from bench_figures import benchmark
from bench_site import Site, start

BLOCK_OCTETS = 16_320
FIRST_FIBRE = 8050
# In stock at each link before the relay begins, and what a relayed pool takes of it at most: half a pool.
LINK_BITS = 400_000_000
TARGET_BITS = 268_000_000


class Network:
    """The KMSs of four sites with fresh stores; gone with the folder that they are in."""

    def __init__(self, programs, folder, links, relayed):
        """`links` share QKD devices, the pool between `relayed` is fed by relay: pairs of letters."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quipu-bench-", dir=folder))
        pki = self.folder / "pki"
        call(programs / "quipu", "pki", "ca", pki, "--name", "quipu bench")
        self.site = {letter: Site(letter, programs, self.folder, pki) for letter in "abcd"}
        self.links, self.relayed = links, relayed

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for site in self.site.values():
            site.stop(signal.SIGKILL)
        shutil.rmtree(self.folder)

    def start(self, target_bits, initial_bits):
        for letter, site in self.site.items():
            sections = []
            for number, pair in enumerate(self.links):
                if letter in pair:
                    other = self.site[pair.replace(letter, "")]
                    sections += [site.peer_section(other), site.link_section(other, FIRST_FIBRE + number, 1, initial_bits, BLOCK_OCTETS)]
            if letter in self.relayed:
                other = self.site[self.relayed.replace(letter, "")]
                sections.append(site.peer_section(other, f"relay_stock_bit = {target_bits}\n"))
            sections.append("[relay]\ntrusted_node = true\n")
            site.write_configuration(*sections)
        start(self.site.values(), [tuple(self.site[letter] for letter in pair) for pair in [*self.links, self.relayed]])

    def stop(self):
        for site in self.site.values():
            site.stop()

    def fill_links(self, bits):
        """Before the relay is switched on, so that nothing of it is measured."""
        self.start(0, bits)
        for first, second in self.links:
            for site, other in ((first, second), (second, first)):
                wait_until(lambda site=self.site[site], other=self.site[other]: site.pool(other)["stock_bits"] >= bits * 9 // 10,
                           f"the first key of the link {first}-{second}", 600)
        self.stop()

    def route(self):
        """As the source tells it."""
        answer = self.site[self.relayed[0]].ask("relay_routes")
        return answer["routes"][0] if answer else None

    def usable_bits(self):
        """Of the relayed pool, at its destination: in stock there only once both ends have it."""
        pool = self.site[self.relayed[1]].pool(self.site[self.relayed[0]])
        return pool["stock_bits"] + pool["leased_bits"]

    def cost(self):
        """Processor time of all KMSs, and their waits for the disk, so far."""
        return sum(site.cpu_s() for site in self.site.values()), sum(site.status()["store_syncs"] for site in self.site.values())


def measure_rate(network, figures, runs, seconds, link_bits):
    network.fill_links(link_bits)
    network.start(TARGET_BITS, 0)
    wait_until(network.usable_bits, "the first relayed key")
    rate, cpu, fsyncs = [], [], []
    for _ in range(runs):
        cost, bits, begin = network.cost(), network.usable_bits(), time.monotonic()
        time.sleep(seconds)
        passed, grown, after = time.monotonic() - begin, (network.usable_bits() - bits) / 1e6, network.cost()
        if grown == 0 or network.usable_bits() > TARGET_BITS * 9 // 10:
            raise Failure(f"the relayed pool has {network.usable_bits()} bit and does not grow: {network.route()}; measure for less long")
        rate.append(grown / passed)
        cpu.append(1000 * (after[0] - cost[0]) / grown)
        fsyncs.append((after[1] - cost[1]) / grown)
    if (route := network.route())["voided"] != 0:
        raise Failure(f"{route['voided']} relayed blocks differed at the far end")
    figures.add("relay_rate", "Mbit/s", rate)
    figures.add("relay_cpu", "ms/Mbit", cpu)
    figures.add("relay_fsyncs", "fsyncs/Mbit", fsyncs)
    figures.add("relay_failed", "blocks", [route["failed"]])
    network.stop()


def reroute_s(network):
    """From the death of the node on the path until the pool grows by more than what was on its way."""
    network.fill_links(LINK_BITS // 8)
    network.start(TARGET_BITS, 0)
    wait_until(lambda: (route := network.route()) and route["relayed"] > 10 and len(route["links"]) == 2, "relay over one node")
    route = network.route()
    node = route["links"][0]["to"].removeprefix("kme-")
    begin = time.monotonic()
    network.site[node].stop(signal.SIGKILL)
    before = network.route()
    enough = before["relayed"] + before["in_flight"]

    def another_way():
        now = network.route()
        return now["relayed"] > enough and all(f"kme-{node}" not in (link["from"], link["to"]) for link in now["links"])

    wait_until(another_way, f"the pool grows without site {node}")
    return time.monotonic() - begin


def measure(figures, programs, folder, arguments):
    with Network(programs, folder, ["ab", "bc", "cd"], "ad") as network:
        measure_rate(network, figures, arguments.runs, arguments.seconds, arguments.link_bits)
    times = []
    for _ in range(arguments.runs):
        with Network(programs, folder, ["ab", "bc", "cd", "ad"], "ac") as network:
            times.append(reroute_s(network))
    figures.add("relay_reroute", "s", times)


if __name__ == "__main__":
    benchmark("relay", measure, 1, lambda parser: parser.add_argument("--link-bits", type=int, default=LINK_BITS,
                                                                      help="in stock at each link before the relay begins"))
