#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`quipud --guard` without a configuration says how much is guarded, `quipud --remove-guards` what it did. No tunnel, one namespace."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import unittest

import support
from support import Namespace, fresh_name

LISTED = "10.2.0.0/16"
OTHER = "10.3.0.0/16"
HIGHEST_METRIC = str(2**32 - 1)


class Guards(unittest.TestCase):
    def setUp(self):
        self.namespace = Namespace(fresh_name())
        self.addCleanup(self.namespace.delete)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.list = pathlib.Path(folder.name, "guards")

    def quipud(self, *options, expected):
        """What it says, on both outputs."""
        command = ["ip", "netns", "exec", self.namespace.name, str(support.PROGRAMS / "quipud"), "--config", "/nowhere.toml", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "STATE_DIRECTORY": str(self.list.parent)})
        self.assertEqual(done.returncode, expected, done.stdout)
        return done.stdout

    def guard(self):
        """What it says after that the configuration is not there."""
        first, _, rest = self.quipud("--guard", expected=1).partition("\n")
        self.assertIn("/nowhere.toml: No such file", first)
        return rest

    def test_what_was_last_in_effect_is_guarded(self):
        self.list.write_text(f"protected {LISTED}\n")
        self.assertIn("guarded instead: the 1 prefix(es)", self.guard())
        self.assertIn(LISTED, self.namespace.ip("route", "show", "type", "blackhole"))

    def test_nobody_has_to_read_what_is_said(self):
        """Nor can: on a full disk, nowhere at all."""
        self.list.write_text(f"protected {LISTED}\n")
        command = f"{support.PROGRAMS}/quipud --guard --config /nowhere.toml"
        for unread in (f"{command} 2> /dev/full", f"{command} >&- 2>&-"):
            self.namespace.ip("route", "flush", "type", "blackhole", check=False)
            self.namespace.ip("route", "flush", "table", "81", check=False)
            done = subprocess.run(["ip", "netns", "exec", self.namespace.name, "bash", "-c", unread], stderr=subprocess.DEVNULL,
                                  env={**os.environ, "STATE_DIRECTORY": str(self.list.parent)})
            self.assertEqual(done.returncode, 1, unread)
            self.assertIn(LISTED, self.namespace.ip("route", "show", "type", "blackhole"), unread)

    def start_into(self, pipe):
        command = ["ip", "netns", "exec", self.namespace.name, support.PROGRAMS / "quipud", "--guard", "--config", "/nowhere.toml"]
        return subprocess.Popen(command, stderr=pipe, env={**os.environ, "STATE_DIRECTORY": str(self.list.parent)})

    def test_who_should_read_it_has_gone(self):
        self.list.write_text(f"protected {LISTED}\n")
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            self.assertEqual(self.start_into(pipe).wait(), 1)
        self.assertIn(LISTED, self.namespace.ip("route", "show", "type", "blackhole"))

    def test_who_should_read_it_does_not_go_on(self):
        """The pipe is full: guards come before words."""
        self.list.write_text(f"protected {LISTED}\n")
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        os.set_blocking(writing, True)
        with os.fdopen(writing, "wb") as pipe:
            process = self.start_into(pipe)
        support.wait_until(lambda: LISTED in self.namespace.ip("route", "show", "type", "blackhole"), "the prefix is guarded")
        with os.fdopen(reading, "rb") as pipe:
            self.assertIn(b"guarded instead", pipe.read())
        self.assertEqual(process.wait(), 1)

    def test_a_line_may_stand_twice(self):
        self.list.write_text(2 * f"protected {LISTED}\n")
        self.assertIn("guarded instead: the 1 prefix(es)", self.guard())

    def test_a_list_without_a_prefix_wants_nothing(self):
        self.list.write_text("")
        self.assertEqual(self.guard(), f"quipud: nothing to guard instead: {self.list} lists no prefix\n")

    def test_without_a_list_what_stands_is_not_denied(self):
        self.assertRegex(self.guard(), "^quipud: NOTHING IS GUARDED: ")
        self.list.write_text(f"protected {LISTED}\n")
        self.guard()
        self.list.unlink()
        self.assertRegex(self.guard(), "^quipud: NO MORE IS GUARDED THAN BEFORE: ")

    def test_it_is_told_apart_whether_some_or_none_could_be_set(self):
        for table in ("main", "81"):
            self.namespace.ip("route", "add", LISTED, "dev", "lo", "table", table, "metric", HIGHEST_METRIC)
        self.list.write_text(f"protected {LISTED}\n")
        self.assertRegex(self.guard(), f"^quipud: NOTHING IS GUARDED: adding the route to {LISTED}: ")
        self.list.write_text(f"protected {LISTED}\nprotected {OTHER}\n")
        self.assertRegex(self.guard(), f"^quipud: NOT EVERYTHING IS GUARDED: adding the route to {LISTED}: ")

    def test_what_has_no_guard_of_its_own_is_not_called_open(self):
        self.list.write_text(f"protected {LISTED}\n")
        self.guard()
        self.assertEqual(self.quipud("--remove-guards", "10.2.3.0/24", expected=0),
                         f"nothing to remove: none of these prefixes has a guard of its own\nstill guarded: {LISTED}\n")

    def test_it_is_told_what_was_removed(self):
        self.list.write_text(f"protected {LISTED}\nprotected {OTHER}\n")
        self.guard()
        self.assertEqual(self.quipud("--remove-guards", LISTED, expected=0), f"removed: {LISTED}\nstill guarded: {OTHER}\n")
        self.assertEqual(self.quipud("--remove-guards", LISTED, expected=0),
                         f"nothing to remove: none of these prefixes has a guard of its own\nstill guarded: {OTHER}\n")
        self.assertEqual(self.quipud("--remove-guards", OTHER, expected=0), f"removed: {OTHER}\n")
        self.assertEqual(self.quipud("--remove-guards", OTHER, expected=0), "nothing to remove: none of these prefixes has a guard of its own\n")


if __name__ == "__main__":
    support.main()
