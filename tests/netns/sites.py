# SPDX-License-Identifier: Apache-2.0
"""Sites with both daemons each, around one outside network.

             outer 198.18.N.2, 2001:db8:N::2                     site N: 1 = a, 2 = b, ...
  site a ------------------------------------ outside ------------------------------------ site b
    |  \\                                   (a router)                                   /
   LAN  \\--------------------------------- km network -------------------------------/
         km 10.255.0.N: KM links and the simulated fibre, so that trouble outside is none for the keys

Inside: 10.70.0.N and fd70::N on quipu0, and whatever LAN prefix a site is given. KMSs of site a serve every other site;
a scenario that wants a full mesh says so.
"""

import base64
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile

from support import Namespace, PROGRAMS, fresh_name, run, wait_until

PKCS8_X25519_PREFIX_SIZE = 16  # of the 48 octets that DER needs for a private key
SPKI_X25519_PREFIX_SIZE = 12


def make_key_pair():
    """An X25519 key pair, each base64."""
    der = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-outform", "DER"], check=True, capture_output=True).stdout
    public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=der, check=True,
                            capture_output=True).stdout
    return (base64.b64encode(der[PKCS8_X25519_PREFIX_SIZE:]).decode(), base64.b64encode(public[SPKI_X25519_PREFIX_SIZE:]).decode())


