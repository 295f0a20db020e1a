#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A test that is killed: what it started ends with it, and the next test removes the rest."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import support
from support import NAMESPACES, Namespace, fresh_name, run, wait_until

# Two programs, one of them started in a way that does not tell it when its test has gone.
TEST = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from sites import World
world = World(1)
namespace = world.sites[0].namespace
namespace.start("sleep", "infinity", log=world.folder / "log")
subprocess.Popen(["ip", "netns", "exec", world.outside.name, "sleep", "infinity"], stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)
print(world.name, world.folder, namespace.name, world.outside.name, flush=True)
sys.stdin.read()
"""


class Killed(unittest.TestCase):
    def test_what_it_started_and_made_goes(self):
        own = Namespace(f"{fresh_name()}-own")
        self.addCleanup(own.delete)
        running = lambda namespace: run("ip", "netns", "pids", namespace, check=False).split()
        with subprocess.Popen([sys.executable, "-B", "-c", TEST, pathlib.Path(__file__).parent], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as test:
            world, folder, *namespaces = test.stdout.readline().split()
            for namespace in namespaces:
                wait_until(lambda: running(namespace), f"a program is in {namespace}")
            left = running(namespaces[1])
            support.remove_abandoned()
            self.assertTrue((NAMESPACES / namespaces[0]).exists(), "the world of a test that lives was taken away")
            test.kill()
        wait_until(lambda: not running(namespaces[0]), "what it started has ended")
        support.remove_abandoned()
        # Another test may be at it as well.
        wait_until(lambda: not list(NAMESPACES.glob(f"{world}-*")), "the namespaces have gone")
        wait_until(lambda: not pathlib.Path(folder).exists(), "the folder has gone")
        self.assertTrue((NAMESPACES / own.name).exists())
        wait_until(lambda: all(ended(process) for process in left), "what it left has ended")

    def test_a_folder_without_any_namespace_goes(self):
        """Such as that of a test that was killed while it made its keys."""
        with subprocess.Popen(["true"]) as test:
            pass
        gone, own = (pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-")) for name in (f"qtest-{test.pid}-012345", fresh_name()))
        self.addCleanup(shutil.rmtree, own)
        support.remove_abandoned()
        self.assertFalse(gone.exists())
        self.assertTrue(own.exists())


def ended(process):
    try:
        return ") Z " in pathlib.Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return True


if __name__ == "__main__":
    support.main()
