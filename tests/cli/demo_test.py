#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo says where it cannot begin or go on: a sentence that says what to do; and how it counts what was lost. The
demonstration itself needs root and minutes."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

DEMO = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lib" / "demo.py"
sys.path.insert(0, str(DEMO.parent))
import demo  # its folder has to be known first


class Demo(unittest.TestCase):
    def demo(self, folder, path):
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", folder], env={"PATH": str(path)}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn("Traceback", done.stderr)
        self.assertNotIn("bringing up", done.stdout)
        return done.stderr

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_a_tool_is_missing(self):
        text = self.demo(self.folder, self.folder)
        self.assertIn("not found: ", text)
        self.assertIn("scp", text)
        self.assertIn("scripts/setup demo", text)

    def test_nothing_was_built(self):
        for tool in ("ip", "ping", "scp", "ssh", "ssh-keygen", "sshd"):
            (self.folder / tool).touch(0o755)
        self.assertIn("there is no program quipu", self.demo(self.folder, self.folder))

    def test_the_program_does_not_run(self):
        for tool in ("ip", "ping", "scp", "ssh", "ssh-keygen", "sshd"):
            (self.folder / tool).touch(0o755)
        (self.folder / "quipu").write_text("no program")
        (self.folder / "quipu").chmod(0o755)
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder], env={"PATH": str(self.folder)}, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("quipu' cannot be run", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_a_failure_is_in_the_figures_too(self):
        figures = self.folder / "figures.json"
        figures.write_text('{"ok": true}')
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder, "--json", figures], env={"PATH": str(self.folder)},
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        written = json.loads(figures.read_text())
        self.assertIs(written["ok"], False)
        self.assertIn(written["error"], done.stderr)
        self.assertIn("not found: ", written["error"])

    def test_figures_that_cannot_be_written_are_told_at_once(self):
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder, "--json", self.folder / "no" / "figures.json"],
                              env={"PATH": str(self.folder)}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("figures.json: No such file", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_figures_are_not_made_anew(self):
        """Root may not, where the file is another's and the folder like /tmp."""
        figures = self.folder / "figures.json"
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder, "--json", figures], env={"PATH": str(self.folder)},
                              capture_output=True, text=True)
        self.assertIn("figures.json: No such file", done.stderr)
        self.assertFalse(figures.exists())

    def laboratory_that(self, when_down, processes=()):
        """A stand-in for `quipu`, whose laboratory is no more than its description."""
        sites = [{"site": letter, "folder": str(self.folder), "control_socket": str(self.folder / "none"), "processes": processes,
                  "kms_control_socket": str(self.folder / "none")} for letter in "ab"]
        program = self.folder / "quipu"
        up = json.dumps({"tunnel_up_s": 1, "sites": sites})
        program.write_text(f"#!/bin/sh\ncase $* in\n*lab\\ up*) echo '{up}' ;;\n*lab\\ down*) {when_down} ;;\nesac\n")
        program.chmod(0o755)

    def test_a_daemon_that_has_ended_is_told(self):
        for tool in ("ip", "ping", "scp", "ssh", "ssh-keygen", "sshd"):
            (self.folder / tool).touch(0o755)
        # No process has this number.
        self.laboratory_that("true", [[1 << 30, 1]])
        figures = self.folder / "figures.json"
        figures.touch()
        done = subprocess.run([sys.executable, "-B", DEMO, "--bin", self.folder, "--json", figures], env={"PATH": str(self.folder)},
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn("Traceback", done.stderr)
        self.assertIn(str(1 << 30), json.loads(figures.read_text())["error"])

    def test_the_status_is_shown_once_all_is_well(self):
        self.laboratory_that("true")
        program = self.folder / "quipu"
        program.write_text(program.read_text().replace("case", 'echo x >>"$0.asked"; [ "$(wc -l <"$0.asked")" -gt 3 ] || exit 3\ncase', 1))
        laboratory = demo.Laboratory(self.folder)
        laboratory.sites = [{"control_socket": "none", "kms_control_socket": "none"}]
        laboratory.wait_until_well(0)
        self.assertEqual((self.folder / "quipu.asked").read_text(), "x\n" * 4)

    def test_what_was_not_taken_down_is_told(self):
        for number in demo.ENDING:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.laboratory_that("exit 1")
        with self.assertRaisesRegex(demo.Failure, "lab down"), demo.Laboratory(self.folder):
            pass
        with self.assertRaisesRegex(demo.Failure, "the first"), demo.Laboratory(self.folder):
            raise demo.Failure("the first")
        self.laboratory_that("exit 0")
        with demo.Laboratory(self.folder):
            pass


class Daemon:
    """Answers every request over its control socket alike."""

    def __init__(self, path, answer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.answer = answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                with self.socket.accept()[0] as connection:
                    connection.makefile().readline()
                    connection.sendall(self.answer)
        except OSError:
            pass

    def close(self):
        # It wakes whoever waits in accept.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Control(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(pathlib.Path(folder.name) / "control.sock")

    def daemon(self, answer):
        self.addCleanup(Daemon(self.path, answer).close)

    def test_nobody_listens(self):
        with self.assertRaisesRegex(demo.Failure, "does not answer 'status'"):
            demo.control(self.path, "status")

    def test_no_answer(self):
        self.daemon(b"")
        with self.assertRaisesRegex(demo.Failure, "does not answer 'status'"):
            demo.control(self.path, "status")

    def test_a_tunnel_that_is_not_rekeyed(self):
        self.daemon(b'{"ok": true, "result": {"tunnels": [{"initiator": true}], "rekeys": []}}\n')
        with self.assertRaisesRegex(demo.Failure, "after 0 rekeys"):
            demo.rekeys_in_pairs(self.laboratory())

    def test_nobody_begins(self):
        self.daemon(b'{"ok": true, "result": {"tunnels": [{"initiator": false}], "rekeys": []}}\n')
        with self.assertRaisesRegex(demo.Failure, "neither site"):
            demo.rekeys_in_pairs(self.laboratory())

    def test_rekeys_are_asked_for_in_pairs_and_the_cold_ones_counted(self):
        asked = []

        def controls(_, verb, times):
            asked.append((verb, times))
            for cold in (False, True)[:times]:
                yield {"rekeys": [{"latency_ms": 3.0 if cold else 1.0, "key_prefetched": not cold}]}

        with mock.patch.object(demo, "controls", controls), mock.patch.object(demo.time, "sleep") as pauses, \
                mock.patch.object(demo.Laboratory, "tunnel", return_value={"initiator": True}):
            every, cold = demo.rekeys_in_pairs(self.laboratory())
        self.assertEqual(asked, [("rekey", 2)] * (demo.LATENCY_REKEYS // 2))
        self.assertEqual(pauses.call_args_list, [mock.call(demo.REKEY_INTERVAL_S / 2)] * (len(asked) - 1))
        self.assertEqual((len(every), cold), (demo.LATENCY_REKEYS, [3.0] * (demo.LATENCY_REKEYS // 2)))

    def laboratory(self):
        laboratory = demo.Laboratory(pathlib.Path(self.path).parent)
        laboratory.sites = [{"control_socket": self.path, "kms_control_socket": self.path}] * 2
        return laboratory


    def test_only_full_queues_explain_a_loss(self):
        tunnel = {"drops": {"blocked": 1, "malformed": 16}, "queue_drops": {"queue_full": 2}}
        status = {"drops": {"no_route": 32, "unknown_index": 1}, "queue_drops": {"tun": 4, "udp_send": 8, "udp_refused": 64},
                  "errors": {"udp_refused": 128}, "tunnels": [tunnel]}
        self.daemon(json.dumps({"ok": True, "result": status}).encode() + b"\n")
        by_rekey, by_queues = demo.dropped(self.laboratory())
        self.assertEqual({reason: count for reason, count in by_rekey.items() if count}, {"blocked": 2, "unknown_index": 2})
        self.assertEqual(by_queues, 2 * (2 + 4 + 8))

    def test_keys_used_and_keys_delivered_are_told_apart(self):
        status = {"tunnels": [{"qkd_keys_used": 7}], "pools": [{"delivered_keys": 4}, {"delivered_keys": 5}]}
        self.daemon(json.dumps({"ok": True, "result": status}).encode() + b"\n")
        self.assertEqual(demo.key_counts(self.laboratory()), {"keys_used": 7, "keys_delivered": 9})


class Copies(unittest.TestCase):
    def test_what_hangs_is_told(self):
        with self.assertRaisesRegex(demo.Failure, "'tail -f /dev/null' has not ended after 0 s"):
            demo.call("tail", "-f", "/dev/null", timeout=0.05)

    def test_a_copy_has_what_is_left_of_the_patience(self):
        given = []

        class Server:
            def copy(self, source, target, patience_s):
                given.append(patience_s)
                shutil.copy(source, target)

        class Laboratory:
            def tunnel(self, _):
                return {"rekeys": demo.LEAST_REKEYS * len(given)}

        with tempfile.TemporaryDirectory() as folder, mock.patch.object(demo, "FILE_MIB", 1):
            carried, _, whole, _ = demo.copy_files(Laboratory(), Server(), pathlib.Path(folder), 3 << 20)
        self.assertEqual((carried, whole, len(given)), (3 << 20, True, 3))
        self.assertLessEqual(given[0], demo.PATIENCE_S)
        self.assertEqual(given, sorted(given, reverse=True))
        self.assertGreater(given[-1], 0)


@unittest.skipIf(os.geteuid() != 0, "so many probes a second are for root")
class Probes(unittest.TestCase):
    def probe(self, address):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        laboratory = mock.Mock(sites=[{}, {"tunnel_address": address}], inside=lambda _: [])
        return demo.Probe(laboratory, pathlib.Path(folder.name))

    def test_none_is_judged_while_it_is_under_way(self):
        # The last answers come late, as through a tunnel that has much to carry.
        probe, late = self.probe("127.0.0.1"), demo.Probe.answered
        looks = []

        def answered(probe):
            looks.append(late(probe))
            return looks[-2] if len(looks) > 1 else {}

        with probe, mock.patch.object(demo.Probe, "answered", answered):
            begun = time.time()
            found = probe.so_far()
        self.assertGreaterEqual(found[max(found)][0], begun)
        self.assertEqual(sorted(found), list(range(1, max(found) + 1)))

    def test_a_tunnel_that_has_ended_is_told(self):
        with self.probe("192.0.2.1") as probe, mock.patch.object(demo, "ANSWER_PATIENCE_S", 0):
            with self.assertRaisesRegex(demo.Failure, "no probe was answered"):
                probe.so_far()


class Lost(unittest.TestCase):
    # From 100 s on, one each 5 ms, answered within a millisecond.
    ANSWERED = {number: (100 + number / demo.PROBES_PER_S, 0.001) for number in range(1, 1001)}

    def lost(self, missing, spans):
        answered = {number: at for number, at in self.ANSWERED.items() if number not in missing}
        return demo.lost_probes(sorted(missing), answered, spans)

    def test_a_full_queue_explains_what_was_sent_then(self):
        self.assertEqual(self.lost({400}, [(101.95, 102.05)]), [])
        self.assertEqual(self.lost({1}, [(99.9, 100.02)]), [])
        self.assertEqual(self.lost({1000}, [(104.95, 105.05)]), [])

    def test_and_nothing_else(self):
        self.assertEqual(self.lost({400}, []), [400])
        self.assertEqual(self.lost({400, 800}, [(101.95, 102.05)]), [800])
        # A second without an answer is not all of that queue's.
        self.assertEqual(self.lost(set(range(400, 600)), [(101.95, 102.052)]), list(range(431, 600)))

    def test_a_probe_can_be_on_the_way_for_long(self):
        slow = {number: (at, 0.5) for number, (at, _) in self.ANSWERED.items() if number != 400}
        self.assertEqual(demo.lost_probes([400], slow, [(102.4, 102.5)]), [])
        self.assertEqual(demo.lost_probes([400], slow, [(102.7, 102.8)]), [400])
        self.assertEqual(demo.lost_probes([400], slow, [(101.7, 101.8)]), [400])

    def test_those_after_the_last_answer_are_not_judged(self):
        self.assertEqual(demo.missing_probes({2: (100, 0.001), 5: (101, 0.001)}), [1, 3, 4])
        self.assertEqual(demo.missing_probes({}), [])

    def test_no_answer_at_all(self):
        self.assertEqual(demo.lost_probes([1, 2], {}, [(0, 1000)]), [1, 2])


class Passwords(unittest.TestCase):
    def test_pam_lets_root_in_where_the_password_is_locked(self):
        with tempfile.TemporaryDirectory() as folder:
            shadow = pathlib.Path(folder) / "shadow"
            for line, needed in (("root:!*:1:", "yes"), ("root:!:1:", "yes"), ("root:*:1:", "no"), ("root:$y$x:1:", "no")):
                shadow.write_text(f"{line}\ndaemon:!:1:\n")
                self.assertEqual(demo.pam_is_needed(shadow), needed, line)


if __name__ == "__main__":
    unittest.main()
