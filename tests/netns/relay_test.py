#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys that come over trusted nodes: a tunnel between two sites that share no QKD link, and another way around a node that has died."""

import json
import pathlib
import secrets
import signal
import subprocess
import tempfile
import unittest

import support
from sites import Control, World
from support import PROGRAMS, run, wait_until

TOPOLOGIES = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "lab"


def routes(site):
    """The one relayed pool of a site, as `quipu relay routes` tells it."""
    done = subprocess.run([PROGRAMS / "quipu", "--kms-socket", site.kms_control.path, "relay", "routes", "--json"],
                          capture_output=True, text=True)
    return json.loads(done.stdout)["routes"][0] if done.stdout else None


def nodes_of(route):
    return [link["to"] for link in route["links"]]


class Line(unittest.TestCase):
    """a - b - c - d, with a tunnel between a and d."""

    @classmethod
    def setUpClass(cls):
        cls.world = World(4)
        cls.addClassCleanup(cls.world.close)
        a, b, c, d = cls.world.sites
        cls.a, cls.b, cls.d = a, b, d
        cls.world.start_kmss([(a, b), (b, c), (c, d)], relayed=[(a, d)], trusted_nodes=(b, c))
        for site, other in ((a, d), (d, a)):
            site.write_daemon_config([other], rekey_interval_s=1)
            site.start_daemon()
            site.wait_ready()

    def test_a_tunnel_with_keys_that_came_over_two_trusted_nodes(self):
        wait_until(lambda: self.a.reaches(self.d), "the tunnel carries pings")
        first = self.a.tunnel(self.d)["qkd_keys_used"]
        wait_until(lambda: self.a.reaches(self.d) and self.a.tunnel(self.d)["qkd_keys_used"] >= first + 3,
                   "the tunnel is rekeyed with relayed keys")
        tunnel = self.a.tunnel(self.d)
        self.assertEqual((tunnel["state"], tunnel["qkd"], tunnel["simulated"]), ("up", "ok", True))
        route = routes(self.a)
        self.assertEqual(nodes_of(route), ["kme-b", "kme-c", "kme-d"])
        self.assertTrue(route["source"])
        self.assertGreater(route["relayed"], 0)
        self.assertEqual(route["voided"], 0)

    def test_it_is_told(self):
        text = run(PROGRAMS / "quipu", "--kms-socket", self.a.kms_control.path, "relay", "routes")
        self.assertIn("relay of kme-a  relays for nobody\n", text)
        self.assertRegex(text, r"pool with kme-d  source here  stock [\d.]+ .?bit of 1048\.6 kbit\n")
        self.assertRegex(text, r"  link kme-b to kme-c  stock .*  SIMULATED\n")
        node = self.b.kms_control.result("relay_routes")
        self.assertTrue(node["trusted_node"])
        self.assertGreater(node["forwarded"], 0)
        self.assertEqual((node["refused"], node["forged"], node["routes"]), (0, 0, []))
        pools = {pool["peer_kme"]: pool for pool in self.a.kms_control.result("status")["pools"]}
        self.assertTrue(pools["kme-d"]["relayed"] and pools["kme-d"]["simulated"])
        self.assertFalse(pools["kme-b"]["relayed"])


class Ring(unittest.TestCase):
    """a - b - c - d - e - a: from a to c over b, or over e and d."""

    @classmethod
    def setUpClass(cls):
        cls.world = World(5)
        cls.addClassCleanup(cls.world.close)
        a, b, c, d, e = cls.world.sites
        cls.a, cls.b = a, b
        # More than the links' first key, so that blocks are on their way all the time.
        cls.world.start_kmss([(a, b), (b, c), (c, d), (d, e), (a, e)], relayed=[(a, c)], trusted_nodes=(b, c, d, e),
                             relay_stock_bit=64 << 20)

    def test_key_goes_another_way_when_a_node_has_died(self):
        self.b.stop_kms(signal.SIGKILL)
        before = routes(self.a)["relayed"]

        def goes_on():
            route = routes(self.a)
            return route["relayed"] > before and nodes_of(route) == ["kme-e", "kme-d", "kme-c"]

        wait_until(goes_on, "blocks are relayed over the other side of the ring")


