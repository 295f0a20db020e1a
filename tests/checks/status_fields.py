#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/status.md has a table for each object of `quipu status --json`, under a heading that names its place, with every field of it and
no other, and the unit that a field's name ends with. Usage: status_fields.py TOP"""

import pathlib
import re
import sys

import tree

PAGE = "docs/status.md"
FIELDS = "src/control/fields.h"  # from which the JSON is made and read
TYPES = "src/control/status.h"
DOCUMENTS = {"device": "DeviceStatus", "kms": "KmsStatus"}
UNITS = {"_bit_s": "bit/s", "_bits": "bit", "_bytes": "octets", "_packets": "packets", "_ms": "ms", "_s": "s"}


def objects(top):
    """place -> fields, "device.tunnels[]" for each element of that list."""
    fields = {name: re.findall(r'f\("(\w+)", s\.(\w+)\);', body)
              for name, body in re.findall(r"Is<(\w+)> S.*?\n\{?(.*?)\n\}", (top / FIELDS).read_text(), re.DOTALL)}
    types = {name: {member: type for type, member in re.findall(r"^  ([\w:<>, ]+) (\w+)(?:\{\}| = [^;]+)?;", body, re.MULTILINE)}
             for name, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", (top / TYPES).read_text(), re.MULTILINE | re.DOTALL)}
    found = {}

    def descend(place, name):
        found[place] = [field for field, _ in fields[name]]
        for field, member in fields[name]:
            container, inner = re.fullmatch(r"(?:std::(vector|optional)<)?(.+?)>?", types[name][member]).groups()
            if inner in fields:
                descend(f"{place}.{field}" + ("[]" if container == "vector" else ""), inner)

    for place, name in DOCUMENTS.items():
        descend(place, name)
        found[place].append("schema_version")
    return found


def documented(text):
    """place -> {field: unit}"""
    found = {}
    for heading, body in re.findall(r"^### (`.*)\n((?:(?!#).*\n?)*)", text, re.MULTILINE):
        rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", body, re.MULTILINE))
        found |= {place: rows for place in re.findall(r"`([^`]+)`", heading)}
    return found


def check(top):
    top = pathlib.Path(top)
    code, page = objects(top), documented((top / PAGE).read_text())
    faults = [f"{PAGE}: there is no object {place}" for place in page.keys() - code.keys()]
    for place, fields in code.items():
        rows = page.get(place, {})
        faults += [f"{PAGE}: {place}.{field} is not explained" for field in fields if field not in rows]
        faults += [f"{PAGE}: {place} has no field {field}" for field in rows if field not in fields]
        for field, unit in rows.items():
            wanted = next((unit for suffix, unit in UNITS.items() if field.endswith(suffix)), unit)
            faults += [f"{PAGE}: {place}.{field} is in {wanted}"] if unit != wanted else []
    return sorted(faults), sum(map(len, code.values()))


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), f"fields in {PAGE}")
