# SPDX-License-Identifier: Apache-2.0
"""Runs the main job in a laboratory of two sites and measures it. Called by scripts/demo, as root."""

import argparse
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

REKEY_INTERVAL_S = 2
LEAST_REKEYS = 5
LATENCY_REKEYS = 50
FILE_MIB = 32
PROBES_PER_S = 200
PATIENCE_S = 90
ANSWER_PATIENCE_S = 20
# What is run besides our own programs; scripts/setup demo installs it.
TOOLS = ("ip", "ping", "scp", "ssh", "ssh-keygen", "sshd")
# Each of them ends the demonstration in order, by an exception.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Data packets dropped for a reason that a rekey can cause.
REKEY_DROPS = ("blocked", "key_limit", "unknown_index", "expired_key", "failed_open", "replay")
# Those that explain a packet's loss when they are full: the machine's and the tunnel's.
QUEUES = ("queue_full", "tun", "udp_receive", "udp_send")


def require_tools(programs):
    """Nothing is begun that could not be ended."""
    # Where an admin's tools are, even if the caller's PATH leaves them out.
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        raise Failure(f"not found: {', '.join(missing)}; 'scripts/setup demo' installs what is missing")
    if not (programs / "quipu").is_file():
        raise Failure(f"there is no program quipu in {programs}; scripts/demo builds it")


class Failure(Exception):
    """Something that the demonstration promises did not hold; the text says what."""


def say(text):
    print(f"== {text}", flush=True)


