#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""systemd understands every unit, and finds it as hardened as it should be; its watchdog has patience. Usage: units.py FOLDER"""

import pathlib
import re
import subprocess
import sys
import tempfile

import tree

# Of systemd's exposure level, times ten: 2.0 is "OK", a unit without any hardening has 9.6.
MAX_EXPOSURE = 20
# A busy disk has kept a daemon, which goes on when what it has to write is written, for 13 s.
MIN_WATCHDOG_S = 30


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, (done.stderr + done.stdout).strip()


def verify(unit, folder):
    """What systemd has to say against a unit. The programs need not be installed: another one stands in for them."""
    copy = pathlib.Path(folder) / unit.name
    copy.write_text(re.sub(r"^(Exec\w+)=/usr/sbin/quipu\S+", r"\1=/bin/true", unit.read_text(), flags=re.MULTILINE))
    # Units of the machine that runs the check may have faults of their own: they are no reason to fail, and not ours to tell.
    code, said = analyze("verify", "--man=no", "--recursive-errors=no", copy)
    own = "\n".join(line for line in said.splitlines() if unit.name in line)
    return own or (said or f"systemd-analyze verify ended with {code} and said nothing" if code != 0 else "")


def check(folder):
    units = sorted(pathlib.Path(folder).glob("*.service"))
    faults = []
    with tempfile.TemporaryDirectory() as copies:
        for unit in units:
            if said := verify(unit, copies):
                faults.append(f"{unit}: {said}")
            if any(int(limit) < MIN_WATCHDOG_S for limit in re.findall(r"^WatchdogSec=(\d+)", unit.read_text(), re.MULTILINE)):
                faults.append(f"{unit}: WatchdogSec is less than {MIN_WATCHDOG_S}")
            code, said = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", unit)
            if code != 0:
                faults.append(f"{unit}: {said.splitlines()[-1] if said else 'not understood'}")
    return faults, len(units)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), "units")
