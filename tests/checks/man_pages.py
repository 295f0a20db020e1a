#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manual pages name the options that the programs have, and each page that a unit points to is there.
Usage: man_pages.py FOLDER UNITS PROGRAM..."""

import pathlib
import re
import subprocess
import sys

import tree

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
VERB = re.compile(r"^  ([a-z][a-z-]*) {2,}\S", re.MULTILINE)
POINTER = re.compile(r"\bman:([\w.-]+)\((\d)\)")
# Every verb has these: the page names them once.
COMMON = {"--help"}


def help_of(*command):
    return subprocess.run([*map(str, command), "--help"], capture_output=True, text=True, check=True).stdout


def options_of(*command):
    """The options of a program and of its verbs, and the verbs that it has itself."""
    text = help_of(*command)
    verbs = VERB.findall(text.partition("Subcommands:")[2])
    return set(OPTION.findall(text)).union(*(options_of(*command, verb)[0] for verb in verbs)), verbs


def check_page(page, program):
    text = page.read_text().replace("\\-", "-")
    has, verbs = options_of(program)
    named = set(OPTION.findall(text))
    yield from (f"{page}: names {option}, which {program.name} does not have" for option in sorted(named - has))
    # What an option of a verb does is told by `quipu VERB --help`.
    wanted = set(OPTION.findall(help_of(program))) if verbs else has
    yield from (f"{page}: does not name {option}" for option in sorted(wanted - named - COMMON))
    missing = [verb for verb in verbs if not re.search(rf'^\.B[IR]? "?{verb}(?![\w-])', text, re.MULTILINE)]
    yield from (f"{page}: does not name the verb {verb}" for verb in missing)


def check(folder, units, programs):
    folder, programs = pathlib.Path(folder), [pathlib.Path(program) for program in programs]
    faults = []
    for program in programs:
        pages = sorted(folder.glob(f"{program.name}.[0-9]"))
        if len(pages) != 1:
            faults.append(f"{folder}: {len(pages)} pages for {program.name}")
        for page in pages:
            faults.extend(check_page(page, program))
    for unit in sorted(pathlib.Path(units).glob("*.service")):
        for name, section in POINTER.findall(unit.read_text()):
            if not (folder / f"{name}.{section}").is_file():
                faults.append(f"{unit}: points to {name}({section}), which is not there")
    return faults, len(programs)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1], sys.argv[2], sys.argv[3:]), "manual pages")
