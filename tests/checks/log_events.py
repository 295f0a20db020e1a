#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/logging.md lists the events that the code logs, all of them and no others. Usage: log_events.py TOP"""

import pathlib
import re
import sys

import tree

PAGE = "docs/logging.md"
FOLDERS = ("src",)
# An event is a text handed to one of these in front of the sentence for people, or a constant in a file of that name.
CALL = re.compile(r"\b(?:(?:\w*log|m_next)\.(?:error|warning|info|debug|write)|report|alarm|refuse)\(")
TEXT = re.compile(r'"((?:\\.|[^"\\\n])*)"')
EVENT = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
CONSTANTS = "event_names.h"
LISTED = re.compile(r"^\| (`[^|]*`) \| (?:error|warning|info|debug)(?:[,;][^|]*)? \|", re.MULTILINE)
LISTED_IN_TEXT = re.compile(r"^Both: ([^(]*)\(", re.MULTILINE)


def events_of(text):
    """(line, event) of each call."""
    for call in CALL.finditer(text):
        # Behind a brace there are fields, or the body of a function of that name.
        end = re.compile("[;{]|$").search(text, call.end()).start()
        for found in TEXT.finditer(text, call.end(), end):
            if " " in found[1] or not EVENT.fullmatch(found[1]):
                break
            yield text.count("\n", 0, found.start()) + 1, found[1]


def logged(top):
    """event -> where it is logged first"""
    found = {}
    for name in tree.code_files(top, *FOLDERS):
        if name.parts[1] == "cli" or name.parts[1:3] == ("driver", "program"):  # their reports go elsewhere
            continue
        text = (top / name).read_text()
        if name.name == CONSTANTS:
            places = [(text.count("\n", 0, m.start()) + 1, m[1]) for m in TEXT.finditer(text) if "=" in text[m.start() - 3:m.start()]]
        else:
            places = events_of(text)
        for line, event in places:
            found.setdefault(event, f"{name}:{line}")
    return found


def listed(text):
    cells = LISTED.findall(text) + LISTED_IN_TEXT.findall(text)
    return {event for cell in cells for event in re.findall(r"`(\w+)`", cell)} | set(re.findall(r"line, `(\w+)`", text))


def check(top):
    top = pathlib.Path(top)
    code, page = logged(top), listed((top / PAGE).read_text())
    faults = [f"{place}: event {event} is not in {PAGE}" for event, place in code.items() if event not in page]
    faults += [f"{PAGE}: nothing logs {event}" for event in sorted(page - set(code))]
    return sorted(faults), len(code)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), "events")
