# SPDX-License-Identifier: Apache-2.0
"""What the tests of the checks share: a tree to be checked."""

import pathlib
import subprocess
import tempfile
import unittest

TABLE = """# Layers
```
crypto -> base          kms -> etsi, crypto      etsi -> base
protocol -> crypto      net -> base, crypto      config -> base
cli -> base, net
daemon, kmsd -> everything that they compose
plugins/NAME -> include/quipu/driver.h, base, net
never: a sans-I/O layer -> net;  protocol <-> kms;  anything -> daemon, kmsd, cli
```
"""
HEAD = "// SPDX-License-Identifier: Apache-2.0\n"
HEADERS = (
    "src/base/result.h", "src/crypto/aead.h", "src/etsi/etsi014.h", "src/kms/pool.h", "src/protocol/device.h", "src/net/loop.h",
    "src/cli/verb.h", "src/daemon/daemon.h", "src/config/types.h", "include/quipu/driver.h",
)


class InTree(unittest.TestCase):
    """A small tree without faults, to which each test adds one."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        subprocess.run(["git", "init", "-q", self.top], check=True)
        self.write("ARCHITECTURE.md", TABLE)
        for header in HEADERS:
            self.write(header, HEAD + "#pragma once\n")

    def write(self, name, text):
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def assert_one(self, check, expected):
        faults, seen = check.check(self.top)
        self.assertGreater(seen, 0)
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(expected, faults[0])

    def assert_none(self, check):
        faults, seen = check.check(self.top)
        self.assertGreater(seen, 0)
        self.assertEqual(faults, [])
