#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy on the C++ files changed since the merge base with the main branch, or on all of them (--all).

Uses the compile commands of build/asan (clang's). A header is checked through a source file that includes it. A file whose
preprocessed text, command and rules have not changed since it was last found clean is not checked again.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build" / "asan"
TIDY = "clang-tidy-19"
RULES = (".clang-tidy", "tests/.clang-tidy")
CLEAN = BUILD / "tidy-clean"


def git(*arguments):
    """Standard output of a git command, or None if it failed."""
    # Root may look at a tree that is somebody else's.
    done = subprocess.run(["git", "-c", "safe.directory=*", *arguments], cwd=TOP, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def base_commit():
    """Where this branch left the main branch; None if that cannot be told."""
    for main in ("origin/main", "main@{upstream}", "main", "origin/HEAD"):
        base = git("merge-base", "HEAD", main)
        if base and base != git("rev-parse", "HEAD"):
            return base
    # On the main branch itself: the commit before. A shallow clone has none.
    return git("rev-parse", "--verify", "--quiet", "HEAD^")


def changed_files():
    base = base_commit()
    if base is None:
        print("no commit to compare with: checking every file")
        return None
    if git("diff", "--quiet", base, "--", *RULES) is None:
        print(".clang-tidy has changed: checking every file")
        return None
    print(f"checking what has changed since {base[:12]}")
    changed = git("diff", "--name-only", "--diff-filter=d", base).splitlines()
    return [TOP / name for name in changed + git("ls-files", "-o", "--exclude-standard").splitlines()]


def include_name(header):
    """How sources name a header: relative to src or include, else to the folder of the one who asks."""
    for root in ("src", "include", "tests"):
        if header.is_relative_to(TOP / root):
            return str(header.relative_to(TOP / root))
    return header.name


def source_for(header, sources):
    """The header's own source file if it has one, else the first that includes it."""
    own = header.with_suffix(".cpp")
    if own in sources:
        return own
    line = f'#include "{include_name(header)}"'
    return next((source for source in sources if line in source.read_text()), None)


def files_to_check(commands, everything):
    sources = sorted(commands)
    changed = None if everything else changed_files()
    if changed is None:
        return sources
    wanted = {path for path in changed if path in commands}
    for header in (path for path in changed if path.suffix == ".h"):
        source = source_for(header, sources)
        if source is not None:
            wanted.add(source)
    return sorted(wanted)


def compile_commands():
    path = BUILD / "compile_commands.json"
    if not path.exists():
        sys.exit("tidy.py: no build/asan/compile_commands.json; run: cmake --preset asan")
    entries = json.loads(path.read_text())
    return {pathlib.Path(e["file"]): e for e in entries if pathlib.Path(e["file"]).suffix == ".cpp"}


def fingerprint(entry, rules):
    """Of all that clang-tidy will see, comments included: they can hold NOLINT."""
    arguments = shlex.split(entry["command"])
    if arguments[0].endswith("ccache"):
        arguments = arguments[1:]
    at = arguments.index("-o")
    del arguments[at : at + 2]
    arguments.remove("-c")
    text = subprocess.run([*arguments, "-E", "-CC"], cwd=entry["directory"], capture_output=True)
    if text.returncode != 0:
        return None
    return hashlib.sha256(rules + entry["command"].encode() + text.stdout).hexdigest()


def check(entry, rules):
    """Empty when clean, else what clang-tidy said."""
    mark = fingerprint(entry, rules)
    if mark and (CLEAN / mark).exists():
        return ""
    done = subprocess.run([TIDY, "--quiet", "-p", str(BUILD), entry["file"]], cwd=TOP, capture_output=True, text=True)
    if done.returncode != 0:
        return done.stdout or done.stderr
    if mark:
        (CLEAN / mark).touch()
    return ""


def without_repetitions(outputs):
    """What clang-tidy said of several files, each fault in a shared header once."""
    faults = {}
    for output in outputs:
        for fault in re.split(r"\n(?=/)", "\n" + output):
            faults.setdefault(fault.strip())
    return "\n".join(fault for fault in faults if fault).replace(f"{TOP}/", "")


def main():
    if sys.argv[1:] not in ([], ["--all"]):
        sys.exit("usage: scripts/lib/tidy.py [--all]")
    commands = compile_commands()
    files = files_to_check(commands, bool(sys.argv[1:]))
    CLEAN.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    rules = version + b"".join((TOP / name).read_bytes() for name in RULES)
    failed = []
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(lambda path: check(commands[path], rules), files)
        for number, (path, said) in enumerate(zip(files, results), 1):
            print(f"{number}/{len(files)} {path.relative_to(TOP)}", flush=True)
            if said:
                failed.append(said)
    if failed:
        print(without_repetitions(failed))
        sys.exit(f"clang-tidy: faults in {len(failed)} of {len(files)} files")
    print(f"clang-tidy: {len(files)} files clean")


if __name__ == "__main__":
    main()
