# SPDX-License-Identifier: Apache-2.0
"""Runs `quipu`, whose path is the last argument of the test program, in an empty folder."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

OK, ERROR, USAGE, DEGRADED, DOWN, CONFIG_INVALID, POLICY_BLOCK = range(7)


class ProgramTest(unittest.TestCase):
    program = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def quipu(self, *arguments, stdin="", expect=OK):
        done = subprocess.run(
            [self.program, *map(str, arguments)], input=stdin, capture_output=True, text=True, cwd=self.folder, timeout=60
        )
        self.assertEqual(done.returncode, expect, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def mode(self, name):
        return (self.folder / name).stat().st_mode & 0o777


def main():
    ProgramTest.program = str(pathlib.Path(sys.argv.pop()).resolve())
    unittest.main()