class TwoPaths(unittest.TestCase):
    """The same ring, with each block over both of its sides."""

    @classmethod
    def setUpClass(cls):
        cls.world = World(5)
        cls.addClassCleanup(cls.world.close)
        a, b, c, d, e = cls.world.sites
        cls.a, cls.b, cls.c, cls.nodes = a, b, c, (b, d, e)
        cls.world.start_kmss([(a, b), (b, c), (c, d), (d, e), (a, e)], relayed=[(a, c)], trusted_nodes=(b, d, e),
                             relay_stock_bit=65536, relay_paths=2)

    def draw(self):
        """A request, whose keys are fetched at the other end. The status."""
        status, issued = self.a.ask("sae-c/enc_keys", {"number": 100})
        if status == 200:
            fetched, theirs = self.c.ask("sae-a/dec_keys", {"key_IDs": [{"key_ID": key["key_ID"]} for key in issued["keys"]]})
            self.assertEqual((fetched, theirs["keys"]), (200, issued["keys"]))
        return status

    def told(self):
        return subprocess.run([PROGRAMS / "quipu", "--kms-socket", self.a.kms_control.path, "relay", "routes"],
                              capture_output=True, text=True)

    def test_keys_come_over_both_paths_and_never_over_one(self):
        route = routes(self.a)
        self.assertEqual([(link["path"], link["to"]) for link in route["links"]],
                         [(1, "kme-b"), (1, "kme-c"), (2, "kme-e"), (2, "kme-d"), (2, "kme-c")])
        self.assertEqual((route["paths"], route["paths_found"], route["voided"]), (2, 2, 0))
        self.assertRegex(self.told().stdout, r"  path 2  link kme-e to kme-d  stock ")
        self.assertEqual(self.draw(), 200)
        for node in self.nodes:
            self.assertGreater(node.kms_control.result("relay_routes")["forwarded"], 0)
        self.b.stop_kms(signal.SIGKILL)
        wait_until(lambda: routes(self.a)["paths_found"] == 1 and routes(self.a)["in_flight"] == 0, "a path is gone")
        relayed = routes(self.a)["relayed"]
        wait_until(lambda: self.draw() == 503, "the pool is used up")
        self.assertEqual(routes(self.a)["relayed"], relayed)
        wait_until(lambda: "NOTHING IS RELAYED" in self.told().stdout, "it says so")
        told = self.told()
        reason = r"NOTHING IS RELAYED  reason of 2 paths over trusted nodes, without a node in common, 1 have enough key on " \
                 r"every link: the link kme-. to kme-b is down\n"
        self.assertRegex(told.stdout, reason)
        self.assertEqual(told.returncode, 3)
        status = subprocess.run([PROGRAMS / "quipu", "--kms-socket", self.a.kms_control.path, "--socket", "/absent", "status"],
                                capture_output=True, text=True)
        self.assertRegex(status.stdout, reason)
        self.b.start_kms()
        wait_until(lambda: self.draw() == 200, "both paths are there again")


class Laboratory(unittest.TestCase):
    def test_the_shipped_topologies_come_up(self):
        for name, destination in (("line-4", "d"), ("ring-5", "c"), ("two-paths", "c")):
            with self.subTest(name):
                run_id = "r" + secrets.token_hex(3)
                self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", run_id], capture_output=True)
                up = json.loads(run(PROGRAMS / "quipu", "lab", "up", run_id, "--topology", TOPOLOGIES / f"{name}.toml", "--json"))
                sites = {site["site"]: site for site in up["sites"]}
                route = Control(sites["a"]["kms_control_socket"]).result("relay_routes")["routes"][0]
                self.assertEqual(route["peer_kme"], f"kme-{destination}")
                self.assertGreater(route["relayed"], 0)
                self.assertEqual({letter: site["daemons"] for letter, site in sites.items()},
                                 {letter: 2 if letter in ("a", destination) else 1 for letter in sites})
                run(PROGRAMS / "quipu", "lab", "down", run_id)
                self.assertNotIn(run_id, run("ip", "netns", "list"))

    def test_one_that_does_not_fit_together_is_refused(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write('sites = ["a", "b"]\n[[tunnel]]\nbetween = ["a", "b"]\n')
            file.flush()
            done = subprocess.run([PROGRAMS / "quipu", "lab", "up", "refused", "--topology", file.name], capture_output=True,
                                  text=True)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("3:1", done.stderr)
        self.assertIn("these sites have no keys", done.stderr)


if __name__ == "__main__":
    support.main()
