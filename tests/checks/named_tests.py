#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each test that a page names exists: in the last column of a table whose head there is `test`, Suite.Name is a test of GoogleTest
below tests, FILE_test.py NAME one of tests/netns or tests/cli. A row names one at least. Usage: named_tests.py TOP"""

import pathlib
import re
import sys

import tree

PAGES = ("docs/etsi014.md", "docs/km-link.md", "docs/protocol.md")
GTEST = re.compile(r"^TEST(?:_[FP])?\((\w+), (\w+)\)", re.MULTILINE)


def gtests(top):
    found = set()
    for name in tree.code_files(top, "tests"):
        found |= {".".join(names) for names in GTEST.findall((top / name).read_text())}
    return found


def is_there(top, name, known):
    if " " not in name:
        return name in known
    file, test = name.split(" ", 1)
    paths = [top / "tests" / folder / file for folder in ("netns", "cli")]
    return any(path.is_file() and f"def {test}(" in path.read_text() for path in paths)


def rows(text):
    """(line, last cell) of each row of the tables of tests."""
    wanted = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            wanted = False
        elif line.endswith("| test |"):
            wanted = True
        elif wanted and not line.startswith("|---"):
            yield number, line.rstrip(" |").rpartition("|")[2].strip()


def check(top):
    top = pathlib.Path(top)
    known = gtests(top)
    faults, seen = [], 0
    for page in PAGES:
        for number, cell in rows((top / page).read_text()):
            names = [name.strip() for name in cell.split(",")]
            seen += 1
            faults += [f"{page}:{number}: there is no test '{name}'" for name in names if not is_there(top, name, known)]
    return faults, seen


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), "rows that name tests")
