#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs and drivers give away neither OpenSSL's symbols nor where they were built.
Usage: binaries.py [--static-openssl] [--forbid TEXT]... FILE..."""

import argparse
import pathlib
import re
import subprocess

import tree

FOREIGN = re.compile(r"^_?(EVP|SSL|OPENSSL|CRYPTO|X509|BIO|RSA|EC|OSSL)_\w+")


def dynamic_symbols(path, *options):
    out = subprocess.run(["nm", "-D", *options, path], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1].split("@")[0] for line in out.splitlines() if line.strip()]


def check_file(path, static_openssl, forbidden):
    # With OpenSSL linked in, not even an undefined symbol of it may be left for another library to answer.
    symbols = dynamic_symbols(path, *([] if static_openssl else ["--defined-only"]))
    shown = [symbol for symbol in symbols if FOREIGN.match(symbol)]
    if shown:
        yield f"{path}: shows {len(shown)} symbols of OpenSSL, such as {shown[0]}"
    contents = pathlib.Path(path).read_bytes()
    for text in forbidden:
        # From the beginning of a path, not in the middle of one: a tree in /src has nothing to do with /usr/src/. A path begins also
        # right behind an option of a compiler, such as -I.
        found = re.search(rb"(?:(?<![\w.])|(?<![\w./])-[A-Za-z]+)" + re.escape(text.encode()) + rb"[ -~]{,200}", contents)
        if found:
            yield f"{path}: names where it was built: {found[0].decode()}"


def check(paths, static_openssl=False, forbidden=()):
    faults = [fault for path in paths for fault in check_file(path, static_openssl, forbidden)]
    return faults, len(paths)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--static-openssl", action="store_true")
    parser.add_argument("--forbid", action="append", default=[])
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    tree.finish(*check(given.files, given.static_openssl, given.forbid), "programs and drivers")
