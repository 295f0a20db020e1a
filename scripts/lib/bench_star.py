# SPDX-License-Identifier: Apache-2.0
"""One daemon, the hub, and many peers of it, each a daemon in a network namespace of its own; two KMSs, one that the hub asks and one
that its peers ask. A bridge joins them all.

  quipud (hub) == bridge == quipud (peer 0), quipud (peer 1), ...
       |                           |
  quipu-kmsd a <==KM link==> quipu-kmsd b
"""

import base64
import ipaddress
import os
import pathlib
import shutil
import subprocess
import tempfile

from bench import Failure, call, wait_until
from bench_site import Site, start
from demo import control

BRIDGE = "quipu-star"
UNDERLAY, INNER = (ipaddress.ip_network(network) for network in ("10.81.0.0/16", "10.82.0.0/16"))
KMS_ADDRESS = str(UNDERLAY[-2])
FIBRE = 8050
PORT = 51900
# Each rekey takes one key.
STOCK_KEYS = 65_536
KEY_BITS = 256
SKR_BIT_S = 1_000_000
BLOCK_OCTETS = 16_320


class Node:
    """A daemon's folder, namespace and addresses. `number`: 0 is the hub, then its peers."""

    def __init__(self, star, number, private_key, public_key):
        self.star, self.number, self.public_key = star, number, public_key
        self.sae = f"sae-{number}"
        self.namespace = f"quipu-star-{os.getpid()}-{number}"
        self.underlay, self.inner = str(UNDERLAY[number + 1]), str(INNER[number + 1])
        self.folder = star.folder / f"node-{number}"
        self.folder.mkdir()
        self.control_socket = str(self.folder / "quipu.sock")
        self.process = None
        (self.folder / "device.key").write_text(private_key + "\n")
        (self.folder / "device.key").chmod(0o600)

    def join(self):
        call("ip", "netns", "add", self.namespace)
        call("ip", "link", "add", f"star{self.number}", "type", "veth", "peer", "name", "outer0", "netns", self.namespace)
        call("ip", "link", "set", f"star{self.number}", "master", BRIDGE, "up")
        for settings in (("address", "add", f"{self.underlay}/16", "dev", "outer0"), ("link", "set", "outer0", "up"), ("link", "set", "lo", "up")):
            call("ip", "-n", self.namespace, *settings)

    def peer_section(self, other, rekey_interval_s):
        return (f'[[peer]]\nname = "node-{other.number}"\npublic_key = "{other.public_key}"\npsk_file = "{self.star.folder}/psk"\n'
                f'endpoint = "{other.underlay}:{PORT}"\nallowed_ips = ["{other.inner}/32"]\nrekey_interval_s = {rekey_interval_s}\n'
                f'always_on = true\nsources = [{{ kms = "local", peer_sae_id = "{other.sae}", simulated = true }}]\n')

    def write_configuration(self, site, others, rekey_interval_s):
        (self.folder / "quipu.toml").write_text(
            f'[device]\nname = "quipu0"\nprivate_key_file = "{self.folder}/device.key"\nlisten_port = {PORT}\naddresses = ["{self.inner}/16"]\n'
            f'state_dir = "{self.folder}/state"\ncontrol_socket = "{self.control_socket}"\n'
            f'[kms.local]\nurl = "https://{KMS_ADDRESS}:{site.etsi}"\nsae_id = "{self.sae}"\nca = "{site.pki}/ca.pem"\n'
            f'cert = "{site.pki}/{self.sae}.pem"\nkey = "{site.pki}/{self.sae}.key"\n'
            + "".join(self.peer_section(other, rekey_interval_s) for other in others))

    def start(self):
        (self.folder / "state").mkdir()
        with open(self.folder / "quipud.log", "wb") as log:
            self.process = subprocess.Popen(self.inside(self.star.programs / "quipud", "--config", self.folder / "quipu.toml"),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "STATE_DIRECTORY": str(self.folder / "state")})

    def inside(self, *command):
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]

    def tunnels(self):
        """None before it answers."""
        if self.process.poll() is not None:
            raise Failure(f"the daemon of node {self.number} has ended:\n{(self.folder / 'quipud.log').read_text()[-2000:]}")
        return control(self.control_socket, "status")["tunnels"] if os.path.exists(self.control_socket) else None


class Star:
    """All of it, up when entered."""

    def __init__(self, programs, folder, peers, rekey_interval_s):
        self.programs = programs
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quipu-bench-", dir=folder))
        self.rekey_interval_s = rekey_interval_s
        # The end with the lowest key begins the rekeys, and knows how long each took.
        keys = sorted((self.key_pair() for _ in range(peers + 1)), key=lambda pair: base64.b64decode(pair[1]))
        self.nodes = [Node(self, number, *pair) for number, pair in enumerate(keys)]
        self.hub, self.peers = self.nodes[0], self.nodes[1:]
        pki = self.folder / "pki"
        call(programs / "quipu", "pki", "ca", pki, "--name", "quipu bench")
        call(programs / "quipu", "genpsk", "--out", self.folder / "psk")
        self.sites = (Site("a", programs, self.folder, pki, KMS_ADDRESS, [self.hub.sae]),
                      Site("b", programs, self.folder, pki, KMS_ADDRESS, [node.sae for node in self.peers]))

    def key_pair(self):
        private = call(self.programs / "quipu", "genkey").strip()
        public = subprocess.run([self.programs / "quipu", "pubkey"], input=private, capture_output=True, text=True, check=True).stdout
        return private, public.strip()

    def start_kms(self):
        for site, other in (self.sites, self.sites[::-1]):
            site.write_configuration(site.peer_section(other), site.link_section(other, FIBRE, SKR_BIT_S, STOCK_KEYS * KEY_BITS, BLOCK_OCTETS))
        start(self.sites, [self.sites])

    def __enter__(self):
        try:
            call("ip", "link", "add", BRIDGE, "type", "bridge")
            call("ip", "address", "add", f"{KMS_ADDRESS}/16", "dev", BRIDGE)
            call("ip", "link", "set", BRIDGE, "up")
            self.start_kms()
            for node in self.nodes:
                node.join()
                is_hub = node is self.hub
                node.write_configuration(self.sites[0 if is_hub else 1], self.peers if is_hub else [self.hub], self.rekey_interval_s)
                node.start()
            wait_until(self.is_up, f"{len(self.peers)} tunnels are up", 120)
        except BaseException:
            self.__exit__()
            raise
        return self

    def is_up(self):
        tunnels = self.hub.tunnels()
        return tunnels is not None and all(tunnel["rekeys"] > 0 for tunnel in tunnels)

    def __exit__(self, *_):
        started = [node.process for node in self.nodes if node.process]
        for process in started:
            process.kill()
        for process in started:
            process.wait()
        for site in self.sites:
            site.stop()
        for node in self.nodes:
            subprocess.run(["ip", "netns", "del", node.namespace], capture_output=True)
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)
        shutil.rmtree(self.folder)
