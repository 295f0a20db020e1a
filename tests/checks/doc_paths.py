#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The way through the code that ARCHITECTURE.md tells exists: each `file` is there, below src or the top, and has each function
that stands behind it in `file: function, function`; so is each script. Usage: doc_paths.py TOP"""

import pathlib
import re
import sys

import tree

PAGE = "ARCHITECTURE.md"
FILE = re.compile(r"`([\w/.-]+\.(?:h|cpp|md|py)|scripts/[\w/.-]+)(?:: ([\w,\s]+))?`")


def check(top):
    top = pathlib.Path(top)
    faults, seen = [], 0
    text = (top / PAGE).read_text()
    for found in FILE.finditer(text):
        seen += 1
        name, functions = found[1], found[2] or ""
        place = f"{PAGE}:{text.count(chr(10), 0, found.start()) + 1}"
        path = next((folder / name for folder in (top / "src", top) if (folder / name).is_file()), None)
        if path is None:
            faults.append(f"{place}: there is no file {name}")
            continue
        code = tree.without_comments_and_texts(path.read_text())
        for function in filter(None, re.split(r",\s*", functions)):
            if not re.search(rf"\b{function}\(", code):
                faults.append(f"{place}: {name} has no function {function}")
    return faults, seen


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), f"files in {PAGE}")
