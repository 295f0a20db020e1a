#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads every #include of src and plugins against the table of layers in ARCHITECTURE.md, and against what each library from
outside is kept to. Usage: layering.py TOP"""

import pathlib
import re
import sys

import tree

COMPOSITIONS = ("daemon", "kmsd")  # "everything that they compose"
PROGRAM_ONLY = {"daemon", "kmsd", "cli"}

# Headers from outside that only some layers, or single files of src, may see, and whether a header of ours may include them.
KEPT_TO = (
    # pattern, layers or files, in headers too
    (r"openssl/", {"crypto", "net/tls.cpp", "net/tls_files.cpp", "net/tls_files.h", "net/tls_revocation.cpp", "net/tls_revocation.h", "net/tls_session.cpp"}, True),
    (r"boost/asio/ssl|boost/beast", {"net"}, False),
    (r"boost/asio", {"net"}, True),
    (r"toml\+\+/", {"config"}, True),
    (r"sqlite3\.h", {"store"}, True),
    (r"netlink/", {"netlink"}, True),
    (r"linux/if_tun\.h", {"tun"}, True),
    (r"systemd/", {"service"}, True),
    (r"seccomp\.h", {"service", "driver"}, True),
    (r"CLI/", {"cli", "daemon", "kmsd", "service"}, True),
    (r"sodium", {"crypto", "base/encoding.cpp", "base/secret_arena.cpp"}, True),
)
MAX_HEAVY_SOURCES = 4
HEAVY = re.compile(r"boost/asio/ssl|boost/beast")


def read_table(text):
    """layer -> layers that it may include, from the code block of ARCHITECTURE.md that starts with `crypto -> base`."""
    block = re.search(r"```\n(crypto -> .*?)```", text, re.DOTALL)
    if not block:
        sys.exit("ARCHITECTURE.md: no table of layers (a code block that starts with 'crypto -> ')")
    table = {"base": set()}
    for cell in re.split(r"\n|\s{2,}", block[1]):
        if cell.startswith(("never:", "anything")) or " -> " not in cell or "<->" in cell:
            continue
        users, used = cell.split(" -> ", 1)
        for user in users.split(","):
            names = {name.strip() for name in used.split(",")}
            table.setdefault(user.strip(), set()).update({"base"} | names)
    return table


def layer_of(name):
    """ "base" for src/base/..., "plugins/NAME" for plugins/sim/..., None for files that belong to none."""
    if len(name.parts) < 3:
        return None
    return name.parts[1] if name.parts[0] == "src" else "plugins/NAME"


def allowed(layer, target, table, layers):
    if target == layer:
        return True
    if layer in COMPOSITIONS:
        return target in layers - PROGRAM_ONLY
    return target in table[layer]


def check_own(top, name, layer, line, path, table, layers):
    """A fault of an include of ours, or None."""
    target = path.split("/")[0]
    if layer == "plugins/NAME" and (path == "quipu/driver.h" or (top / name).parent.joinpath(path).is_file()):
        return None
    if path == "quipu/driver.h":
        return None if layer in ("driver", "kmsd") else f"{name}:{line}: {layer} includes the drivers' ABI"
    # NAME.h.in is what CMake makes NAME.h from.
    if not any((top / folder).is_file() for folder in (f"src/{path}", f"src/{path}.in", f"include/{path}")):
        return f"{name}:{line}: '{path}' is not relative to src"
    if allowed(layer, target, table, layers):
        return None
    return f"{name}:{line}: {layer} may not include {target} ({path})"


def check_foreign(name, layer, line, path):
    for pattern, places, in_headers in KEPT_TO:
        if re.match(pattern, path):
            if layer not in places and "/".join(name.parts[1:]) not in places:
                return f"{name}:{line}: <{path}> is kept to {', '.join(sorted(places))}"
            if name.suffix == ".h" and not in_headers:
                return f"{name}:{line}: <{path}> in a header: hide it behind a .cpp"
            return None
    return None


def check(top):
    top = pathlib.Path(top)
    table = read_table((top / "ARCHITECTURE.md").read_text())
    sources = [name for name in tree.code_files(top, "src", "plugins") if layer_of(name)]
    layers = {name.parts[1] for name in sources if name.parts[0] == "src"}
    faults = [f"src/{layer}: not in the table of layers" for layer in sorted(layers - set(table))]
    heavy = set()
    for name in sources:
        layer = layer_of(name)
        if layer not in table:
            continue
        for line, is_system, path in tree.includes((top / name).read_text()):
            if is_system and HEAVY.match(path):
                heavy.add(name)
            fault = (
                check_foreign(name, layer, line, path)
                if is_system
                else check_own(top, name, layer, line, path, table, layers)
            )
            if fault:
                faults.append(fault)
    if len(heavy) > MAX_HEAVY_SOURCES:
        faults.append(f"Asio SSL and Beast in {len(heavy)} files, more than {MAX_HEAVY_SOURCES}: {sorted(map(str, heavy))}")
    return faults, len(sources)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), "files of src and plugins")
