#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""status, rekey and reload against daemons that are not there, and against sockets that misbehave. What they show of real daemons is
tested where real daemons run."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import unittest

import program


class Control(program.ProgramTest):
    def sockets(self):
        return ["--socket", self.folder / "control.sock", "--kms-socket", self.folder / "kms.sock"]

    @contextlib.contextmanager
    def daemon(self, answer, name="control.sock"):
        """A listener that answers one request with the given octets, then closes; yields the list of what it was asked."""
        asked = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / name))
            listener.listen()
            listener.settimeout(30)

            def serve():
                with listener.accept()[0] as connection:
                    connection.settimeout(30)
                    asked.append(connection.makefile().readline())
                    connection.sendall(answer)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            try:
                yield asked
            finally:
                thread.join()

    def test_no_daemon(self):
        done = self.quipu(*self.sockets(), "status", expect=program.DOWN)
        self.assertIn("control.sock: no such socket", done.stderr)
        self.assertIn("kms.sock: no such socket", done.stderr)
        for verb in ("rekey", "reload"):
            self.assertIn("no such socket", self.quipu(*self.sockets(), verb, expect=program.ERROR).stderr)
        # The program's options may stand behind the verb.
        self.assertIn("nowhere.sock", self.quipu("rekey", "--socket", "nowhere.sock", expect=program.ERROR).stderr)

    def test_daemon_that_has_died(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "control.sock"))
        self.assertIn("has gone", self.quipu(*self.sockets(), "status", expect=program.DOWN).stderr)
        self.assertIn("has gone", self.quipu(*self.sockets(), "rekey", expect=program.ERROR).stderr)

    def test_what_is_no_socket(self):
        for name in ("control.sock", "kms.sock"):
            (self.folder / name).write_text("")
        self.assertIn("control.sock: no socket: name", self.quipu(*self.sockets(), "status", expect=program.DOWN).stderr)

    def test_the_sockets_of_the_two_daemons_are_told_apart(self):
        with self.daemon(b'{"ok":true,"result":{"schema_version":1,"kme":"kme-a","pools":[]}}\n'), \
             self.daemon(b'{"ok":true,"result":{"schema_version":1,"public_key":"AA==","tunnels":[]}}\n', "kms.sock"):
            done = self.quipu(*self.sockets(), "status", expect=program.ERROR)
        self.assertEqual(done.stdout, "")
        self.assertIn("it is not quipud that answers there", done.stderr)
        self.assertIn("it is not quipu-kmsd that answers there", done.stderr)

    def test_a_pool_is_voided_only_by_one_who_says_so_twice(self):
        refused = self.quipu(*self.sockets(), "keys", "void", "kme-b", expect=program.USAGE)
        self.assertIn("add --yes", refused.stderr)
        with self.daemon(b'{"ok":true,"result":{"voided_bits":32768}}\n', "kms.sock") as asked:
            done = self.quipu(*self.sockets(), "keys", "void", "kme-b", "--yes")
        self.assertEqual(asked, ['{"verb":"void_pool","peer":"kme-b"}\n'])
        self.assertIn("kme-b: 32768 bit voided here", done.stdout)

    def test_a_backup_is_moved_to_a_file_that_is_not_there_yet(self):
        made = self.folder / "kms.db.backup"
        made.write_bytes(b"records" * 1000)
        backup = self.folder / "kept.db"
        with self.daemon(f'{{"ok":true,"result":{{"file":"{made}"}}}}\n'.encode(), "kms.sock") as asked:
            self.quipu(*self.sockets(), "keys", "backup", backup)
        self.assertEqual(asked, ['{"verb":"backup"}\n'])
        self.assertEqual(backup.read_bytes(), b"records" * 1000)
        self.assertEqual(backup.stat().st_mode & 0o777, 0o600)
        self.assertFalse(made.exists())

    def test_what_is_in_the_way_of_a_backup_shows_before_one_is_made(self):
        (self.folder / "kept.db").write_bytes(b"older")
        for name, reason in (("kept.db", "exists already"), ("none/kept.db", "its folder does not exist")):
            done = self.quipu(*self.sockets(), "keys", "backup", self.folder / name, expect=program.ERROR)
            self.assertIn(reason, done.stderr)  # and not that no daemon listens
        self.assertEqual((self.folder / "kept.db").read_bytes(), b"older")

    def test_a_backup_that_fails_leaves_no_file(self):
        with self.daemon(b'{"ok":false,"error":{"code":"busy","message":"another copy is made"}}\n', "kms.sock"):
            self.quipu(*self.sockets(), "keys", "backup", self.folder / "kept.db", expect=program.ERROR)
        self.assertFalse((self.folder / "kept.db").exists())

    STATUS = (b'{"ok":true,"result":{"schema_version":1,"public_key":"AA==","kme":"kme-a","tunnels":[{"peer":"dc-b","state":"up"}],"pools":[{"peer_kme":"kme-b",'
              b'"km_link":"up"}]}}\n')

    def test_one_daemon_of_two(self):
        """A socket that is named, or whose daemon has a configuration, and is not there: that daemon is down."""
        for name, missing in (("control.sock", "kms.sock"), ("kms.sock", "control.sock")):
            with self.daemon(self.STATUS, name):
                done = self.quipu(*self.sockets(), "status", expect=program.DOWN)
            (self.folder / name).unlink()
            self.assertIn(f"{missing}: no such socket", done.stderr)
            self.assertIn("UP", done.stdout)

    @unittest.skipIf(os.geteuid() != 0, "a private /etc and /run need root")
    def test_what_is_configured_is_expected(self):
        for files, given, outcome, text in (
            ([], [], program.DOWN, "no daemon is configured here"),
            ([], ["--kms-socket"], program.OK, ""),
            (["quipu.toml"], ["--kms-socket"], program.DOWN, "/run/quipu/control.sock: no such socket"),
            (["kms.toml"], ["--kms-socket"], program.OK, ""),
            (["quipu.toml"], [], program.DOWN, "/run/quipu/control.sock: no such socket"),
            (["kms.toml"], [], program.DOWN, "/run/quipu-kms/control.sock: no such socket"),
        ):
            (self.folder / "kms.sock").unlink(missing_ok=True)
            options = [word for option in given for word in (option, str(self.folder / "kms.sock"))]
            make = "".join(f" && touch /etc/quipu/{name}" for name in files)
            script = f'mount -t tmpfs none /etc && mount -t tmpfs none /run && mkdir /etc/quipu{make} && exec "$@"'
            with contextlib.ExitStack() as stack:
                if given:
                    stack.enter_context(self.daemon(self.STATUS, "kms.sock"))
                done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", self.program, *options, "status"],
                                      capture_output=True, text=True)
            self.assertEqual(done.returncode, outcome, f"{files} {given}: {done.stdout}{done.stderr}")
            self.assertIn(text, done.stderr)

    @unittest.skipIf(os.geteuid() != 0, "to be somebody else needs root")
    def test_who_may_not_ask_is_told_so(self):
        self.folder.chmod(0o755)
        own = shutil.copy(self.program, self.folder)  # where the other user may go
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "control.sock"))
            listener.listen()
            (self.folder / "control.sock").chmod(0o600)
            with self.daemon(self.STATUS, "kms.sock"):
                (self.folder / "kms.sock").chmod(0o666)
                for verb, told in (("status", "not permitted; ask as root, or as a member of group quipu"),
                                   ("rekey", "not permitted; rekey is for root: use sudo"),
                                   ("reload", "not permitted; reload is for root: use sudo")):
                    done = subprocess.run([own, *map(str, self.sockets()), verb], capture_output=True, text=True,
                                          user=65534, group=65534, extra_groups=[])
                    self.assertEqual(done.returncode, program.ERROR, done.stderr)
                    self.assertIn(told, done.stderr)

    def test_closed_without_an_answer(self):
        with self.daemon(b""):
            self.assertIn("without an answer", self.quipu(*self.sockets(), "rekey", expect=program.ERROR).stderr)

    def test_nonsense(self):
        # No reply at all counts as down; a reply whose status cannot be read is an error.
        for answer, outcome in (
            (b"nonsense\n", program.DOWN),
            (b"{}\n", program.DOWN),
            (b'{"ok":true}\n', program.DOWN),
            (b'{"ok":true,"result":{}}\n', program.ERROR),
        ):
            for name in ("control.sock", "kms.sock"):
                (self.folder / name).unlink(missing_ok=True)
            with self.daemon(answer), self.daemon(self.STATUS, "kms.sock"):
                self.assertNotEqual(self.quipu(*self.sockets(), "status", expect=outcome).stderr, "")

    def test_what_cannot_be_read_does_not_hide_the_other_daemon(self):
        for name, other in (("control.sock", "kms.sock"), ("kms.sock", "control.sock")):
            for options in ((), ("--json",)):
                down = self.STATUS.replace(b'"state":"up"', b'"state":"down"').replace(b'"km_link":"up"', b'"km_link":"down"')
                with self.daemon(b'{"ok":true,"result":{}}\n', name), self.daemon(down, other):
                    done = self.quipu(*self.sockets(), "status", *options, expect=program.DOWN)
                for socket_name in (name, other):
                    (self.folder / socket_name).unlink()
                self.assertIn("schema_version", done.stderr)
                if options:
                    shown = json.loads(done.stdout)
                    self.assertEqual([part for part in ("device", "kms") if shown[part] is None],
                                     ["device" if name == "control.sock" else "kms"])
                else:
                    self.assertIn("DOWN", done.stdout)

    def test_refusal_is_told_with_its_hint(self):
        refusal = {"ok": False, "error": {"code": "not_permitted", "message": "only root may rekey", "hint": "use sudo"}}
        with self.daemon(json.dumps(refusal).encode() + b"\n") as asked:
            done = self.quipu(*self.sockets(), "rekey", "dc-b", expect=program.ERROR)
        self.assertIn("only root may rekey; use sudo", done.stderr)
        self.assertEqual(json.loads(asked[0]), {"verb": "rekey", "peer": "dc-b"})

    def test_refused_configuration_has_its_own_exit_code(self):
        refusal = {"ok": False, "error": {"code": "malformed", "message": "quipu.toml:3:1: unknown key", "hint": ""}}
        with self.daemon(json.dumps(refusal).encode() + b"\n"):
            done = self.quipu(*self.sockets(), "reload", expect=program.CONFIG_INVALID)
        self.assertIn("quipu.toml:3:1", done.stderr)

    def test_rekey_and_reload_results(self):
        done = {"peer": "dc-b", "latency_ms": 2.34, "key_prefetched": True}
        failed = {"peer": "dc-c", "reason": "no endpoint is known yet"}
        for failures, outcome, told in (([], program.OK, ""), ([failed], program.ERROR, "dc-c: not rekeyed: no endpoint")):
            reply = {"ok": True, "result": {"rekeys": [done], "failed": failures}}
            with self.daemon(json.dumps(reply).encode() + b"\n"):
                run = self.quipu(*self.sockets(), "rekey", expect=outcome)
            self.assertEqual(run.stdout, "dc-b: rekeyed in 2.3 ms\n")
            self.assertIn(told, run.stderr)
            (self.folder / "control.sock").unlink()
        # Who made the handshake knows how long it took, and whether it waited.
        for rekeyed, told in (({"peer": "dc-b", "latency_ms": 9, "key_prefetched": False}, "in 9.0 ms, after waiting for a KMS"),
                              ({"peer": "dc-b", "latency_ms": 1, "key_prefetched": True, "since_asked_ms": 100}, "in 1.0 ms"),
                              # A path of 150 ms and back, and the peer's first packet.
                              ({"peer": "dc-b", "latency_ms": 150, "key_prefetched": True, "since_asked_ms": 303}, "in 150.0 ms"),
                              # It was wanted, and tried, before somebody asked for it.
                              ({"peer": "dc-b", "latency_ms": 9000, "key_prefetched": True, "since_asked_ms": 400}, "in 9000.0 ms"),
                              ({"peer": "dc-b", "latency_ms": 1, "key_prefetched": True, "since_asked_ms": 990.2},
                               "in 1.0 ms; 1.0 s since it was asked for"),
                              ({"peer": "dc-b"}, "by the peer, which knows how long it took")):
            with self.daemon(json.dumps({"ok": True, "result": {"rekeys": [rekeyed]}}).encode() + b"\n"):
                self.assertEqual(self.quipu(*self.sockets(), "rekey").stdout, f"dc-b: rekeyed {told}\n")
            (self.folder / "control.sock").unlink()
        lifted = b'{"ok":true,"result":{"removed":["dc-c"],"unprotected":["10.3.0.0/16"]}}\n'
        with self.daemon(lifted):
            self.assertEqual(self.quipu(*self.sockets(), "reload").stdout,
                             "removed: dc-c\nno longer protected, routed in clear from now on: 10.3.0.0/16\n")
        (self.folder / "control.sock").unlink()
        nothing = b'{"ok":true,"result":{"added":[],"removed":[],"changed":[],"needs_restart":[]}}\n'
        with self.daemon(nothing):
            self.assertEqual(self.quipu(*self.sockets(), "reload").stdout, "nothing has changed\n")


if __name__ == "__main__":
    program.main()