def call(*arguments, **options):
    try:
        result = subprocess.run(arguments, capture_output=True, text=True, **options)
    except OSError as error:
        raise Failure(f"'{arguments[0]}' cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as hanging:
        raise Failure(f"'{' '.join(map(str, arguments))}' has not ended after {hanging.timeout:.0f} s") from hanging
    if result.returncode != 0:
        raise Failure(f"'{' '.join(map(str, arguments))}' failed (exit {result.returncode}): {result.stderr.strip()}")
    return result.stdout


def controls(path, verb, times):
    """So many requests over a daemon's control socket, put at once; each is begun when the one before it is answered. The results."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(30)
            connection.connect(path)
            connection.sendall((json.dumps({"verb": verb}) + "\n").encode() * times)
            replies = connection.makefile()
            for _ in range(times):
                reply = json.loads(replies.readline())
                if not reply["ok"]:
                    raise Failure(f"{verb} at {path}: {reply['error']['message']}")
                yield reply["result"]
        except (OSError, ValueError) as error:
            raise Failure(f"the daemon at {path} does not answer '{verb}': {error}") from error


def control(path, verb):
    return next(controls(path, verb, 1))


class Laboratory:
    """`quipu lab`: up when entered, down when left, whatever happens in between."""

    def __init__(self, programs):
        self.quipu = programs / "quipu"
        self.id = secrets.token_hex(3)

    def __enter__(self):
        options = ["--rekey-interval", str(REKEY_INTERVAL_S), "--json"]
        try:
            # In a session of its own: a Ctrl-C that ended it as well would end it before this program knows.
            up = json.loads(call(self.quipu, "lab", "up", self.id, *options, start_new_session=True))
        except Failure:
            raise  # it has taken down what it made
        except BaseException:
            self.take_down(stderr=subprocess.DEVNULL)
            raise
        self.tunnel_up_s = up["tunnel_up_s"]
        self.sites = up["sites"]
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is not None:
                self.show_logs()
        finally:
            is_gone = self.take_down()
        # Where something else went wrong before, that is what is told.
        if kind is None and not is_gone:
            raise Failure(f"the two sites were not taken down whole; 'quipu lab down {self.id}' tries again")

    def take_down(self, **options):
        """Whether nothing of it is left; what is left, `quipu` says."""
        # Whoever is impatient now would leave two sites behind.
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        return subprocess.run([self.quipu, "lab", "down", self.id], check=False, **options).returncode == 0

    def show_logs(self):
        for site in self.sites:
            for log in sorted(pathlib.Path(site["folder"]).glob("*.log")):
                tail = log.read_text(errors="replace").splitlines()[-15:]
                print(f"-- {log}", *tail, sep="\n", file=sys.stderr)

    def inside(self, site):
        return ["ip", "netns", "exec", self.sites[site]["network_namespace"]]

    def status(self, site):
        return control(self.sites[site]["control_socket"], "status")

    def tunnel(self, site):
        return self.status(site)["tunnels"][0]

    def kms(self, site):
        return control(self.sites[site]["kms_control_socket"], "status")

    def idle_rss_mib(self):
        """Resident memory of each daemon, by site and program."""
        resident = {}
        for site in self.sites:
            for pid, _ in site["processes"]:
                memory = re.search(r"Name:\s+(\S+)\n(?s:.*)VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
                if not memory:
                    raise Failure(f"a daemon of site {site['site']} has ended")
                resident[f"{site['site']}/{memory[1]}"] = round(int(memory[2]) / 1024, 1)
        return resident

    def status_command(self, site):
        return [self.quipu, "--socket", self.sites[site]["control_socket"], "--kms-socket", self.sites[site]["kms_control_socket"], "status"]

    def wait_until_well(self, site):
        """The tunnel carries packets before the KMS has heard from its device that it runs."""
        give_up = time.monotonic() + PATIENCE_S
        while (asked := subprocess.run(self.status_command(site), capture_output=True, text=True, check=False)).returncode != 0:
            if time.monotonic() > give_up:
                raise Failure(f"after {PATIENCE_S} s not all is well at a site:\n{asked.stdout}{asked.stderr}")
            time.sleep(0.1)

    def show_status(self, site):
        subprocess.run(self.status_command(site), check=False)


def pam_is_needed(shadow=pathlib.Path("/etc/shadow")):
    """sshd's yes or no: without PAM, sshd lets nobody in whose password is locked, not by a key either; with it, what this machine's
    administrator has set up for logins applies, which is no matter of the demonstration."""
    return "yes" if re.search(r"^root:!", shadow.read_text(), re.MULTILINE) else "no"


class SshServer:
    """sshd inside site b, for this run only: host key, user key and settings lie in a folder of the run."""

    def __init__(self, laboratory, folder):
        self.laboratory, self.folder = laboratory, folder

    def __enter__(self):
        for name in ("host", "user"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name)
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        settings = self.folder / "sshd_config"
        settings.write_text(
            f"ListenAddress {self.laboratory.sites[1]['tunnel_address']}:22\nHostKey {self.folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder}/user.pub\nStrictModes no\nUsePAM {pam_is_needed()}\nPermitRootLogin yes\n"
            "Subsystem sftp internal-sftp\n")
        command = self.laboratory.inside(1) + [shutil.which("sshd"), "-D", "-e", "-f", settings]
        self.log = open(self.folder / "sshd.log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def copy(self, source, target, patience_s):
        """scp from site a to site b; repeats only while sshd does not listen yet."""
        options = ["-q", "-i", self.folder / "user", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
                   "-o", f"UserKnownHostsFile={self.folder}/known", "-c", "aes128-gcm@openssh.com", "-o", "ConnectTimeout=5",
                   "-o", "ConnectionAttempts=5"]
        address = self.laboratory.sites[1]["tunnel_address"]
        call(*self.laboratory.inside(0), "scp", *options, source, f"root@{address}:{target}", timeout=patience_s)


class Probe:
    """A sequence-numbered stream beside what is measured: echo requests, 200 a second or as many as ping comes to under load."""

    REPLY = re.compile(r"^\[([\d.]+)\] \d+ bytes from .* icmp_seq=(\d+) .* time=([\d.]+) ms$", re.MULTILINE)

    def __init__(self, laboratory, folder):
        self.output = folder / "probe"
        address = laboratory.sites[1]["tunnel_address"]
        self.command = laboratory.inside(0) + ["ping", "-n", "-D", "-i", str(1 / PROBES_PER_S), address]

    def __enter__(self):
        self.file = open(self.output, "wb")
        self.process = subprocess.Popen(self.command, stdout=self.file)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.file.close()

    def answered(self):
        """When each that was answered was sent, and the seconds that it took, by its number."""
        replies = self.REPLY.findall(self.output.read_text())
        return {int(number): (float(end_s) - float(ms) / 1e3, float(ms) / 1e3) for end_s, number, ms in replies}

    def so_far(self):
        """What answered() says once a probe sent from now on is answered: nothing that was sent before it is under way any more."""
        now, give_up = time.time(), time.monotonic() + ANSWER_PATIENCE_S
        while time.monotonic() <= give_up:
            answered = self.answered()
            if any(sent >= now for sent, _ in answered.values()):
                return answered
            time.sleep(0.05)
        raise Failure(f"no probe was answered any more for {ANSWER_PATIENCE_S} s")


class QueueWatch:
    """Looks at the counters of full queues ten times a second: `spans` of wall-clock time, from one look to the next, in which they
    moved."""

    def __init__(self, laboratory):
        self.laboratory, self.spans, self.error = laboratory, [], None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is None and self.error:
            raise self.error

    def watch(self):
        try:
            begin, count = time.time(), dropped(self.laboratory)[1]
            ending = False
            while not ending:
                ending = self.over.wait(0.1)
                looked = time.time()
                before, count = count, dropped(self.laboratory)[1]
                if count != before:
                    self.spans.append((begin, time.time()))
                begin = looked
        except Failure as failure:
            self.error = failure


def time_on_the_way(number, answered):
    """About when a probe without an answer was sent, and until when it or its answer was on the way at most, by its nearest neighbours
    with an answer."""
    before = max((n for n in answered if n < number), default=None)
    after = min((n for n in answered if n > number), default=None)
    took = max(answered[n][1] for n in (before, after) if n is not None)
    if before is None:
        sent = answered[after][0] - (after - number) / PROBES_PER_S
    elif after is None:
        sent = answered[before][0] + (number - before) / PROBES_PER_S
    else:
        sent = answered[before][0] + (answered[after][0] - answered[before][0]) * (number - before) / (after - before)
    return sent, sent + took


def missing_probes(answered):
    """Those up to the last one that was answered that were not."""
    return sorted(set(range(1, max(answered, default=0))) - set(answered))


def lost_probes(missing, answered, spans):
    """Those of the missing ones that no full queue explains: none was full while they were on the way."""
    if not answered:
        return missing
    times = {number: time_on_the_way(number, answered) for number in missing}
    # A tenth of a second either way, because ping's clock is read when it prints.
    return [number for number in missing
            if not any(begin - 0.1 <= times[number][1] and times[number][0] <= end + 0.1 for begin, end in spans)]


def sha256(path):
    running = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            running.update(chunk)
    return running.hexdigest()


def make_file(path):
    with open(path, "wb") as file:
        for _ in range(FILE_MIB):
            file.write(os.urandom(1 << 20))


def copy_files(laboratory, server, folder, least_bytes):
    """Copies until both the octets and the rekeys are there; octets, seconds spent in scp, and whether every file arrived whole."""
    source, carried, busy_s, whole, first_rekeys = folder / "sent", 0, 0.0, True, laboratory.tunnel(0)["rekeys"]
    make_file(source)
    expected = sha256(source)
    give_up = time.monotonic() + PATIENCE_S
    while carried < least_bytes or laboratory.tunnel(0)["rekeys"] - first_rekeys < LEAST_REKEYS:
        begin = time.monotonic()
        if begin > give_up:
            raise Failure(f"after {PATIENCE_S} s only {carried >> 20} MiB and {laboratory.tunnel(0)['rekeys'] - first_rekeys} rekeys")
        target = folder / "received"
        server.copy(source, target, give_up - begin)
        busy_s += time.monotonic() - begin
        whole = whole and sha256(target) == expected
        carried += source.stat().st_size
        target.unlink()
    return carried, busy_s, whole, laboratory.tunnel(0)["rekeys"] - first_rekeys


def dropped(laboratory):
    """Both ends' data packets dropped so far: by each reason that a rekey can cause, and those of full queues."""
    by_rekey, by_queues = dict.fromkeys(REKEY_DROPS, 0), 0
    for status in map(laboratory.status, (0, 1)):
        for table in [status["drops"]] + [tunnel["drops"] for tunnel in status["tunnels"]]:
            for reason in set(table) & set(REKEY_DROPS):
                by_rekey[reason] += table[reason]
        for table in [status["queue_drops"]] + [tunnel["queue_drops"] for tunnel in status["tunnels"]]:
            by_queues += sum(table.get(queue, 0) for queue in QUEUES)
    return by_rekey, by_queues


def dropped_since(laboratory, before):
    (by_rekey, by_queues), (rekey_before, queues_before) = dropped(laboratory), before
    return {reason: count - rekey_before[reason] for reason, count in by_rekey.items()}, by_queues - queues_before


def rekeys_in_pairs(laboratory):
    """Latencies in ms of all rekeys, and of those among them whose key was not fetched ahead: as a rule each second one, since they are
    asked for in pairs. An end begins two at once, and then one in a quarter of the rekey interval (0.25 to 1 s): pairs with a pause between
    them take no longer than one after the other."""
    initiator = next((site for site in (0, 1) if laboratory.tunnel(site)["initiator"]), None)
    if initiator is None:
        raise Failure("neither site says that it begins the handshakes")
    every, cold = [], []
    while len(every) < LATENCY_REKEYS:
        if every:
            time.sleep(REKEY_INTERVAL_S / 2)
        for result in controls(laboratory.sites[initiator]["control_socket"], "rekey", 2):
            if not result["rekeys"]:
                raise Failure(f"after {len(every)} rekeys on request the tunnel was not rekeyed again")
            for rekey in result["rekeys"]:
                every.append(rekey["latency_ms"])
                if not rekey["key_prefetched"]:
                    cold.append(rekey["latency_ms"])
    return every, cold


def key_counts(laboratory):
    """Of site a: QKD keys that entered an epoch of the tunnel, and keys that its KMS has handed out."""
    return {
        "keys_used": laboratory.tunnel(0)["qkd_keys_used"],
        "keys_delivered": sum(pool["delivered_keys"] for pool in laboratory.kms(0)["pools"]),
    }


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else None


def measure(laboratory, folder, least_bytes):
    for site in (0, 1):
        laboratory.wait_until_well(site)
    for site in (0, 1):
        laboratory.show_status(site)
    resident, before = laboratory.idle_rss_mib(), dropped(laboratory)
    with QueueWatch(laboratory) as queues, SshServer(laboratory, folder) as server, Probe(laboratory, folder) as probe:
        say(f"copying files by scp, at least {least_bytes >> 20} MiB and {LEAST_REKEYS} rekeys (every {REKEY_INTERVAL_S} s)")
        carried, busy_s, whole, rekeys = copy_files(laboratory, server, folder, least_bytes)
        answered = probe.so_far()
    missing = missing_probes(answered)
    lost = lost_probes(missing, answered, queues.spans)
    queue_drops = dropped_since(laboratory, before)[1]
    say(f"{LATENCY_REKEYS} rekeys, two at a time, as often as an end begins them")
    # With nothing else in the tunnel no queue is full: here every probe counts.
    with Probe(laboratory, folder) as probe:
        latencies, cold = rekeys_in_pairs(laboratory)
        answered_idle = probe.so_far()
    lost_idle = missing_probes(answered_idle)
    rekey_drops = dropped_since(laboratory, before)[0]
    protection = [laboratory.tunnel(site)["protection_achieved"] for site in (0, 1)]
    return {
        "scp_bytes": carried,
        "scp_sha256_match": whole,
        "scp_mbit_per_s": round(carried * 8 / busy_s / 1e6, 1),
        "rekeys": rekeys,
        "packets_lost": sum(rekey_drops.values()) + max(len(lost), len(missing) - queue_drops) + len(lost_idle),
        "rekey_drops": {reason: count for reason, count in rekey_drops.items() if count},
        "queue_drops": queue_drops,
        "probes_sent": max(answered),
        "probes_missing": missing,
        "probes_lost": lost,
        "idle_probes_sent": max(answered_idle),
        "idle_probes_lost": lost_idle,
        "rekey_latency_ms": {"p50": round(percentile(latencies, 0.5), 2), "p99": round(percentile(latencies, 0.99), 2), "rekeys": len(latencies)},
        "rekey_cold_ms": round(statistics.median(cold), 2) if cold else None,
        "rekeys_cold": len(cold),
        **key_counts(laboratory),
        "protection": protection,
        "tunnel_up_s": round(laboratory.tunnel_up_s, 2),
        "idle_rss_mib": resident,
    }


def failures(figures, least_bytes):
    """What did not hold, as sentences."""
    promises = {
        "not enough was carried": figures["scp_bytes"] >= least_bytes,
        "a file arrived changed": figures["scp_sha256_match"],
        "too few rekeys under way": figures["rekeys"] >= LEAST_REKEYS,
        "packets were lost": figures["packets_lost"] == 0,
        "too few rekeys were measured": figures["rekey_latency_ms"]["rekeys"] >= 50,
        "a site runs without QKD keys": all("qkd(1)" in text for text in figures["protection"]),
    }
    return [text for text, held in promises.items() if not held]


def demonstrate(options):
    require_tools(options.bin)
    say("bringing up two sites")
    with tempfile.TemporaryDirectory(prefix="quipu-demo-") as folder, Laboratory(options.bin.resolve()) as laboratory:
        figures = measure(laboratory, pathlib.Path(folder), options.mib << 20)
    broken = failures(figures, options.mib << 20)
    return {"ok": not broken, **({"error": "; ".join(broken)} if broken else {}), **figures}


def write_figures(path, figures):
    if path is None:
        return
    try:
        # Not made anew: root may not do that to another's file in a folder like /tmp. scripts/demo has made it, as the caller.
        with open(path, "w", opener=lambda name, flags: os.open(name, flags & ~os.O_CREAT)) as file:
            file.write(json.dumps(figures) + "\n")
    except OSError as error:
        sys.exit(f"demo: {path}: {error.strerror}")


def end(number, _):
    sys.exit(f"demo: ended by {signal.Signals(number).name}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--mib", type=int, default=256)
    options = parser.parse_args()
    for number in ENDING:
        signal.signal(number, end)
    try:
        # What an earlier run has left there is not this one's, however it ends.
        write_figures(options.json, {"ok": False, "error": "the demonstration did not come to its end"})
        figures = demonstrate(options)
    except (Failure, OSError) as failure:
        write_figures(options.json, {"ok": False, "error": str(failure)})
        sys.exit(f"demo: {failure}")
    print(json.dumps(figures, indent=2))
    write_figures(options.json, figures)
    if not figures["ok"]:
        sys.exit(f"demo: {figures['error']}")
    say("everything held: whole files, enough rekeys under way, no packet lost; the sites are down again")


if __name__ == "__main__":
    main()
