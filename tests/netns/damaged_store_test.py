#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A KMS whose store was damaged while it did not run: kme-a has a QKD link with kme-b, and one with kme-c.

  sae-b -> kme-b  <== KM link ==>  kme-a <- sae-a  <== KM link ==>  kme-c <- sae-c
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import unittest

import support
from sites import World
from support import PROGRAMS, wait_until


class DamagedStore(unittest.TestCase):
    def setUp(self):
        self.world = World(3)
        self.addCleanup(self.world.close)
        self.a, self.b, self.c = self.world.sites
        self.world.start_kmss([(self.a, self.b), (self.a, self.c)])

    def start_a(self):
        self.a.start_kms()
        wait_until(lambda: self.a.kms_control.ask("status"), "it answers")

    def shares_a_key(self, other):
        """Whether sae-a gets a key, and the other site's SAE the same."""
        status, issued = self.a.ask(f"sae-{other.letter}/enc_keys", {})
        if status != 200:
            return False
        wanted = {"key_IDs": [{"key_ID": key["key_ID"]} for key in issued["keys"]]}
        status, fetched = other.ask("sae-a/dec_keys", wanted)
        return status == 200 and fetched["keys"] == issued["keys"]

    def pool(self, site, peer):
        pools = site.kms_control.result("status")["pools"]
        return next(pool for pool in pools if pool["peer_kme"] == f"kme-{peer.letter}")

    def kms_log(self, site):
        return (site.folder / "quipu-kmsd.log").read_text(errors="replace")

    def change_store(self, sql):
        with contextlib.closing(sqlite3.connect(self.a.folder / "kms.db")) as database:
            database.execute(sql)
            database.commit()

    def test_damaged_blocks_are_burnt_and_all_else_goes_on(self):
        self.assertEqual(self.a.stop_kms(), 0)
        self.change_store("UPDATE chunks SET sealed = zeroblob(length(sealed)) WHERE pool = (SELECT id FROM pools WHERE kme = 'kme-b')")
        self.start_a()
        wait_until(lambda: self.shares_a_key(self.c), "keys of the other pool flow")
        wait_until(lambda: self.shares_a_key(self.b), "keys of the damaged pool flow again")
        self.assertIsNone(self.a.kms.poll(), self.kms_log(self.a))
        self.assertIn("event=block_damaged", self.kms_log(self.a))
        wait_until(lambda: self.pool(self.b, self.a)["books"]["voided_bits"] > 0, "the other end has given them up too")
        self.assertIn("event=block_voided", self.kms_log(self.b))
        self.assertEqual(self.pool(self.c, self.a)["books"]["voided_bits"], 0)

    def expect_503(self):
        for path, body in (("sae-b/enc_keys", {}), ("sae-c/dec_keys", {"key_IDs": [{"key_ID": "0a0b0c0d-1111-4222-8333-444455556666"}]})):
            code, answer = self.a.ask(path, body)
            self.assertEqual(code, 503)
            self.assertIn("out of service", answer["message"])
            self.assertNotIn("kms.db", answer["message"])

    def expect_out_of_service(self, why):
        self.start_a()
        status = self.a.kms_control.result("status")
        self.assertIn(why, status["reason"])
        self.assertEqual(status["pools"], [])
        shown = subprocess.run([PROGRAMS / "quipu", "--kms-socket", self.a.kms_control.path, "status"], capture_output=True, text=True)
        self.assertEqual(shown.returncode, 4, shown.stderr)
        self.assertIn("OUT OF SERVICE", shown.stdout)
        self.assertIn(why, shown.stdout)
        self.assertFalse(self.a.kms_control.ask("void_pool", peer="kme-b")["ok"])
        self.expect_503()
        self.assertEqual(self.kms_log(self.a).count("event=out_of_service"), 1)

    def expect_damaged(self, why):
        self.expect_out_of_service(why)
        self.assertIn(f"the store is damaged: stop quipu-kmsd, move {self.a.folder / 'kms.db'}* away",
                      self.a.kms_control.result("status")["reason"])

    def test_a_store_that_does_not_open_puts_the_kms_out_of_service(self):
        self.assertEqual(self.a.stop_kms(), 0)
        store = self.a.folder / "kms.db"
        os.truncate(store, store.stat().st_size // 8192 * 4096)
        damaged = store.read_bytes()
        self.expect_damaged("is damaged")
        self.assertEqual(self.a.stop_kms(), 0)
        self.assertEqual(store.read_bytes(), damaged, "it is left as it was")
        for file in self.a.folder.glob("kms.db*"):
            file.unlink()
        self.start_a()
        for other in (self.b, self.c):
            wait_until(lambda: self.shares_a_key(other), "keys flow again")

    def test_books_that_contradict_the_store_put_the_kms_out_of_service(self):
        self.assertEqual(self.a.stop_kms(), 0)
        self.change_store("UPDATE pools SET stock = stock - 32, burnt = burnt + 32 WHERE kme = 'kme-c'")
        self.expect_damaged("books contradict")

    def damage_index_of_blocks(self):
        """So that a start does not see it: whoever changes the block's state does."""
        self.assertEqual(self.a.stop_kms(), 0)
        with contextlib.closing(sqlite3.connect(self.a.folder / "kms.db")) as database:
            size = database.execute("PRAGMA page_size").fetchone()[0]
            page = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'blocks_live'").fetchone()[0]
            live = database.execute("SELECT id FROM blocks WHERE pool = (SELECT id FROM pools WHERE kme = 'kme-b') AND state = 2").fetchone()[0]
        store = self.a.folder / "kms.db"
        octets = bytearray(store.read_bytes())
        entry = octets.index(live, (page - 1) * size, page * size)
        octets[entry + len(live) - 1] ^= 1
        store.write_bytes(octets)
        self.start_a()

    def test_damage_that_shows_later_puts_the_kms_out_of_service_too(self):
        self.damage_index_of_blocks()
        self.a.kms_control.ask("void_pool", peer="kme-b")
        wait_until(lambda: "event=out_of_service" in self.kms_log(self.a), "the damage was met")
        wait_until(lambda: self.a.kms_control.ask("status"), "it answers")
        self.assertIn(f"the store is damaged: stop quipu-kmsd, move {self.a.folder / 'kms.db'}* away", self.a.kms_control.result("status")["reason"])
        self.expect_503()

    def test_damage_is_told_where_nobody_can_stay_to_tell_it(self):
        self.damage_index_of_blocks()
        (self.a.folder / "kms.toml").write_text("changed meanwhile")
        self.a.kms_control.ask("void_pool", peer="kme-b")
        self.assertEqual(self.a.kms.wait(timeout=30), 1)
        self.assertRegex(self.kms_log(self.a), "event=failed .*the store is damaged: .*; moreover .*kms.toml")

    def test_whoever_stops_a_kms_that_meets_damage_has_it_stopped(self):
        self.assertEqual(self.a.stop_kms(), 0)
        self.change_store("CREATE TRIGGER refuse BEFORE UPDATE ON leases WHEN NEW.closed_here AND NOT OLD.closed_here "
                          "BEGIN SELECT RAISE(ABORT, 'as if damaged'); END")
        self.start_a()
        wait_until(lambda: self.shares_a_key(self.b), "key is leased")
        self.assertEqual(self.a.stop_kms(), 1)
        self.assertRegex(self.kms_log(self.a), "event=failed .*as if damaged.*the store is damaged: ")
        self.assertNotIn("event=out_of_service", self.kms_log(self.a))

    def test_an_audit_log_without_an_end_puts_the_kms_out_of_service(self):
        self.assertEqual(self.a.stop_kms(), 0)
        self.change_store("UPDATE audit SET hash = x'00' WHERE number = (SELECT max(number) FROM audit)")
        self.expect_damaged("a page of the audit log is damaged")

    def test_out_of_service_a_reload_is_refused(self):
        self.assertEqual(self.a.stop_kms(), 0)
        self.change_store("PRAGMA user_version = 1000")
        self.expect_out_of_service("of version 1000")
        refused = self.a.kms_control.ask("reload")
        self.assertFalse(refused["ok"])
        self.assertIn("of version 1000", refused["error"]["message"])
        self.a.kms.send_signal(signal.SIGHUP)
        wait_until(lambda: "event=reload_refused" in self.kms_log(self.a), "the reload is refused")
        self.expect_503()

    # Another start, as the service manager makes it, may find what is missing now.
    def test_a_store_that_cannot_be_reached_ends_the_kms(self):
        self.assertEqual(self.a.stop_kms(), 0)
        configuration = self.a.folder / "kms.toml"
        configuration.write_text(configuration.read_text().replace(f"{self.a.folder}/kms.db", f"{self.a.folder}/not-mounted/kms.db"))
        self.a.start_kms()
        self.assertEqual(self.a.kms.wait(timeout=30), 1)
        self.assertIn("not-mounted", self.kms_log(self.a))
        self.assertNotIn("event=out_of_service", self.kms_log(self.a))


if __name__ == "__main__":
    support.main()
