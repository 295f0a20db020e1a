# SPDX-License-Identifier: Apache-2.0
"""Two KMSs in one network namespace, SAEs that fetch keys from both, the ledger of every key that was handed out, and disasters.

  127.0.0.1  kme-a  <== KM link, simulated fibre ==>  kme-b  127.0.0.2
  127.0.0.3  a clone of kme-a
"""

import base64
import collections
import contextlib
import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import sqlite3
import ssl
import tempfile
import threading

from sites import Authority, Control
from support import Namespace, fresh_name, in_namespace, wait_until

KEPT_COPIES = 8
SLOT = 32  # octets; each key here is one
HELD, USABLE = 1, 2  # states of blocks
ENDS = ("held", "stock", "leased", "delivered", "consumed", "burnt", "expired", "voided")  # of what was received
PATIENCE_S = 60  # after a disaster, on a machine that does much else


class Ledger:
    """Every key that any copy of any site handed out, and the rules of single use that were broken."""

    def __init__(self):
        self.violations = []
        self.pairs = 0  # keys that both ends have
        self.delivered = collections.Counter()  # keys that each SAE got
        self.unanswered = collections.Counter()  # keys that it asked for without an answer: perhaps delivered
        self.fetches = self.lost_fetches = 0  # requests with dec_keys for what the master got; those that the slave's KMS refused
        self._keys = {}  # key_ID -> (key, SAEs that have it)
        self._ids = {}  # key -> key_ID
        self._lock = threading.Lock()

    def record(self, sae, container):
        with self._lock:
            for entry in container["keys"]:
                self._record(sae, entry["key_ID"], base64.b64decode(entry["key"]))

    def _record(self, sae, key_id, key):
        known, holders = self._keys.setdefault(key_id, (key, set()))
        if known != key:
            self.violations.append(f"two keys under key_ID {key_id}")
        if sae in holders:
            self.violations.append(f"key_ID {key_id} handed twice to {sae}")
        if self._ids.setdefault(key, key_id) != key_id:
            self.violations.append(f"one key under key_IDs {self._ids[key]} and {key_id}")
        holders.add(sae)
        self.delivered[sae] += 1
        self.pairs += len(holders) == 2

    def note(self, sae, number, status):
        with self._lock:
            self.unanswered[sae] += number if status is None else 0

    def note_fetch(self, sae, number, status):
        self.note(sae, number, status)
        with self._lock:
            self.fetches += 1
            self.lost_fetches += status not in (None, 200, 503)


