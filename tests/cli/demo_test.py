#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo says where it cannot begin: a sentence that says what to do. The demonstration itself needs root and minutes."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

DEMO = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lib" / "demo.py"


class Demo(unittest.TestCase):
    def demo(self, folder, path):
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", folder], env={"PATH": str(path)}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn("Traceback", done.stderr)
        self.assertNotIn("bringing up", done.stdout)
        return done.stderr

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_a_tool_is_missing(self):
        text = self.demo(self.folder, self.folder)
        self.assertIn("not found: ", text)
        self.assertIn("scp", text)
        self.assertIn("scripts/setup demo", text)

    def test_nothing_was_built(self):
        for tool in ("ip", "ping", "scp", "ssh", "ssh-keygen", "sshd"):
            (self.folder / tool).touch(0o755)
        self.assertIn("there is no program quipu", self.demo(self.folder, self.folder))

    def test_the_program_does_not_run(self):
        for tool in ("ip", "ping", "scp", "ssh", "ssh-keygen", "sshd"):
            (self.folder / tool).touch(0o755)
        (self.folder / "quipu").write_text("no program")
        (self.folder / "quipu").chmod(0o755)
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder], env={"PATH": str(self.folder)}, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("quipu' cannot be run", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_a_failure_is_in_the_figures_too(self):
        figures = self.folder / "figures.json"
        figures.write_text('{"ok": true}')
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder, "--json", figures], env={"PATH": str(self.folder)},
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        written = json.loads(figures.read_text())
        self.assertIs(written["ok"], False)
        self.assertIn(written["error"], done.stderr)
        self.assertIn("not found: ", written["error"])

    def test_figures_that_cannot_be_written_are_told_at_once(self):
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder, "--json", self.folder / "no" / "figures.json"],
                              env={"PATH": str(self.folder)}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("figures.json: No such file", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_figures_are_not_made_anew(self):
        """Root may not, where the file is another's and the folder like /tmp."""
        figures = self.folder / "figures.json"
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder, "--json", figures], env={"PATH": str(self.folder)},
                              capture_output=True, text=True)
        self.assertIn("figures.json: No such file", done.stderr)
        self.assertFalse(figures.exists())


if __name__ == "__main__":
    unittest.main()
