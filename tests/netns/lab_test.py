#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`quipu lab` and what `quipu status` says about it: simulated keys are called so on every screen, a tunnel that nobody uses is
well, and a laboratory that does not come up leaves its logs and nothing else."""

import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import support
from support import PROGRAMS, run, wait_until

DEMO = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lib" / "demo.py"
ROOT = pathlib.Path("/var/lib/quipu-lab")
OK, ERROR, DEGRADED, DOWN = 0, 1, 3, 4


class Laboratory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.id = "l" + secrets.token_hex(3)
        cls.addClassCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", cls.id], capture_output=True)
        up = json.loads(run(PROGRAMS / "quipu", "lab", "up", cls.id, "--rekey-interval", "1", "--json"))
        cls.sites = up["sites"]

    def status(self, site):
        """Exit code and text, as an admin sees them."""
        done = subprocess.run([PROGRAMS / "quipu", "--socket", site["control_socket"], "--kms-socket",
                               site["kms_control_socket"], "status"], capture_output=True, text=True)
        return done.returncode, done.stdout

    def well(self, site):
        """The text, or nothing while something is not as it should be: a driver that just started, a KMS that answers late."""
        code, text = self.status(site)
        return text if code == OK else None

    def ping(self, site=0):
        other = self.sites[1 - site]["tunnel_address"]
        return subprocess.run(["ip", "netns", "exec", self.sites[site]["network_namespace"], "ping", "-q", "-c", "1", "-w", "1",
                               other], capture_output=True).returncode == 0

    def test_simulated_on_every_screen(self):
        wait_until(self.ping, "the tunnel carries pings")
        for site, other in zip(self.sites, reversed(self.sites)):
            text = wait_until(lambda: self.ping() and self.well(site), f"all is well in site {site['site']}")
            self.assertIn(f"tunnel site-{other['site']}  UP  SIMULATED\n", text)
            self.assertIn("+qkd(1)-simulated  (required", text)
            self.assertIn(f"pool with kme-{other['site']}  KM link UP  SIMULATED\n", text)
            self.assertIn("link a-b  driver sim  running  SIMULATED  SKR", text)
            for setting in ("kms.local.cert", "etsi014.cert", "km_link.cert"):
                self.assertRegex(text, f"  certificate {setting}  ends 20")

    def drivers(self, kms):
        return run("pgrep", "-P", kms, "quipu-driver", check=False).split()

    def test_a_driver_that_is_started_again_stays_simulated(self):
        site = self.sites[0]
        kms = site["processes"][0][0]
        before, = self.drivers(kms)
        os.kill(int(before), signal.SIGKILL)

        def runs_again():
            is_another = before not in self.drivers(kms)  # asked first: what the status then tells of is not the old one
            text = self.status(site)[1]
            link = next(line for line in text.splitlines() if line.startswith("  link a-b"))
            self.assertIn("SIMULATED", link)
            self.assertIn("KM link UP  SIMULATED\n", text)
            told = re.fullmatch(r"  link a-b  driver sim  (\w+).*?  SIMULATED(?:  SKR (\d+) bit/s)?(?:  QBER .+)?  \d+ blocks", link)
            self.assertIsNotNone(told, link)
            state, rate = told.groups()
            # What an ended driver measured last is not repeated; a driver that does not see the other one tells a rate of 0.
            if state in ("backoff", "starting", "failed", "stopped"):
                self.assertIsNone(rate, link)
                self.assertNotIn("QBER", link)
            elif state != "running":
                self.assertIn(rate, (None, "0"), link)
            return is_another and state == "running" and rate

        wait_until(runs_again, "the driver runs again")

    def test_a_tunnel_that_nobody_uses_is_idle_and_well(self):
        wait_until(self.ping, "the tunnel carries pings")
        for site in self.sites:
            wait_until(lambda: "  IDLE  SIMULATED\n  reason nothing was sent" in (self.well(site) or ""), "the tunnel is idle and well")
        wait_until(self.ping, "the next packet opens it again")

    def lab(self, *arguments):
        """Exit code, and what was said."""
        done = subprocess.run([PROGRAMS / "quipu", "lab", *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_one_site_is_stopped_and_started(self):
        """Its daemons alone, and what it left is there again. `lab status` tells of all laboratories of the machine."""
        of_b = lambda: next(line for line in self.lab("status")[1].partition(f"laboratory {self.id}")[2].splitlines() if "site b" in line)
        wait_until(self.ping, "the tunnel carries pings")
        self.assertEqual(self.lab("stop", "b", self.id), (OK, ""))
        self.assertIn(f"STOPPED, 'quipu lab start b {self.id}' starts it again; files in ", of_b())
        code, told = self.lab("status")
        self.assertEqual(code, DOWN)
        self.assertIn(f"laboratory {self.id}: not all of its sites run\n  site a: ", told)
        self.assertEqual(run("ip", "netns", "pids", self.sites[1]["network_namespace"]), "")
        wait_until(lambda: "KM link DOWN" in self.status(self.sites[0])[1], "its peer misses it")
        self.assertFalse(self.ping())
        for arguments, said in (("stop b", f"site 'b' is stopped already: 'quipu lab start b {self.id}' starts it again"),
                                ("stop z", f"laboratory '{self.id}' has no site 'z': its sites are a, b"),
                                ("start a", f"site 'a' runs already: 'quipu lab stop a {self.id}' stops it")):
            self.assertEqual(self.lab(*arguments.split(), self.id), (ERROR, f"quipu: {said}\n"))
        self.assertEqual(self.lab("start", "b", self.id), (OK, ""))
        self.assertIn("2 of 2 daemons run; ", of_b())
        wait_until(self.ping, "the tunnel carries pings again")
        # It dies.
        run("bash", "-c", f"kill -KILL $(pgrep -f '^[^ ]*quipud .*{ROOT}/{self.id}/b/')")
        wait_until(lambda: f"1 of 2 daemons run: CRASHED, 'quipu lab start b {self.id}' starts it again; " in of_b(), "it is told")
        self.assertEqual(self.lab("start", "b", self.id), (OK, ""))
        wait_until(self.ping, "the tunnel carries pings again")

    def test_the_kms_says_it_where_the_configuration_does_not(self):
        for site in self.sites:
            path = pathlib.Path(site["folder"]) / "quipu.toml"
            path.write_text(path.read_text().replace(", simulated = true", ""))
            run(PROGRAMS / "quipu", "--socket", site["control_socket"], "reload")
        wait_until(self.ping, "the tunnel carries pings")
        try:
            for site, other in zip(self.sites, reversed(self.sites)):
                text = wait_until(lambda: self.ping() and self.well(site), f"all is well in site {site['site']}")
                self.assertIn(f"tunnel site-{other['site']}  UP  SIMULATED\n", text)
                self.assertIn("+qkd(1)  (required x25519+mlkem768+psk+qkd(1))", text)
                warnings = (pathlib.Path(site["folder"]) / "quipud.log").read_text().count("event=source_simulated")
                self.assertEqual(warnings, 1)
        finally:
            for site in self.sites:
                path = pathlib.Path(site["folder"]) / "quipu.toml"
                path.write_text(path.read_text().replace('" }]', '", simulated = true }]'))
                run(PROGRAMS / "quipu", "--socket", site["control_socket"], "reload")
        wait_until(self.ping, "the tunnel carries pings")

    def test_a_configuration_that_cannot_be_used_has_its_exit_code(self):
        """Whatever of it: a reload leaves the old one in force. A start is worth trying again where a file may come late."""
        site = self.sites[0]
        folder = pathlib.Path(site["folder"])
        sockets = ["--socket", site["control_socket"], "--kms-socket", site["kms_control_socket"]]
        # A start guards the site's prefixes first: not in the namespace that this machine lives in.
        inside = ["ip", "netns", "exec", site["network_namespace"]]
        for daemon, configuration, file, option in (("quipud", "quipu.toml", "a-b.psk", []),
                                                    ("quipu-kmsd", "kms.toml", "kms-store.key", ["--kms"])):
            (folder / file).rename(folder / "away")
            try:
                done = subprocess.run([PROGRAMS / "quipu", *sockets, "reload", *option], capture_output=True, text=True)
                self.assertEqual(done.returncode, 5, done.stderr)
                self.assertIn(file, done.stderr)
                for arguments, code in ((["--check"], 5), ([], 1)):
                    done = subprocess.run([*inside, PROGRAMS / daemon, "--config", folder / configuration, *arguments],
                                          capture_output=True, text=True)
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.assertIn(file, done.stderr)
                (folder / file).write_text("nonsense")
                (folder / file).chmod(0o600)
                done = subprocess.run([*inside, PROGRAMS / daemon, "--config", folder / configuration],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 5, done.stderr)
            finally:
                (folder / "away").rename(folder / file)
            self.assertEqual(run(PROGRAMS / "quipu", *sockets, "reload", *option), "nothing has changed\n")

    def test_renewed_certificates_are_told(self):
        site = self.sites[0]
        reload = [PROGRAMS / "quipu", "--kms-socket", site["kms_control_socket"], "reload", "--kms"]
        self.assertEqual(run(*reload), "nothing has changed\n")
        pki = pathlib.Path(site["folder"]) / "pki"
        authority = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, authority)
        run(PROGRAMS / "quipu", "pki", "ca", authority)
        run(PROGRAMS / "quipu", "pki", "issue", authority, "kme-a", "--san", "DNS:kme-a")
        old = {path: path.read_bytes() for path in (pki / "kme-a.pem", pki / "kme-a.key")}
        for path in old:
            path.write_bytes((authority / path.name).read_bytes())
        changed = "changed: etsi014 certificates, km_link certificates\n"
        self.assertEqual(run(*reload), changed)
        configuration = pathlib.Path(site["folder"]) / "kms.toml"
        text = configuration.read_text()
        configuration.write_text(text.replace("skr_bit_s = 100000", "skr_bit_s = 99999"))
        for path, octets in old.items():
            path.write_bytes(octets)
        self.assertEqual(run(*reload), changed + "takes effect at the next start: link a-b\n")
        self.assertEqual(run(*reload), "takes effect at the next start: link a-b\n")
        configuration.write_text("nonsense")
        done = subprocess.run(reload, capture_output=True, text=True)
        self.assertEqual(done.returncode, 5, done.stderr)
        (pki / "kme-a.key").write_text("nonsense")
        configuration.write_text(text)
        done = subprocess.run(reload, capture_output=True, text=True)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("kme-a.key", done.stderr)
        check = subprocess.run([PROGRAMS / "quipu-kmsd", "--check", "--config", configuration], capture_output=True, text=True)
        self.assertEqual(check.returncode, 5, check.stderr)
        (pki / "kme-a.key").write_bytes(old[pki / "kme-a.key"])
        self.assertEqual(run(*reload), "nothing has changed\n")
        self.assertIn("good", run(PROGRAMS / "quipu-kmsd", "--check", "--config", configuration))


class SitesWithoutTunnels(unittest.TestCase):
    def test_what_befell_each_is_told(self):
        name = "s" + secrets.token_hex(3)
        self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as topology:
            topology.write('sites = ["a", "b"]\n[[link]]\nbetween = ["a", "b"]\n')
            topology.flush()
            sites = json.loads(run(PROGRAMS / "quipu", "lab", "up", name, "--topology", topology.name, "--json"))["sites"]

        def told_of(site):
            all_told = run(PROGRAMS / "quipu", "lab", "status", check=False).partition(f"laboratory {name}")[2]
            return next(line for line in all_told.splitlines() if line.startswith(f"  site {site}"))

        def kill(site):
            os.kill(sites[site]["processes"][0][0], signal.SIGKILL)

        self.assertIn("1 of 1 daemons run; ", told_of("a"))
        kill(0)
        wait_until(lambda: f"; 0 of 1 daemons run: CRASHED, 'quipu lab start a {name}' starts it again; " in told_of("a"), "it is told")
        run(PROGRAMS / "quipu", "lab", "start", "a", name)
        self.assertIn("1 of 1 daemons run; ", told_of("a"))
        # What a restart of the machine leaves: files.
        run(PROGRAMS / "quipu", "lab", "stop", "a", name)
        kill(1)
        for site in sites:
            run("ip", "netns", "delete", site["network_namespace"])
            self.assertIn(f"  site {site['site']}: its network is gone, as after a restart of the machine: "
                          f"'quipu lab down {name}' removes the rest; ", told_of(site["site"]))
        status = subprocess.run([PROGRAMS / "quipu", "lab", "status"], capture_output=True, text=True)
        self.assertIn(f"laboratory {name}: crashed or not complete\n", status.stdout)
        self.assertEqual(status.returncode, DOWN)
        run(PROGRAMS / "quipu", "lab", "down", name)
        self.assertFalse((ROOT / name).exists())


class WhatUpSays(unittest.TestCase):
    def test_the_commands_that_it_names_work(self):
        name = "u" + secrets.token_hex(3)
        self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
        said = run(PROGRAMS / "quipu", "lab", "up", name)
        commands = [words.split() for words in re.findall(r"'(quipu [^']+)'", said)]
        self.assertEqual(len(commands), 4, said)

        def well(command):
            done = subprocess.run([PROGRAMS / command[0], *command[1:]], capture_output=True, text=True)
            return done.stdout if done.returncode == OK else None

        for command in commands:
            # The tunnel may carry packets before a driver has said that its device is open, and a KMS be late at any time.
            if "--socket" in command:
                self.assertIn("SIMULATED", wait_until(lambda: well(command), "nothing is degraded any more"))
            elif command[-1] == "status":
                # Its exit code is that of all laboratories, and other tests have theirs.
                self.assertIn(f"laboratory {name}\n", run(PROGRAMS / command[0], *command[1:], check=False))
            else:
                run(PROGRAMS / command[0], *command[1:])
        self.assertFalse((ROOT / name).exists(), "the last one removes it")


class FilesThatAreKept(unittest.TestCase):
    def test_are_no_crashed_laboratory(self):
        name = "y" + secrets.token_hex(3)
        self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
        run(PROGRAMS / "quipu", "lab", "up", name)
        run(PROGRAMS / "quipu", "lab", "down", name, "--keep-files")
        said = run(PROGRAMS / "quipu", "lab", "status", check=False)
        self.assertIn(f"laboratory {name}: taken down; its files are in {ROOT}/{name}, 'quipu lab down {name}' removes them\n", said)
        self.assertTrue((ROOT / name / "a" / "quipud.log").exists())
        run(PROGRAMS / "quipu", "lab", "down", name)
        self.assertFalse((ROOT / name).exists())


class Programs(unittest.TestCase):
    def test_a_check_that_needs_root_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            for daemon in ("quipud", "quipu-kmsd"):
                own = shutil.copy(PROGRAMS / daemon, folder)  # where the other user may go
                done = subprocess.run(["sh", "-c", 'ulimit -l 64; exec "$0" --check', own], capture_output=True, text=True,
                                      user=65534, group=65534, extra_groups=[])
                self.assertEqual(done.returncode, ERROR, done.stdout)
                self.assertIn("run it as root, or with sudo", done.stderr)

    def test_guards_without_a_configuration_are_found(self):
        done = subprocess.run([PROGRAMS / "quipud", "--remove-guards", "--config", "/nowhere.toml"], capture_output=True, text=True)
        self.assertEqual(done.returncode, ERROR, done.stdout)
        self.assertIn("/nowhere.toml: No such file", done.stderr)
        self.assertIn("from the list in /var/lib/quipu/guards", done.stderr)

    def test_wrong_usage_is_told_apart(self):
        for daemon in ("quipud", "quipu-kmsd"):
            done = subprocess.run([PROGRAMS / daemon, "--nonsense"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, f"{daemon}: {done.stderr}")

    def test_a_check_from_a_shell_reads_what_the_unit_would_be_given(self):
        """docs/two-sites.md, sections 2 to 4, in a private /etc: no CREDENTIALS_DIRECTORY, no service manager."""
        script = """
            set -e
            mount -t tmpfs none /etc
            umask 077
            mkdir -p /etc/quipu/credentials && cd /etc/quipu/credentials
            "$0/quipu" pki ca . >/dev/null
            "$0/quipu" pki issue . sae-a --san DNS:sae-a --days 20 >/dev/null
            "$0/quipu" genkey --out device.key
            "$0/quipu" genpsk --out dc-b.psk
            cat > /etc/quipu/quipu.toml
            exec "$0/quipud" --check
        """
        sample = (pathlib.Path(__file__).parents[2] / "docs" / "two-sites.md").read_text()
        page = sample.partition("```toml\n")[2].partition("```")[0]
        configuration = page.replace("PUBLIC-KEY-OF-DC-B", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=")
        environment = {name: value for name, value in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
        for text, code, told in ((configuration, 0, "good, 1 peer(s), 1 KMS(s)"),
                                 (page, 5, 'peer[1].public_key: "PUBLIC-KEY-OF-DC-B" is not a public key'),
                                 (configuration, 0, "kms.local.cert: the certificate ends at 20"),
                                 (configuration.replace("quipu_ca.pem", "quipu_sae-a.pem"), 0,
                                  "kms.local.ca: no certificate in credential:quipu_sae-a.pem is an authority's"),
                                 (configuration.replace("quipu_dc-b.psk", "quipu_dc-c.psk"), 5,
                                  ": peer[1].psk_file: /etc/quipu/credentials/dc-c.psk: No such file or directory"),
                                 (configuration.replace("quipu_dc-b.psk", "dc-b.psk"), 5,
                                  'credential:dc-b.psk: there is none of this name; did you mean "credential:quipu_dc-b.psk"?'),
                                 (configuration.replace('sae_id = "sae-a"', 'sae_id = "sae-x"'), 5,
                                  'kms.local.sae_id: is "sae-x", and the certificate in credential:quipu_sae-a.pem is that of "sae-a"')):
            done = subprocess.run(["unshare", "--mount", "sh", "-c", script, PROGRAMS], input=text, text=True,
                                  capture_output=True, env=environment)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertIn(told, done.stdout + done.stderr)
            if code != 0:
                self.assertRegex(done.stderr, r"(?m)^quipud: /etc/quipu/quipu\.toml:[1-9]\d*:1: ")


class LaboratoryThatFails(unittest.TestCase):
    def test_leaves_its_logs_and_nothing_else(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        quipu = shutil.copy(PROGRAMS / "quipu", folder)
        for name in ("quipud", "quipu-kmsd"):
            (folder / name).write_text(f'#!/bin/sh\n[ "$1" = --check ] && exit\necho {name} says why >&2\nexit 1\n')
            (folder / name).chmod(0o755)
        name = "f" + secrets.token_hex(3)
        kept = ROOT / f"{name}.failed"
        self.addCleanup(subprocess.run, [quipu, "lab", "down", name], capture_output=True)
        # The second time as the first: nothing is in the way.
        for _ in range(2):
            done = subprocess.run([quipu, "lab", "up", name], capture_output=True, text=True)
            self.assertEqual(done.returncode, ERROR, done.stdout)
            self.assertIn("has ended", done.stderr)
            self.assertIn(str(kept), done.stderr)
            self.assertFalse((ROOT / name).exists())
            files = sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file())
            self.assertIn("a/quipu-kmsd.log", files)
            self.assertEqual([path for path in files if not path.endswith(".log")], [])
            # Whichever ended first: the others are killed then, and may not have come to their word.
            self.assertTrue(any("says why" in (kept / file).read_text() for file in files), files)
            self.assertNotIn(name, run("ip", "netns", "list"))
            self.assertNotIn(name, run(quipu, "lab", "status", check=False))
        run(quipu, "lab", "down", name)
        self.assertFalse(kept.exists())
        self.assertEqual(subprocess.run([quipu, "lab", "down", name], capture_output=True).returncode, ERROR)


    def test_says_why(self):
        """What --check finds, and what the sites that stand for nothing say of themselves."""
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as topology:
            for options, told in (("skr = 3", "unknown option skr: there are "),
                                  ("initial_bits = 0, skr_bit_s = 1", "tunnel to site-b: data is blocked for lack of a QKD key")):
                topology.seek(0)
                topology.truncate()
                topology.write(f'sites = ["a", "b"]\n[[link]]\nbetween = ["a", "b"]\noptions = {{ {options} }}\n'
                               '[[tunnel]]\nbetween = ["a", "b"]\n')
                topology.flush()
                name = "w" + secrets.token_hex(3)
                self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
                done = subprocess.run([PROGRAMS / "quipu", "lab", "up", name, "--patience", "5", "--topology", topology.name],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, ERROR, done.stdout)
                self.assertIn(told, done.stderr)

    def test_what_it_cannot_take_down_is_found_by_down(self):
        name = "c" + secrets.token_hex(3)
        # `ip netns` can neither add nor delete it: it is no file.
        in_the_way = pathlib.Path(f"/run/netns/quipu-lab-{name}-b")
        in_the_way.mkdir(parents=True)
        self.addCleanup(subprocess.run, ["rmdir", in_the_way], capture_output=True)
        self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
        done = subprocess.run([PROGRAMS / "quipu", "lab", "up", name], capture_output=True, text=True)
        self.assertEqual(done.returncode, ERROR, done.stdout)
        self.assertIn(f"'quipu lab down {name}'", done.stderr)
        self.assertIn(in_the_way.name, done.stderr)
        down = [PROGRAMS / "quipu", "lab", "down", name]
        self.assertEqual(subprocess.run(down, capture_output=True).returncode, ERROR)
        in_the_way.rmdir()
        run(*down)
        self.assertFalse((ROOT / name).exists())


class LaboratoryThatIsLeft(unittest.TestCase):
    def gone(self, name):
        self.assertFalse((ROOT / name).exists())
        self.assertNotIn(name, run("ip", "netns", "list"))
        self.assertEqual(run("pgrep", "-af", f"{ROOT}/{name}/", check=False), "")

    def test_what_no_state_tells_of_is_ended_too(self):
        name = "n" + secrets.token_hex(3)
        namespace = f"quipu-lab-{name}-a"
        self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
        (ROOT / name).mkdir(parents=True)
        (ROOT / name / "run.json").write_text(json.dumps({"first_exec_ns": 1, "sites": [{"processes": []}] * 2}))
        run("ip", "netns", "add", namespace)
        left = subprocess.Popen(["ip", "netns", "exec", namespace, "sleep", "infinity"])
        self.addCleanup(left.wait)
        self.addCleanup(left.kill)
        wait_until(lambda: run("ip", "netns", "pids", namespace), "a process is in the namespace")
        run(PROGRAMS / "quipu", "lab", "down", name)
        self.assertIsNotNone(left.poll())
        self.gone(name)

    def test_two_that_take_it_down_at_once_both_do(self):
        name = "t" + secrets.token_hex(3)
        down = [PROGRAMS / "quipu", "lab", "down", name]
        self.addCleanup(subprocess.run, down, capture_output=True)
        for _ in range(20):
            (ROOT / name).mkdir(parents=True)
            for site in "ab":
                (ROOT / name / site / "pki").mkdir(parents=True)
                for number in range(20):
                    (ROOT / name / site / "pki" / f"{number}.pem").touch()
                run("ip", "netns", "add", f"quipu-lab-{name}-{site}")
            both = [subprocess.Popen(down, stderr=subprocess.PIPE, text=True) for _ in range(2)]
            told = [(one.communicate()[1], one.returncode) for one in both]
            for text, code in told:
                self.assertTrue(code == OK or "there is no laboratory" in text, told)
            self.assertIn(OK, [code for _, code in told])
            self.gone(name)

    def test_what_cannot_be_removed_is_told_and_tried_again(self):
        name = "k" + secrets.token_hex(3)
        # `ip netns delete` cannot remove it: it is no file.
        in_the_way = pathlib.Path(f"/run/netns/quipu-lab-{name}-a")
        in_the_way.mkdir(parents=True)
        self.addCleanup(subprocess.run, ["rmdir", in_the_way], capture_output=True)
        (ROOT / name).mkdir(parents=True)
        self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
        done = subprocess.run([PROGRAMS / "quipu", "lab", "down", name], capture_output=True, text=True)
        self.assertEqual(done.returncode, ERROR, done.stdout)
        self.assertIn(in_the_way.name, done.stderr)
        self.assertTrue((ROOT / name).exists())
        in_the_way.rmdir()
        run(PROGRAMS / "quipu", "lab", "down", name)
        self.gone(name)

    def test_only_root_takes_one_down(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            own = shutil.copy(PROGRAMS / "quipu", folder)  # where the other user may go
            done = subprocess.run([own, "lab", "down", "nobodys"], capture_output=True, text=True, user=65534, group=65534,
                                  extra_groups=[])
        self.assertEqual(done.returncode, ERROR, done.stdout)
        self.assertIn("run it as root", done.stderr)

    def test_a_demonstration_that_is_ended_early_leaves_nothing(self):
        # A terminal's Ctrl-C goes to all that the demonstration has started.
        for number, to in ((signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)):
            with self.subTest(number.name):
                demo = subprocess.Popen([sys.executable, "-B", DEMO, "--bin", PROGRAMS], start_new_session=True, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.addCleanup(demo.kill)
                up = wait_until(lambda: run("pgrep", "-P", demo.pid, "-af", "lab up", check=False), "the laboratory comes up")
                name = up.split()[4]
                self.addCleanup(subprocess.run, [PROGRAMS / "quipu", "lab", "down", name], capture_output=True)
                wait_until((ROOT / name / "run.json").exists, "the laboratory has a state")
                to(demo.pid, number)
                said = demo.communicate()[0]
                self.assertEqual(demo.returncode, 1, said)
                self.assertIn(f"ended by {number.name}", said)
                self.assertNotIn("Traceback", said)
                self.gone(name)


if __name__ == "__main__":
    support.main()