class Client:
    """One SAE's connection to one KMS, made anew when it has gone. For a thread in the namespace."""

    def __init__(self, authority, sae, address):
        self._context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
        self._context.load_cert_chain(authority.folder / f"{sae}.pem", authority.folder / f"{sae}.key")
        self._address = address
        self._connection = None

    def post(self, path, body):
        """Status and decoded body; None when there was no answer."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(self._address, 8014, context=self._context, timeout=PATIENCE_S)
            self._connection.request("POST", f"/api/v1/keys/{path}", json.dumps(body), {"Content-Type": "application/json"})
            reply = self._connection.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException):
            self.close()
            return None, None

    def close(self):
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Load(threading.Thread):
    """Fetches keys at one site as a master and at the other as the slave, until stopped."""

    def __init__(self, story, master, slave, address=None):
        super().__init__(daemon=True)
        self._story, self._master, self._slave = story, master, slave
        self._address = address or master.address
        self._ended = threading.Event()
        self.pairs = 0
        self.start()

    def run(self):
        in_namespace(self._story.namespace.name, self._fetch)

    def _fetch(self):
        authority, ledger = self._story.authority, self._story.ledger
        master, slave = Client(authority, self._master.sae, self._address), Client(authority, self._slave.sae, self._slave.address)
        number = 0
        while not self._ended.is_set():
            number = number % 8 + 1
            status, keys = master.post(f"{self._slave.sae}/enc_keys", {"number": number})
            ledger.note(self._master.sae, number, status)
            if status == 200:
                ledger.record(self._master.sae, keys)
                ids = [{"key_ID": key["key_ID"]} for key in keys["keys"]]
                status, keys = slave.post(f"{self._master.sae}/dec_keys", {"key_IDs": ids})
                ledger.note_fetch(self._slave.sae, number, status)
            if status == 200:
                ledger.record(self._slave.sae, keys)
                self.pairs += 1
            else:
                self._ended.wait(0.005)  # asks again, as SAEs do
        master.close()
        slave.close()

    def stop(self):
        self._ended.set()


class Kme:
    """One machine with a copy of a site's KMS."""

    def __init__(self, story, letter, address, folder):
        self.story, self.letter, self.address, self.folder = story, letter, address, folder
        self._previous_key = folder / "previous.key"
        self.sae = f"sae-{letter}"
        self.control = Control(folder / "control.sock")
        self.process = None
        folder.mkdir()
        self._write("store.key", base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        self.configure()

    def configure(self):
        self._write("kms.toml", self._config())

    def make_store_key(self):
        """A new one, of which a reload or start takes note; the one before is named beside it."""
        self.folder.joinpath("store.key").rename(self._previous_key)
        self._write("store.key", base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        self.configure()

    def forget_previous_key(self):
        self._previous_key.unlink()
        self.configure()

    def _write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)

    def _config(self):
        lines = self.story.authority.lines(f"kme-{self.letter}")
        peer, peer_address = ("b", "127.0.0.2") if self.letter == "a" else ("a", "127.0.0.1")
        fibre = self.address if self.letter == "a" else peer_address
        previous = f'previous_store_key_file = "{self._previous_key}"\n' if self._previous_key.exists() else ""
        return (f'[kme]\nid = "kme-{self.letter}"\nstore = "{self.folder}/kms.db"\nstore_key_file = "{self.folder}/store.key"\n{previous}'
                f'control_socket = "{self.control.path}"\n\n[etsi014]\nlisten = "{self.address}:8014"\n{lines}\n'
                f'[km_link]\nlisten = "{self.address}:8020"\n{lines}\n[[sae]]\nid = "{self.sae}"\n\n'
                f'[[peer_kme]]\nid = "kme-{peer}"\naddress = "{peer_address}:8020"\nsaes = ["sae-{peer}"]\n\n'
                f'[[link]]\nname = "a-b"\npeer_kme = "kme-{peer}"\ndriver = "sim"\nallow_simulated = true\n'
                f'[link.options]\nrole = "{"alice" if self.letter == "a" else "bob"}"\nfibre = "{fibre}:8030"\n'
                f'skr_bit_s = {self.story.skr_bit_s}\ninitial_bits = {self.story.initial_bits}\n'
                f'block_octets = {self.story.block_octets}\n')

    def start(self):
        """With a log of its own."""
        self.folder.joinpath("log").unlink(missing_ok=True)
        self.process = self.story.namespace.start(self.story.program, "--config", self.folder / "kms.toml",
                                                  log=self.folder / "log")

    def kill(self, how=signal.SIGKILL):
        """The exit code."""
        if self.process is None:
            return None
        self.story.interruptions += 1
        self.process.send_signal(how)
        if how == signal.SIGKILL:
            self.process.send_signal(signal.SIGCONT)
        code = self.process.wait(timeout=PATIENCE_S)
        self.process = None
        return code

    def stand_still(self):
        """Until SIGCONT. When this returns, no thread of it is within a write any more."""
        self.story.interruptions += 1
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def lives(self):
        if self.process.poll() is not None:
            raise AssertionError(f"quipu-kmsd {self.letter} ended by itself:\n{self.log()[-4000:]}")
        if "event=out_of_service " in self.log():
            raise AssertionError(f"quipu-kmsd {self.letter} is out of service:\n{self.log()[-4000:]}")
        return True

    def pool(self):
        status = self.control.ask("status")
        return status["result"]["pools"][0] if status else {"stock_bits": -1, "km_link_reason": ""}

    def stock_bits(self):
        return self.pool()["stock_bits"]

    # --- its disk ---

    def copy_disk(self, folder):
        """Of a process that stands still."""
        folder.mkdir(exist_ok=True)
        for path in self.folder.glob("kms.db*"):
            shutil.copy(path, folder / path.name)

    def restore_disk(self, folder):
        for path in self.folder.glob("kms.db*"):
            path.unlink()
        for path in folder.glob("kms.db*"):
            shutil.copy(path, self.folder / path.name)

    def expect_sound(self):
        """Of a process that has ended: the books agree with the rows, and have no more as delivered than SAEs can have got here. In
        octets what they have."""
        with contextlib.closing(sqlite3.connect(self.folder / "kms.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            database.row_factory = sqlite3.Row
            books = database.execute("SELECT * FROM pools").fetchone()
            held, usable = (database.execute("SELECT coalesce(sum(length), 0) FROM blocks WHERE state = ?", (state,)).fetchone()[0]
                            for state in (HELD, USABLE))
            open_slots = database.execute("SELECT coalesce(sum(length(key_ids) / 16), 0) FROM leases WHERE closed_here = 0").fetchone()[0]
        what = f"the books of kme-{self.letter}: {dict(books)}"
        received = sum(books[column] for column in ENDS)
        assert 0 < books["received"] == received, what
        assert books["held"] == held and books["stock"] <= usable and books["leased"] == open_slots * SLOT, what
        # An older copy of the disk knows less, and a crash burns the leases with what was given of them; what nobody got is
        # delivered only where the answer was lost.
        ledger = self.story.ledger
        assert books["delivered"] <= SLOT * (ledger.delivered[self.sae] + ledger.unanswered[self.sae]), what
        return books["delivered"]


class Story:
    """Site a, site b, and what befalls them. Site a is the one that is restored and cloned."""

    def __init__(self, rng, program, initial_bits=262144, skr_bit_s=1_000_000, block_octets=2048):
        self.rng, self.program, self.initial_bits = rng, program, initial_bits
        self.skr_bit_s, self.block_octets = skr_bit_s, block_octets
        self.ledger = Ledger()
        self.loads = []
        self.kmes = []
        self.interruptions = 0  # times that a KMS was killed or stood still, or was refused by its peer
        self._copies = []  # of a's disk, the newest last
        name = fresh_name()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.namespace = Namespace(f"{name}-kms")
        self.authority = Authority(self.folder / "pki")
        for letter in "ab":
            for role in ("kme", "sae"):
                self.authority.issue(f"{role}-{letter}", "127.0.0.1", "127.0.0.2", "127.0.0.3")
        self.a, self.b = self.kmes = [Kme(self, letter, f"127.0.0.{number}", self.folder / letter)
                                      for number, letter in enumerate("ab", 1)]

    def close(self):
        for load in self.loads:
            load.stop()
        for kme in self.kmes:
            kme.kill()
        self.namespace.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the campaign ---

    def begin(self, stock_bits=0):
        """With so much in stock before the first key is fetched."""
        for kme in self.kmes:
            kme.start()
        wait_until(lambda: all(kme.lives() and kme.stock_bits() >= stock_bits for kme in self.kmes), "there is a stock", PATIENCE_S)
        self.loads = [Load(self, self.a, self.b), Load(self, self.b, self.a)]
        self.wait_for_keys()

    def run(self, disasters):
        """Until the first violation."""
        for disaster in disasters:
            if self.ledger.violations:
                return
            getattr(self, disaster)()
        self.wait_for_keys()

    def end(self):
        """In order, and then nothing is missing. The octets that each KMS has delivered by its books."""
        for load in self.loads:
            load.stop()
            load.join()
        for kme in self.kmes:
            assert kme.kill(signal.SIGTERM) == 0, kme.log()[-4000:]
        return [kme.expect_sound() for kme in self.kmes]

    def wait_for_keys(self):
        """In both directions, from now on."""
        before = [load.pairs for load in self.loads]
        wait_until(lambda: all(kme.lives() for kme in self.kmes)
                   and all(load.pairs > pairs for load, pairs in zip(self.loads, before)), "keys flow", PATIENCE_S)

    def wait_for_fetches(self, number):
        """So many more requests with dec_keys."""
        fetches = self.ledger.fetches + number
        wait_until(lambda: all(kme.lives() for kme in self.kmes) and self.ledger.fetches >= fetches, "keys are fetched", PATIENCE_S)

    # --- disasters ---

    def kill(self):
        """Anywhere: while it starts, or after some keys."""
        struck = self.rng.choice([[self.a], [self.b], [self.a, self.b]])
        self._reach_some_moment(struck[0])
        for kme in struck:
            kme.kill()
        if self.a in struck:
            self._keep_copy()
        for kme in struck:
            kme.start()

    def _reach_some_moment(self, kme):
        if self.rng.random() < 0.4:
            lines = kme.log().count("\n") + self.rng.randrange(1, 5)
            pairs = self.ledger.pairs + 64
            wait_until(lambda: kme.lives() and (kme.log().count("\n") >= lines or self.ledger.pairs >= pairs), "something happens",
                       PATIENCE_S)
        else:
            self.wait_for_keys()
            pairs = self.ledger.pairs + self.rng.randrange(64)
            wait_until(lambda: self.ledger.pairs >= pairs, "keys flow", PATIENCE_S)

    def _keep_copy(self):
        self._copies.append(self.folder / f"copy-{secrets.token_hex(4)}")
        self.a.copy_disk(self._copies[-1])
        if len(self._copies) > KEPT_COPIES:
            shutil.rmtree(self._copies.pop(0))

    def restore(self):
        """An old copy of a's disk, after a time in which it could not tell its peer what it did. Both start anew."""
        self._fall_silent()
        self.b.kill()
        self._restore_a()
        self.b.start()

    def restore_alone(self):
        """The same, while b goes on: the same run, with all that it remembers."""
        run = self.b.process
        self._fall_silent()
        self._restore_a()
        self.b.process.send_signal(signal.SIGCONT)
        assert self.b.process is run and self.b.lives()

    def _fall_silent(self):
        self.wait_for_keys()
        self.a.stand_still()
        self._keep_copy()
        self.a.process.send_signal(signal.SIGCONT)
        self.wait_for_keys()
        self.b.stand_still()
        in_namespace(self.namespace.name, self._drain)
        self.a.kill()

    def _restore_a(self):
        self.a.restore_disk(self.rng.choice(self._copies[-2:] + self._copies))
        self.a.start()

    def _drain(self):
        """Takes at a what it gives while b stands still."""
        client = Client(self.authority, self.a.sae, self.a.address)
        for _ in range(16):
            status, keys = client.post(f"{self.b.sae}/enc_keys", {"number": 64})
            self.ledger.note(self.a.sae, 64, status)
            if status != 200:
                break
            self.ledger.record(self.a.sae, keys)
        client.close()

    def clone(self):
        """A copy of a's disk runs beside it: b refuses both, until the operator has stopped one and restarted the other."""
        self.wait_for_keys()
        clone = Kme(self, "a", "127.0.0.3", self.folder / "clone")
        self.a.stand_still()
        self.a.copy_disk(clone.folder)
        shutil.copy(self.a.folder / "store.key", clone.folder / "store.key")
        self.a.process.send_signal(signal.SIGCONT)
        clone.start()
        self.interruptions += 2  # b refuses both
        load = Load(self, self.a, self.b, clone.address)
        try:
            wait_until(lambda: any("event=this_kme_cloned " in kme.log() for kme in (self.a, clone)), "the clone is noticed", PATIENCE_S)
            assert "event=peer_cloned " in self.b.log()
        finally:
            clone.kill()
            load.stop()
            load.join()
            shutil.rmtree(clone.folder)
        reason = self.b.pool()["km_link_reason"]
        assert "both are refused: stop one of them for good, then restart the other" in reason, reason
        self.a.kill()
        self.a.start()
