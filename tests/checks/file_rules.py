#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every file: SPDX line, at most 500 lines, nothing left for later, names that say something, no path or host of one machine.
Usage: file_rules.py TOP"""

import pathlib
import re
import sys

import tree

MAX_LINES = 500
SPDX = "SPDX-License-Identifier: Apache-2.0"
WITH_SPDX = (".h", ".cpp", ".c", ".py", ".sh", ".cmake", ".service", ".socket", ".css", ".js", ".html")
# What the tests of this folder feed to the checks holds such words and places.
SAMPLES = pathlib.PurePath("tests/checks")

LEFT_FOR_LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK|TBD)\b|\b(for now|placeholder|not (?:yet )?implemented)\b", re.IGNORECASE)
EMPTY_NAMES = re.compile(r"\b(?:class|struct)\s+(\w*(?:Manager|Utils?|Helpers?|Impl))\b")
PLACES = re.compile(r"(?<![\w.])/(?:root|home/\w+|work)/|\b(?:deb|ftp|security|archive)\.debian\.org\b|\b\w+\.ubuntu\.com\b")


def is_text(path):
    return b"\0" not in path.read_bytes()[:8192]


def needs_spdx(name, text):
    return name.suffix in WITH_SPDX or name.name == "CMakeLists.txt" or text.startswith("#!")


def check_file(name, text):
    lines = text.splitlines()
    if needs_spdx(name, text) and not any(SPDX in line for line in lines[:3]):
        yield f"{name}:1: no '{SPDX}' in the first three lines"
    is_code = name.suffix in (*tree.CODE, ".py", ".sh") or text.startswith("#!")
    if is_code and len(lines) > MAX_LINES:
        yield f"{name}:{MAX_LINES + 1}: {len(lines)} lines, more than {MAX_LINES}: split it by what its parts do"
    for number, line in enumerate([] if name.is_relative_to(SAMPLES) else lines, 1):
        if found := LEFT_FOR_LATER.search(line):
            yield f"{name}:{number}: '{found[0]}': finish it, or take it out"
        if found := PLACES.search(line):
            yield f"{name}:{number}: '{found[0]}': a place on one machine or network"
        if name.suffix in tree.CODE and (found := EMPTY_NAMES.search(line)):
            yield f"{name}:{number}: '{found[1]}': a name that does not say what it does"


def check(top):
    top = pathlib.Path(top)
    faults, seen = [], 0
    for name in tree.files(top):
        if name.is_relative_to("tests/fuzz/corpus") or not is_text(top / name):
            continue
        seen += 1
        faults += check_file(name, (top / name).read_text(errors="replace"))
    return faults, seen


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), "files")
