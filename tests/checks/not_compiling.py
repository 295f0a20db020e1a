#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves that some code does not compile. The file must compile as it is and fail with each -DCASE_NAME that it mentions, for the
reason that stands behind it: `#ifdef CASE_NAME  // regular expression for the compiler's message`.
Usage: not_compiling.py FILE COMPILER [OPTION]..."""

import pathlib
import re
import subprocess
import sys

import tree

CASE = re.compile(r"^#ifdef (CASE_\w+)  // (.+)$", re.MULTILINE)


def compile_with(compiler, path, *options):
    return subprocess.run([*compiler, "-fsyntax-only", *options, str(path)], capture_output=True, text=True)


def check(path, compiler):
    path = pathlib.Path(path)
    plain = compile_with(compiler, path)
    if plain.returncode != 0:
        return [f"{path}: does not even compile without a case:\n{plain.stderr}"], 0
    cases = CASE.findall(path.read_text())
    faults = []
    for case, reason in cases:
        done = compile_with(compiler, path, f"-D{case}")
        if done.returncode == 0:
            faults.append(f"{path}: {case} compiles")
        elif not re.search(reason, done.stderr):
            faults.append(f"{path}: {case} does not compile, but not because of '{reason}':\n{done.stderr}")
    return faults, len(cases)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1], sys.argv[2:]), "cases that must not compile")
