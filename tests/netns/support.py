# SPDX-License-Identifier: Apache-2.0
"""What every scenario needs: waiting for conditions, network namespaces, and a test program that skips with a reason."""

import ctypes
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SKIPPED = 77
PATIENCE_S = 30
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
NAMESPACES = pathlib.Path("/run/netns")

PROGRAMS = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None


def wait_until(condition, what, patience_s=PATIENCE_S):
    """The one place where tests wait: polls until the condition is true and returns its value."""
    give_up = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"{what}: not within {patience_s} s")
        time.sleep(0.01)
    return value


def run(*command, check=True, stdin=None):
    """Standard output of a command that must succeed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


def in_namespace(name, function):
    """Runs a function in a thread that lives in the network namespace: sockets made there stay there."""
    outcome = []

    def body():
        try:
            with open(f"/run/netns/{name}") as handle:
                if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {name}")
            outcome.append((function(), None))
        except BaseException as error:  # handed to the caller's thread
            outcome.append((None, error))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


class Namespace:
    """A network namespace that goes with the test."""

    def __init__(self, name):
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        # No neighbour discovery delays for addresses that are new.
        for knob in ("all", "default"):
            self.run("sysctl", "-qw", f"net.ipv6.conf.{knob}.accept_dad=0", f"net.ipv4.conf.{knob}.rp_filter=0",
                     f"net.ipv6.conf.{knob}.forwarding=1", f"net.ipv4.conf.{knob}.forwarding=1")

    def ip(self, *words, check=True):
        return run("ip", "-n", self.name, *words, check=check)

    def run(self, *command, check=True):
        return run("ip", "netns", "exec", self.name, *command, check=check)

    def start(self, *command, log, **environment):
        """A program in this namespace; the process is the program itself, not a wrapper around it."""
        test = os.getpid()
        with open(f"/run/netns/{self.name}") as handle:
            descriptor = handle.fileno()

            def enter():
                libc = ctypes.CDLL(None)
                libc.setns(descriptor, CLONE_NEWNET)
                # It ends with the test, however that ends.
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != test:
                    os._exit(1)

            with open(log, "ab") as output:
                return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                        preexec_fn=enter, start_new_session=True, env={**os.environ, **environment})

    def joined_to(self, other, own_device, other_device):
        """A cable between two namespaces."""
        run("ip", "link", "add", own_device, "netns", self.name, "type", "veth", "peer", "name", other_device, "netns", other.name)
        self.ip("link", "set", own_device, "up")
        other.ip("link", "set", other_device, "up")

    def pings(self, address, count=1, interval_s=0.01):
        """How many echo requests were answered, at most so many. For one a second is enough: who expects it asks again."""
        deadline_s = 1 if count == 1 else PATIENCE_S
        out = self.run("ping", "-q", "-n", "-c", count, "-i", interval_s, "-w", deadline_s, address, check=False)
        for line in out.splitlines():
            if "received" in line:
                # ping goes on asking until it has its answers: where they are late, more may come than that.
                return min(count, int(line.split(" received")[0].split()[-1]))
        return 0

    def delete(self):
        run("ip", "netns", "delete", self.name, check=False)


def fresh_name():
    """What the names of a test's namespaces and folders begin with. It tells whose they are: see remove_abandoned()."""
    return f"qtest-{os.getpid()}-{secrets.token_hex(3)}"


def is_abandoned(path):
    """Whether it has a name of a test that runs no more."""
    test = re.match(r"qtest-(\d+)-[0-9a-f]{6}-", path.name)
    return test and not pathlib.Path(f"/proc/{test[1]}").exists()


def remove_abandoned():
    """The namespaces of tests that were killed, what still runs in them, and the folders of such tests, with private keys in them."""
    for path in filter(is_abandoned, NAMESPACES.glob("qtest-*")):
        for process in run("ip", "netns", "pids", path.name, check=False).split():
            subprocess.run(["kill", "-KILL", process], capture_output=True)  # it may have ended by itself
        run("ip", "netns", "delete", path.name, check=False)
    for folder in filter(is_abandoned, pathlib.Path(tempfile.gettempdir()).glob("qtest-*")):
        shutil.rmtree(folder, ignore_errors=True)


def why_not():
    """Why these tests cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"{fresh_name()}-probe"
    probe = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    if probe.returncode != 0:
        return f"no network namespaces here: {probe.stderr.strip()}"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun cannot be opened"
    return None


def main():
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    if PROGRAMS is None:
        sys.exit(f"usage: {sys.argv[0]} FOLDER-OF-PROGRAMS [unittest options]")
    remove_abandoned()
    unittest.main(verbosity=2)
