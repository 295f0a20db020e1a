# SPDX-License-Identifier: Apache-2.0
"""A small stream of numbered datagrams through a tunnel, and how many of them did not arrive."""

import subprocess
import sys

from bench import Failure

SENDER = """
import socket, sys, time
to, rate, seconds = (sys.argv[1], 7000), int(sys.argv[2]), float(sys.argv[3])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
begin = time.monotonic()
for number in range(int(rate * seconds)):
    while time.monotonic() < begin + number / rate:
        time.sleep(0.0005)
    out.sendto(number.to_bytes(8, "big") + bytes(92), to)
"""
RECEIVER = """
import socket, sys
expected = int(sys.argv[1])
into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
into.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
into.bind(("", 7000))
print("ready", flush=True)
seen = set()
into.settimeout(20)
try:
    while len(seen) < expected:
        seen.add(int.from_bytes(into.recv(200)[:8], "big"))
        into.settimeout(2)
except TimeoutError:
    pass
print(expected - len(seen), flush=True)
"""


def send_numbered(from_inside, to_inside, address, packets_s, seconds):
    """`from_inside`, `to_inside`: a command made one that runs in the namespace of that end. How many were sent, and how many were lost."""
    expected = int(packets_s * seconds)
    receiver = subprocess.Popen(to_inside(sys.executable, "-c", RECEIVER, expected), stdout=subprocess.PIPE, text=True)
    if receiver.stdout.readline().strip() != "ready":
        raise Failure("the receiver of numbered datagrams has ended")
    subprocess.run(from_inside(sys.executable, "-c", SENDER, address, packets_s, seconds), check=True)
    return expected, int(receiver.communicate()[0])