class Authority:
    """A CA for one run."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=Quipu tests", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
            "-keyout", folder / "ca.key", "-out", folder / "ca.pem")

    def issue(self, name, *addresses):
        names = ",".join([f"DNS:{name}"] + [f"IP:{address}" for address in addresses])
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
            f"/CN={name}", "-CA", self.folder / "ca.pem", "-CAkey", self.folder / "ca.key", "-addext", f"subjectAltName={names}",
            "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", self.folder / f"{name}.key", "-out",
            self.folder / f"{name}.pem")

    def lines(self, name):
        return f'ca = "{self.folder}/ca.pem"\ncert = "{self.folder}/{name}.pem"\nkey = "{self.folder}/{name}.key"\n'


class Control:
    """A daemon's control socket."""

    def __init__(self, path):
        self.path = str(path)

    def ask(self, verb, **members):
        """The reply, or None while nobody answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            try:
                connection.connect(self.path)
                connection.sendall(json.dumps({"verb": verb, **members}).encode() + b"\n")
                with connection.makefile("r") as lines:
                    line = lines.readline()
            except (FileNotFoundError, ConnectionError, BlockingIOError):  # the last: more wait than may
                return None
        return json.loads(line) if line else None

    def result(self, verb, **members):
        reply = self.ask(verb, **members)
        if reply is None or not reply["ok"]:
            raise AssertionError(f"{verb}: {reply}")
        return reply["result"]


class Site:
    def __init__(self, world, number):
        self.world = world
        self.number = number
        self.letter = "abcdefgh"[number - 1]
        self.folder = world.folder / self.letter
        self.folder.mkdir()
        # What the service manager gives: elsewhere than device.state_dir is.
        self.service_state = self.folder / "service-state"
        self.service_state.mkdir()
        self.namespace = Namespace(f"{world.name}-{self.letter}")
        world.namespaces.append(self.namespace)
        self.outer4, self.outer6 = f"198.18.{number}.2", f"2001:db8:{number}::2"
        self.km = f"10.255.0.{number}"
        self.inner4, self.inner6 = f"10.70.0.{number}", f"fd70::{number}"
        self.lan_prefixes = []
        self.private_key, self.public_key = make_key_pair()
        self.control = Control(self.folder / "control.sock")
        self.kms_control = Control(self.folder / "kms-control.sock")
        self.daemon = self.kms = None
        self.entropy_source = None  # of relayed blocks, a path
        self._write("device.key", self.private_key + "\n")
        self._write("kms-store.key", base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        world.authority.issue(f"sae-{self.letter}", "127.0.0.1")
        world.authority.issue(f"kme-{self.letter}", "127.0.0.1", self.km)
        self._cable()

    def _write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def _cable(self):
        n, outside, km = self.number, self.world.outside, self.world.km_network
        self.namespace.joined_to(outside, "outer0", f"site{n}")
        outside.ip("address", "add", f"198.18.{n}.1/24", "dev", f"site{n}")
        outside.ip("address", "add", f"2001:db8:{n}::1/64", "dev", f"site{n}")
        self.set_outer_addresses(self.outer4, self.outer6)
        self.namespace.joined_to(km, "km0", f"site{n}")
        km.ip("link", "set", f"site{n}", "master", "bridge0")
        self.namespace.ip("address", "add", f"{self.km}/24", "dev", "km0")

    def set_outer_addresses(self, address4, address6):
        """In place of those that there are, with the default routes that go with them."""
        self.namespace.ip("address", "flush", "dev", "outer0", "scope", "global")
        self.namespace.ip("address", "add", f"{address4}/24", "dev", "outer0")
        self.namespace.ip("address", "add", f"{address6}/64", "dev", "outer0")
        self.namespace.ip("route", "replace", "default", "via", f"198.18.{self.number}.1")
        self.namespace.ip("-6", "route", "replace", "default", "via", f"2001:db8:{self.number}::1")

    def add_lan(self):
        """A host behind this site, which is its gateway: 192.168.N.2 and fd00:N::2, protected towards the peers."""
        n = self.number
        lan = Namespace(f"{self.world.name}-{self.letter}lan")
        self.world.namespaces.append(lan)
        self.namespace.joined_to(lan, "lan0", "eth0")
        self.namespace.ip("address", "add", f"192.168.{n}.1/24", "dev", "lan0")
        self.namespace.ip("address", "add", f"fd00:{n}::1/64", "dev", "lan0")
        lan.ip("address", "add", f"192.168.{n}.2/24", "dev", "eth0")
        lan.ip("address", "add", f"fd00:{n}::2/64", "dev", "eth0")
        lan.ip("route", "add", "default", "via", f"192.168.{n}.1")
        lan.ip("route", "add", "default", "via", f"fd00:{n}::1")
        self.lan_prefixes += [f"192.168.{n}.0/24", f"fd00:{n}::/64"]
        return lan

    # --- configuration ---

    def write_daemon_config(self, peers, rekey_interval_s=2, **options):
        """`options`: outer = 4 or 6, device and peer = further lines for these sections, allowed = further prefixes of every peer,
        without_endpoint."""
        text = (f'[device]\nname = "quipu0"\nprivate_key_file = "{self.folder}/device.key"\nlisten_port = 51900\n'
                f'addresses = ["{self.inner4}/24", "{self.inner6}/64"]\nstate_dir = "{self.folder}"\n'
                f'control_socket = "{self.control.path}"\n{options.get("device", "")}\n[kms.local]\nurl = "https://127.0.0.1:8014"\n'
                f'sae_id = "sae-{self.letter}"\n{self.world.authority.lines(f"sae-{self.letter}")}\n')
        for peer in peers:
            outer = f"[{peer.outer6}]" if options.get("outer") == 6 else peer.outer4
            allowed = [f"{peer.inner4}/32", f"{peer.inner6}/128"] + peer.lan_prefixes + options.get("allowed", [])
            text += (f'[[peer]]\nname = "site-{peer.letter}"\npublic_key = "{peer.public_key}"\n'
                     f'psk_file = "{self.world.psk_file(self, peer)}"\nallowed_ips = {json.dumps(allowed)}\n'
                     f'rekey_interval_s = {rekey_interval_s}\n'
                     f'sources = [{{ kms = "local", peer_sae_id = "sae-{peer.letter}", simulated = true }}]\n{options.get("peer", "")}\n')
            if not options.get("without_endpoint"):
                text += f'endpoint = "{outer}:51900"\n'
        return self._write("quipu.toml", text)

    def write_kms_config(self, peers, skr_bit_s=100_000, relayed=(), relay_stock_bit=1048576, relay_paths=1, trusted_node=False,
                         second_sae=False):
        """`peers` share a QKD link with this site; with those of `relayed`, key comes over trusted nodes.
        `second_sae`: the KME serves an SAE that other KMEs do not know, too, as "sae-a2" at site a."""
        lines = self.world.authority.lines(f"kme-{self.letter}")
        text = (f'[kme]\nid = "kme-{self.letter}"\nstore = "{self.folder}/kms.db"\n'
                f'store_key_file = "{self.folder}/kms-store.key"\ncontrol_socket = "{self.kms_control.path}"\n\n'
                f'[etsi014]\nlisten = "127.0.0.1:8014"\n{lines}\n[km_link]\nlisten = "{self.km}:8020"\n{lines}\n'
                f'[[sae]]\nid = "sae-{self.letter}"\n')
        if second_sae:
            self.world.authority.issue(f"sae-{self.letter}2", "127.0.0.1")
            text += f'[[sae]]\nid = "sae-{self.letter}2"\n'
        for peer in peers:
            alice, bob = sorted((self, peer), key=lambda site: site.number)
            text += (f'\n[[peer_kme]]\nid = "kme-{peer.letter}"\naddress = "{peer.km}:8020"\nsaes = ["sae-{peer.letter}"]\n'
                     f'\n[[link]]\nname = "{alice.letter}-{bob.letter}"\npeer_kme = "kme-{peer.letter}"\ndriver = "sim"\n'
                     f'allow_simulated = true\n[link.options]\nrole = "{"alice" if self is alice else "bob"}"\n'
                     f'fibre = "{alice.km}:{8030 + bob.number}"\nskr_bit_s = {skr_bit_s}\nqber = 0.019\ninitial_bits = 1048576\n')
        for peer in relayed:
            text += (f'\n[[peer_kme]]\nid = "kme-{peer.letter}"\naddress = "{peer.km}:8020"\nsaes = ["sae-{peer.letter}"]\n'
                     f'relay_stock_bit = {relay_stock_bit}\nrelay_paths = {relay_paths}\n')
        if trusted_node or self.entropy_source:
            text += f'\n[relay]\ntrusted_node = {json.dumps(trusted_node)}\n'
        if self.entropy_source:
            text += f'entropy_source = "{self.entropy_source}"\n'
        return self._write("kms.toml", text)

    # --- programs ---

    def start_daemon(self):
        self.daemon = self.namespace.start(PROGRAMS / "quipud", "--config", self.folder / "quipu.toml",
                                           log=self.folder / "quipud.log", STATE_DIRECTORY=str(self.service_state))

    def start_kms(self):
        self.kms = self.namespace.start(PROGRAMS / "quipu-kmsd", "--config", self.folder / "kms.toml",
                                        log=self.folder / "quipu-kmsd.log")

    def wait_ready(self):
        def answers():
            if self.daemon.poll() is not None:
                raise AssertionError(f"quipud of site {self.letter} ended:\n{self.log()}")
            return self.control.ask("status")

        wait_until(answers, f"quipud of site {self.letter} answers")

    def stop_daemon(self, how=signal.SIGTERM):
        """The exit code."""
        self.daemon.send_signal(how)
        return self.daemon.wait(timeout=30)

    def stop_kms(self, how=signal.SIGTERM):
        self.kms.send_signal(how)
        return self.kms.wait(timeout=30)

    def log(self, name="quipud.log"):
        path = self.folder / name
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def whole_log(self):
        return self.folder.joinpath("quipud.log").read_text(errors="replace")

    def move_stamps(self, by):
        """The durable counter of the daemon, which does not run: the file of src/store/stamp_file.cpp."""
        path = self.folder / "stamps"
        head, end, _ = path.read_text().splitlines()
        text = f"{head}\nend {int(end.split()[1]) + by}\n"
        total = 0xcbf29ce484222325
        for octet in text.encode():
            total = (total ^ octet) * 0x100000001b3 % 2**64
        path.write_text(f"{text}sum {total:016x}\n")

    def own_routes(self):
        """Our rules, and our routes of every table."""
        return sorted(line.strip() for family in ("-4", "-6")
                      for words in (("rule", "show", "pref", "81"), ("route", "show", "table", "all", "proto", "81"))
                      for line in self.namespace.ip(family, *words).splitlines())

    def ask(self, path, body, sae=None):
        """Status and decoded body of one request of this site's SAE, or another one, to its KME."""
        pki = self.world.authority.folder
        name = sae or f"sae-{self.letter}"
        out = self.namespace.run("curl", "-sS", "--max-time", "10", "--cacert", pki / "ca.pem", "--cert", pki / f"{name}.pem",
                                 "--key", pki / f"{name}.key", "-H", "Content-Type: application/json", "-d", json.dumps(body),
                                 "-w", "\n%{http_code}", f"https://127.0.0.1:8014/api/v1/keys/{path}")
        text, _, status = out.rpartition("\n")
        return int(status), json.loads(text) if text else None

    # --- what it says ---

    def status(self):
        return self.control.result("status")

    def tunnel(self, peer):
        return next(tunnel for tunnel in self.status()["tunnels"] if tunnel["peer"] == f"site-{peer.letter}")

    def is_up(self, peer):
        return self.tunnel(peer)["state"] == "up"

    def lost(self):
        """Data packets dropped for any reason but a full queue, and datagrams of no tunnel."""
        status = self.status()
        return {reason: count for table in [status["drops"]] + [tunnel["drops"] for tunnel in status["tunnels"]]
                for reason, count in table.items() if count}

    def reaches(self, peer):
        return self.namespace.pings(peer.inner4) == 1


