#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sans-I/O layers hold no clock, socket, file, thread, random source or environment. Usage: sans_io.py TOP"""

import pathlib
import re
import sys

import tree

LAYERS = ("protocol", "offload", "etsi", "kms", "config", "relay", "distill")

HEADERS = re.compile(
    r"(thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|stop_token|fstream|iostream|filesystem|random|"
    r"ctime|cstdio|csignal|locale|time\.h|stdio\.h|unistd\.h|fcntl\.h|poll\.h|netdb\.h|pthread\.h|(sys|net|netinet|arpa|linux)/.*|"
    r"boost/asio.*|boost/beast.*)$"
)
CALLS = re.compile(
    r"\b(?:\w+_clock\s*::\s*now|clock_gettime|gettimeofday|localtime\w*|gmtime\w*|getenv|secure_getenv|setenv|"
    r"random_device|mt19937\w*|getrandom|randombytes\w*|arc4random\w*|SystemRng|this_thread|pthread_\w+|thread_local|"
    r"fopen|printf|fprintf|puts|socket\s*\(\s*(?:AF|PF)_\w+|usleep|nanosleep|sleep_for|sleep_until)\b"
    r"|(?<![\w:.>])(?:std::|::)?(?:time|rand|srand)\s*\(\s*(?:nullptr|NULL|0|)\s*\)"
    r"|(?<![\w:.>])::(?:open|read|write|send|recv|connect|bind)\s*\("
)


def check(top):
    top = pathlib.Path(top)
    sources = [name for name in tree.code_files(top, "src") if name.parts[1] in LAYERS]
    faults = []
    for name in sources:
        text = (top / name).read_text()
        for line, is_system, path in tree.includes(text):
            if is_system and HEADERS.match(path):
                faults.append(f"{name}:{line}: <{path}> in a sans-I/O layer")
        for number, line in enumerate(tree.without_comments_and_texts(text).splitlines(), 1):
            if found := CALLS.search(line):
                faults.append(f"{name}:{number}: '{found[0].strip()}' in a sans-I/O layer: pass time, octets or an Rng in")
    return faults, len(sources)


if __name__ == "__main__":
    tree.finish(*check(sys.argv[1]), "files of sans-I/O layers")
