# SPDX-License-Identifier: Apache-2.0
"""What the checks have in common: the files of a source tree, their includes, and how faults are told."""

import pathlib
import re
import subprocess
import sys

CODE = (".h", ".cpp", ".c")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def files(top, *folders):
    """Files of the tree that are tracked or about to be, relative to its top, sorted."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"], cwd=top, capture_output=True
    )
    if listed.returncode == 0:
        names = [pathlib.PurePath(name) for name in listed.stdout.decode().split("\0") if name]
    else:
        names = [path.relative_to(top) for path in pathlib.Path(top).rglob("*") if path.parts[len(top.parts)] != "build"]
    wanted = {n for n in names if not folders or n.parts[0] in folders}
    return sorted(n for n in wanted if (top / n).is_file() and not (top / n).is_symlink())


def code_files(top, *folders):
    return [name for name in files(top, *folders) if name.suffix in CODE]


def includes(text):
    """(line, is_system, path) of each #include."""
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match[1] == "<", match[2]


def without_comments_and_texts(code):
    """The code with the contents of comments and string literals blanked, line numbers kept."""
    return COMMENT_OR_TEXT.sub(lambda m: '""' + "\n" * m[0].count("\n"), code)


def finish(faults, seen, what):
    """Prints the faults and ends the program; a check that saw nothing has not checked anything."""
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(f"{len(faults)} faults in {seen} {what}")
    if seen == 0:
        sys.exit(f"no {what} found: wrong folder?")
    print(f"{seen} {what}: no fault")