class World:
    """The outside, the KM network and so many sites; removed again by close()."""

    def __init__(self, count):
        self.name = fresh_name()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.namespaces = []
        self.sites = []
        try:
            self.authority = Authority(self.folder / "pki")
            self.outside = self._namespace("outside")
            self.km_network = self._namespace("km")
            self.km_network.ip("link", "add", "bridge0", "type", "bridge")
            self.km_network.ip("link", "set", "bridge0", "up")
            for number in range(1, count + 1):
                self.sites.append(Site(self, number))
        except BaseException:
            self.close()
            raise

    def _namespace(self, suffix):
        self.namespaces.append(Namespace(f"{self.name}-{suffix}"))
        return self.namespaces[-1]

    def psk_file(self, one, other):
        """The pair's pre-shared key; the same file serves both ends."""
        path = self.folder / f"{min(one.letter, other.letter)}-{max(one.letter, other.letter)}.psk"
        if not path.exists():
            path.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            path.chmod(0o600)
        return path

    def start(self, pairs, **options):
        """Both daemons of every site, with a tunnel for each pair; the options are those of write_daemon_config."""
        self.start_kmss(pairs)
        for site in self.sites:
            site.write_daemon_config(peers_of(site, pairs), **options)
            site.start_daemon()
        for site in self.sites:
            site.wait_ready()

    def start_kmss(self, pairs, relayed=(), trusted_nodes=(), **options):
        """With a QKD link for each pair, and relay between those of `relayed`; the options are those of write_kms_config."""
        for site in self.sites:
            site.write_kms_config(peers_of(site, pairs), relayed=peers_of(site, relayed), trusted_node=site in trusted_nodes,
                                  **options)
            site.start_kms()
        for site in self.sites:
            wait_until(lambda: self._has_keys(site), f"the KMS of site {site.letter} has keys")

    @staticmethod
    def _has_keys(site):
        if site.kms.poll() is not None:
            raise AssertionError(f"quipu-kmsd of site {site.letter} ended:\n{site.log('quipu-kmsd.log')}")
        reply = site.kms_control.ask("status")
        return reply and all(pool["stock_bits"] > 0 for pool in reply["result"]["pools"])

    def close(self):
        for site in self.sites:
            for process in (site.daemon, site.kms):
                if process is not None and process.poll() is None:
                    process.terminate()
                    try:
                        process.wait(timeout=10)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        process.wait()
        for namespace in self.namespaces:
            namespace.delete()
        if not os.environ.get("QUIPU_KEEP_FILES"):
            shutil.rmtree(self.folder, ignore_errors=True)


def set_up_pair(case, **options):
    """For setUpClass: two sites with a tunnel between them, case.a and case.b of case.world."""
    case.world = World(2)
    case.addClassCleanup(case.world.close)
    case.a, case.b = case.world.sites
    case.world.start([(case.a, case.b)], **options)


def peers_of(site, pairs):
    return [b if a is site else a for a, b in pairs if site in (a, b)]


def regular_initiator(one, other):
    """The end that starts handshakes, and the other: docs/protocol.md, "Who initiates"."""
    return sorted((one, other), key=lambda site: base64.b64decode(site.public_key))
