#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The events of quipud are logged at the levels that the pages list. Usage: log_levels.py TOP"""

import pathlib
import re
import sys

import tree

LOGGING = "docs/logging.md"
PROTOCOL = "docs/protocol.md"
NAMES = "src/daemon/event_names.h"
LEVELS = ("debug", "info", "warning", "error")
CONSTANT = re.compile(r'std::string_view (k\w+) = "(\w+)";')
USE = re.compile(r"\bevent::(k\w+)")
# log.warning(event::kName, and report(context, a ? LogLevel::b : LogLevel::c, "name"
DAEMON = re.compile(r"\.(debug|info|warning|error)\(\s*(?:\w+::)*event::(k\w+)")
REPORT = re.compile(r'\breport\(\s*context,\s*([^"]*?)((?:"\w+"(?:\s*:\s*)?)+),')


def rows(text, heading):
    """(line, names, levels) of each row of the table under a heading."""
    for section in re.finditer(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        for row in re.finditer(r"^\| ([^|\n]+) \| ([^|\n]+) \|", section[1], re.MULTILINE):
            names = re.findall(r"\w+", row[1])
            if row[1] != "event" and not row[1].startswith("--"):
                line = text.count("\n", 0, section.start(1) + row.start()) + 1
                yield line, names, {level for level in LEVELS if re.search(rf"\b{level}\b", row[2])}


def protocol_events(top):
    """(event, level) of each report in src/protocol."""
    for file in tree.code_files(top, "src"):
        if file.parts[1] != "protocol":
            continue
        for found in REPORT.finditer((top / file).read_text()):
            levels, names = re.findall(r"LogLevel::(\w+)", found[1]), re.findall(r'"(\w+)"', found[2])
            one_for_each = len(names) > 1 and len(levels) == len(names)
            yield from zip(names, levels) if one_for_each else ((name, level) for name in names for level in levels)


def daemon_events(top, constants):
    for file in tree.code_files(top, "src"):
        if file.parts[1] == "daemon":
            for level, constant in DAEMON.findall((top / file).read_text()):
                yield constants.get(constant, constant), level


def levels_differ(page, table, logged):
    """What a table says of events against what is logged; whether it lists them all is for log_events.py to say."""
    faults = []
    for line, names, listed in table:
        in_code = {level for event, level in logged if event in names}
        if not in_code:
            continue
        for event, level in sorted(pair for pair in logged if pair[0] in names and pair[1] not in listed):
            faults.append(f"{page}:{line}: {event} is logged at level {level}")
        for level in sorted(listed - in_code):
            faults.append(f"{page}:{line}: {', '.join(names)}: never at level {level}")
    return faults


def names_differ(page, table, logged):
    listed = {name: line for line, names, _ in table for name in names}
    in_code = {event for event, _ in logged}
    faults = [f"{page}:{line}: no code logs {name}" for name, line in listed.items() if name not in in_code]
    return faults + [f"{page}: {event} is missing" for event in sorted(in_code - listed.keys())]


def check(top):
    top = pathlib.Path(top)
    constants = dict(CONSTANT.findall((top / NAMES).read_text()))
    used = {name for file in tree.code_files(top, "src") for name in USE.findall((top / file).read_text())}
    faults = [f"{NAMES}: {name} is used nowhere" for name in sorted(constants.keys() - used)]
    of_protocol = set(protocol_events(top))
    of_both = of_protocol | set(daemon_events(top, constants))
    steps = list(rows((top / PROTOCOL).read_text(), "12. Events"))
    faults += names_differ(PROTOCOL, steps, of_protocol) + levels_differ(PROTOCOL, steps, of_protocol)
    faults += levels_differ(LOGGING, rows((top / LOGGING).read_text(), "Events of quipud"), of_both)
    return faults, len(of_both)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), "events with their levels")
