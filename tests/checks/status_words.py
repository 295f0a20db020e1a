#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/status.md explains every word and every counter that `quipu status` can show: each stands there in backticks, at the beginning
of a row. Usage: status_words.py TOP"""

import pathlib
import re
import sys

import tree

PAGE = "docs/status.md"
# Files, and the enumerations in them whose words are shown.
WORDS = {
    "src/control/status.cpp": {"TunnelState", "QkdState", "LinkState", "CertificateState"},
    "src/protocol/status.cpp": {"DropReason"},
    "src/daemon/reasons.cpp": {"Reason"},
    "src/driver/driver_host.cpp": {"DeviceState", "HostState"},
}
CASE = re.compile(r'case (?:\w+::)*(\w+)::\w+:\s*return((?:\s*"(?:[^"\\]|\\.)*")+);')
PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"')
COUNTERS = (re.compile(r'\b(?:queue_drops|errors)\["(\w+)"\]'), re.compile(r'\{"(\w+)",\s*statistics\.'))


def words(top):
    """(file, word) of everything that is shown."""
    for name, enumerations in WORDS.items():
        found = CASE.findall((top / name).read_text())
        yield from ((name, "".join(PIECE.findall(text))) for enumeration, text in found if enumeration in enumerations)
    for name in tree.code_files(top, "src"):
        if name.is_relative_to("src/daemon"):
            text = (top / name).read_text()
            yield from ((name, word) for pattern in COUNTERS for word in pattern.findall(text))


def check(top):
    top = pathlib.Path(top)
    explained = set(re.findall(r"^\| `([^`]+)` \|", (top / PAGE).read_text(), re.MULTILINE))
    all_words = sorted({(str(name), word) for name, word in words(top)})
    faults = [f"{name}: '{word}' is not explained in {PAGE}" for name, word in all_words if word not in explained]
    missing = set(WORDS) - {name for name, _ in all_words}
    return faults + [f"{name}: no words found" for name in sorted(missing)], len(all_words)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), f"words in {PAGE}")
