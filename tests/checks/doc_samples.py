#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the pages tell an admin to write into a configuration is a valid configuration, as `quipu check` sees it, but for the public
keys, which nobody can leave as they stand there; and the credentials in it are put into place by a command of the same page.
Usage: doc_samples.py TOP QUIPU"""

import base64
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile

import tree

PAGES = ("README.md", "docs/two-sites.md")
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PUBLIC_KEY = re.compile(r'(?<=^public_key = ")(.*?)(?=")', re.MULTILINE)
PLACEHOLDER = "PUBLIC-KEY-OF-"
CREDENTIAL = re.compile(r'"credential:(quipu|kms)_([\w.-]+)"')
FOLDERS = {"quipu": "/etc/quipu/credentials/", "kms": "/etc/quipu/kms-credentials/"}


def blocks(text):
    """(line, content) of each TOML block of a page."""
    for found in BLOCK.finditer(text):
        yield text.count("\n", 0, found.start(1)) + 1, found[1]


def places(text):
    """Every file that a page's commands put into a folder of credentials, whole."""
    found = set(re.findall(r"/etc/quipu/(?:kms-)?credentials/[\w.-]+", text))
    for files, folder in re.findall(r"^cp (.+) (/etc/quipu/(?:kms-)?credentials/)$", text, re.MULTILINE):
        found |= {folder + name for name in files.split()}
    return found


def fresh_key(_):
    return base64.b64encode(secrets.token_bytes(32)).decode()


def check(top, quipu):
    faults, seen = [], 0
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "sample.toml"
        for page in PAGES:
            text = (pathlib.Path(top) / page).read_text()
            for line, content in blocks(text):
                seen += 1
                # So that what is told about a line names the line of the page.
                file.write_text("\n" * (line - 1) + PUBLIC_KEY.sub(fresh_key, content))
                done = subprocess.run([quipu, "check", file], capture_output=True, text=True)
                if done.returncode != 0:
                    faults += [fault.replace(str(file), page) for fault in done.stderr.splitlines()]
                faults += [f"{page}:{line}: the public key {key} can be left as it is: write {PLACEHOLDER}SITE"
                           for key in PUBLIC_KEY.findall(content) if not key.startswith(PLACEHOLDER)]
                if page == "README.md":
                    continue
                for daemon, name in CREDENTIAL.findall(content):
                    if FOLDERS[daemon] + name not in places(text):
                        faults.append(f"{page}:{line}: no command puts {name} into {FOLDERS[daemon]}")
    return faults, seen


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1], sys.argv[2]), "samples")
