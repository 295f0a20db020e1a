#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the scripts do to the machine and to whoever calls them, up to the point where they would install or build something: on a copy
of them, with stand-ins for the programs that reach further."""

import contextlib
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
DEBIAN = any(name in pathlib.Path("/etc/os-release").read_text() for name in ("VERSION_CODENAME=bookworm", "VERSION_CODENAME=trixie"))


def kill_group(leader):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


class Scripts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.tree = self.folder / "tree"
        for part in ("scripts", "packaging"):
            shutil.copytree(TOP / part, self.tree / part)
        self.caller = self.folder / "caller"
        self.caller.mkdir()
        # Whoever runs the test is as good as root: nothing is done that needs it.
        self.stand_in("id", "echo 0")
        self.stand_in("apt-get", "exit 0")
        self.setup_does("exit 0")

    def stand_in(self, program, body, folder="programs"):
        path = self.folder / folder / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def setup_does(self, body):
        (self.tree / "scripts" / "setup").write_text(f"#!/bin/sh\n{body}\n")

    def environment(self):
        return {"PATH": f"{self.folder / 'programs'}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.folder), "FOLDER": str(self.folder)}

    def script(self, *command):
        return subprocess.run(command, cwd=self.caller, env=self.environment(), capture_output=True, text=True)

    def with_what_all_share(self, commands):
        return ["bash", "-euo", "pipefail", "-c",
                f"cd {self.tree}; . scripts/lib/common.sh; . scripts/lib/package_roots.sh; {commands}"]

    def sourced(self, commands):
        """Commands of a script, once what all of them share is there."""
        return self.script(*self.with_what_all_share(commands))


class Running(Scripts):
    def test_a_step_that_fails_without_a_word_is_told(self):
        done = self.sourced("run silence false")
        self.assertEqual(done.returncode, 1)
        self.assertIn("silence failed (exit 1)", done.stderr)

    def test_files_are_the_callers(self):
        self.stand_in("cmake", "exit 0")
        self.stand_in("python3", 'printf "%s\\n" "$@" >"$FOLDER/demonstrated"')
        self.setup_does('printf "%s\\n" "$@" >"$FOLDER/set-up"')
        done = self.script(self.tree / "scripts" / "demo", "--json", "figures.json", "--openssl", "../ssl")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(str(self.caller / "figures.json"), (self.folder / "demonstrated").read_text().splitlines())
        self.assertIn(str(self.folder / "ssl"), (self.folder / "set-up").read_text().splitlines())
        self.setup_does('printf "%s\\n" "$@" >"$FOLDER/set-up"; exit 1')
        self.script(self.tree / "scripts" / "test", "--openssl", "ssl")
        self.assertIn(str(self.caller / "ssl"), (self.folder / "set-up").read_text().splitlines())


class Help(Scripts):
    def test_says_how_to_call_it_and_does_nothing(self):
        shutil.copy(TOP / "scripts" / "setup", self.tree / "scripts" / "setup")
        for name in ("demo", "package", "setup", "test"):
            for option in ("--help", "-h"):
                done = self.script(self.tree / "scripts" / name, option)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"\nUsage: scripts/{name} [", done.stdout)
                self.assertNotIn("#", done.stdout)
        self.assertEqual(self.script(self.tree / "scripts" / "demo", "--nonsense").returncode, 1)


class Ended(Scripts):
    """By a signal, while what the script has started is at work."""

    # Begins, and stays where nothing but a signal ends it; whoever it starts has the other end of the pipe as well.
    WORK = 'exec 9>"$FOLDER/pipe"; sleep infinity & echo begun >&9; wait; true'

    @contextlib.contextmanager
    def at_work(self, *command):
        """The script, the pipe, and where the script says why it ends."""
        path = self.folder / "pipe"
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        with open(self.folder / "said", "w+") as said, open(os.devnull, "w") as null, \
                os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
            script = subprocess.Popen(command, cwd=self.caller, env=self.environment(), stdout=null, stderr=said, start_new_session=True)
            self.addCleanup(script.wait)
            self.addCleanup(kill_group, script.pid)
            with os.fdopen(os.pidfd_open(script.pid), "rb") as ended:
                select.select([pipe, ended], [], [])
            self.assertEqual(pipe.read(6), b"begun\n", pathlib.Path(said.name).read_text())
            yield script, pipe, pathlib.Path(said.name)

    def end(self, number, *command):
        with self.at_work(*command) as (script, pipe, said):
            script.send_signal(number)
            script.wait(timeout=60)
            # The end of the pipe, and not None: nobody can write any more.
            self.assertEqual(pipe.read(1), b"", f"the work goes on after {number.name}")
            self.assertIn(f"ended by {number.name}", said.read_text())
        self.assertEqual(script.returncode, 128 + number)

    def test_a_step_ends_with_its_script(self):
        self.stand_in("work", self.WORK)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with self.subTest(number.name):
                self.end(number, *self.with_what_all_share("run step work"))

    def test_what_does_not_heed_it_is_killed(self):
        self.stand_in("work", f"trap '' TERM; {self.WORK}")
        self.end(signal.SIGTERM, *self.with_what_all_share("run step work"))

    def test_what_goes_on_starting_more_ends_with_all_of_it(self):
        self.stand_in("work", 'exec 9>"$FOLDER/pipe"; echo begun >&9; for i in $(seq 2000); do sleep infinity & done; wait')
        self.end(signal.SIGTERM, *self.with_what_all_share("run step work"))

    def test_what_may_not_be_stopped_is_not_awaited_for_ever(self):
        # Each look finds somebody new.
        done = self.sourced("""
            halt() { echo "$BASHPID"; }
            looks=0
            mapfile() { builtin mapfile "$@"; looks=$((looks + 1)); [ "$looks" -lt 100 ] || exit 1; }
            halt_all $$; echo "${#halted[@]} found"; [ "$looks" -gt 1 ]""")
        self.assertEqual((done.returncode, done.stdout), (0, "1 found\n"), done.stderr)

    def test_what_cannot_be_ended_is_named(self):
        self.stand_in("sudo", "exit 1")
        self.stand_in("work", f'echo $$ >"$FOLDER/pid"; {self.WORK}')
        # As for whoever is not root and whom sudo would have to ask again; time flies.
        refused = 'kill() { [ "$1" != -s ] && builtin kill "$@"; }; sleep() { SECONDS=$((SECONDS + 1)); }; '
        with self.at_work(*self.with_what_all_share(f"{refused}attend work")) as (script, _, said):
            script.send_signal(signal.SIGTERM)
            self.assertEqual(script.wait(timeout=60), 128 + signal.SIGTERM)
            self.assertRegex(said.read_text(), f"to be ended as root: .*\\b{(self.folder / 'pid').read_text().strip()}\\b")

    def test_the_setup_ends_with_its_script(self):
        self.setup_does(self.WORK)
        self.end(signal.SIGTERM, self.tree / "scripts" / "test")

    @unittest.skipIf(os.geteuid() != 0, "mounting needs root")
    def test_a_root_goes_once_nobody_writes_to_it(self):
        self.stand_in("apt-get", "echo 'http://b.invalid/debian/|trixie'")
        self.stand_in("debootstrap", f'for root in "$@"; do [ ! -d "${{root%/*}}" ] || mkdir -p "$root/proc"; done; '
                      f'mount -t tmpfs none "$(echo "$FOLDER"/caller/kept/*/*/proc)"; {self.WORK}')
        (self.caller / "kept").mkdir()
        self.end(signal.SIGTERM, self.tree / "scripts" / "package", "--release", "trixie", "--work", "kept")
        self.assertEqual(list((self.caller / "kept").iterdir()), [])


class Tests(Scripts):
    """scripts/test, with stand-ins for what builds and tests."""

    def setUp(self):
        super().setUp()
        subprocess.run(["git", "init", "-q", self.tree], check=True)
        self.stand_in("cmake", "exit 0")
        self.stand_in("clang-format-19", 'printf "%s\n" "$@" >>"$FOLDER/formatted"')
        self.stand_in("ctest", """
            [ -z "${ROOT_SINCE_SUDO-}" ] || echo "$*" >>"$FOLDER/as-root"
            mkdir -p build/test; touch build/test/log
            printf '%s\n' '100% tests passed, 0 tests failed out of 3' '' 'The following tests did not run:' '    2 - x.y (Skipped)'""")
        (self.tree / "scripts" / "lib" / "tidy.py").write_text(
            "print('no commit: checking every file')\nprint('1/2 a file')\nprint('clang-tidy: 2 files clean')\n")

    def run_them(self):
        return self.script(self.tree / "scripts" / "test")

    def test_run_as_root_with_the_callers_settings(self):
        self.stand_in("id", "echo 1000")
        self.stand_in("sudo", 'while [ "${1#-}" != "$1" ]; do shift; done; exec env -i PATH="$PATH" FOLDER="$FOLDER" ROOT_SINCE_SUDO=1 "$@"')
        done = self.run_them()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "as-root").read_text().splitlines(), [f"--preset {name}" for name in ("dev", "asan", "tsan")])

    def test_do_not_let_sudo_forget(self):
        self.stand_in("id", "echo 1000")
        self.stand_in("sudo", 'echo "$*" >>"$FOLDER/sudo"; while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"')
        self.setup_does('cp "$FOLDER/sudo" "$FOLDER/asked-first"')
        # A minute is over at once, and building takes that long.
        self.stand_in("sleep", 'exit 0')
        self.stand_in("cmake", 'until grep -qxF -e "-n true" "$FOLDER/sudo"; do :; done')
        done = self.run_them()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "asked-first").read_text().splitlines()[0], "-- true")

    def test_are_not_begun_by_whoever_cannot_run_them(self):
        self.stand_in("id", "echo 1000")
        self.setup_does('touch "$FOLDER/set-up"')
        # All programs but sudo.
        done = self.script("bash", "-c", """
            mkdir "$FOLDER/all"; ln -s /usr/bin/* "$FOLDER/all" 2>/dev/null; rm -f "$FOLDER/all/sudo"
            PATH=$FOLDER/programs:$FOLDER/all exec "$0" """.strip(), self.tree / "scripts" / "test")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("install sudo", done.stderr)
        self.assertFalse((self.folder / "set-up").exists())

    def test_that_were_left_out_are_counted(self):
        self.assertIn("dev\n100% tests passed, 0 tests failed out of 3, 1 skipped\n", self.run_them().stdout)

    def test_see_what_is_not_added_yet(self):
        (self.tree / "new.cpp").write_text("")
        self.run_them()
        self.assertIn("new.cpp", (self.folder / "formatted").read_text().splitlines())

    @unittest.skipIf(os.geteuid() != 0, "files of several owners need root")
    def test_leave_the_sources_owner_everything(self):
        owner = 65534
        for path in (self.tree, *self.tree.rglob("*")):
            os.chown(path, owner, owner)
        done = self.run_them()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"clang-tidy: done in \d+ s\n   no commit: checking every file\n   clang-tidy: 2 files clean\n")
        self.assertEqual({path.stat().st_uid for path in (self.tree / "build").rglob("*")}, {owner})
        self.assertTrue((self.tree / "build" / "test" / "log").exists())


class Mirror(Scripts):
    def mirror(self):
        return self.sourced("debian_mirror")

    def test_is_one_of_debian(self):
        self.stand_in("apt-get", "echo 'http://a.invalid/|stable'; echo 'http://b.invalid/debian/|trixie'")
        self.assertEqual(self.mirror().stdout, "http://b.invalid/debian/\n")

    def test_is_in_the_file_that_clouds_have(self):
        (self.folder / "mirrors").write_text("# one a line\n\nhttps://c.invalid/debian\tpriority:1\nhttps://d.invalid/debian\n")
        self.stand_in("apt-get", 'echo "mirror+file:$FOLDER/mirrors/|bookworm"')
        self.assertEqual(self.mirror().stdout, "https://c.invalid/debian\n")

    def test_is_known_once_apt_has_lists(self):
        self.stand_in("apt-get", """
            case $* in
              *update) touch "$FOLDER/updated" ;;
              *) [ ! -e "$FOLDER/updated" ] || echo 'http://e.invalid/debian/|bookworm' ;;
            esac""")
        self.assertEqual(self.mirror().stdout, "http://e.invalid/debian/\n")

    def test_is_missed(self):
        done = self.mirror()
        self.assertEqual(done.returncode, 1)
        self.assertIn("no Debian mirror found", done.stderr)


@unittest.skipIf("VERSION_CODENAME=bookworm" not in pathlib.Path("/etc/os-release").read_text(), "Debian 13 has its own OpenSSL")
class OpenSsl(Scripts):
    """The one that scripts/setup builds on Debian 12."""

    def setUp(self):
        super().setUp()
        shutil.copy(TOP / "scripts" / "setup", self.tree / "scripts")
        self.stand_in("dpkg-query", "echo install ok installed")
        self.debian_has("http://b.invalid/debian/|bookworm", "http://b.invalid/security/|bookworm-security", newest="3.5.7-1~deb13u3")
        self.cache = self.folder / ".cache" / "quipu"

    def debian_has(self, *mirrors, newest, update=0):
        # The source cannot be had: a build ends there.
        self.stand_in("apt-get", f"""
            case $* in
              indextargets*) printf '%s\\n' '{"' '".join(mirrors)}' ;;
              *update) echo asked >>"$FOLDER/asked"; exit {update} ;;
              *--dsc-only*) ! grep -sqxF "${{*##*=}}" "$FOLDER/not-held" ;;
              *source*) echo "${{*##*=}}" >"$FOLDER/building"; exit 1 ;;
            esac""")
        self.stand_in("apt-cache", f"printf 'Version: %s\\n' 3.5.5-1 {newest} 3.5.6-1")

    def built_before(self, version):
        folder = self.cache / f"openssl-{version}"
        (folder / "include" / "openssl").mkdir(parents=True)
        (folder / "include" / "openssl" / "opensslv.h").touch()
        recipe = (TOP / "scripts" / "setup").read_text().partition("openssl_recipe=")[2].partition("\n")[0]
        (folder / "QUIPU_RECIPE").write_text(recipe)
        (folder / "QUIPU_SOURCE_VERSION").write_text(f"{version}\n")
        (self.cache / "openssl").symlink_to(folder.name)

    def builds(self):
        """The version of which the source is fetched, or None."""
        path = self.folder / "building"
        path.unlink(missing_ok=True)
        done = self.script("bash", self.tree / "scripts" / "setup", "build")
        self.assertEqual(done.returncode, 1 if path.exists() else 0, done.stderr)
        return path.read_text().strip() if path.exists() else None

    def rows(self):
        """Of the sources that apt was told, without what is the same in each of them."""
        return [row.split()[2:] for row in (self.cache / "openssl-apt" / "sources.list").read_text().splitlines()]

    def test_is_that_of_the_security_updates(self):
        self.assertEqual(self.builds(), "3.5.7-1~deb13u3")
        self.assertEqual(self.rows(), [["http://b.invalid/debian/", "trixie", "main"],
                                       ["http://b.invalid/security/", "trixie-security", "main"]])

    def test_is_that_of_the_main_archive_where_apt_uses_no_more(self):
        self.debian_has("http://b.invalid/debian/|bookworm", newest="3.5.7-1")
        self.assertEqual(self.builds(), "3.5.7-1")
        self.assertEqual(self.rows(), [["http://b.invalid/debian/", "trixie", "main"]])

    def test_is_built_again_for_an_update(self):
        self.built_before("3.5.7-1~deb13u2")
        self.assertEqual(self.builds(), "3.5.7-1~deb13u3")

    def test_is_tried_again_after_a_build_that_failed(self):
        self.built_before("3.5.7-1~deb13u2")
        for _ in range(2):
            self.assertEqual(self.builds(), "3.5.7-1~deb13u3")

    def test_is_the_newest_that_the_mirror_holds(self):
        (self.folder / "not-held").write_text("3.5.7-1~deb13u3\n")
        self.assertEqual(self.builds(), "3.5.6-1")
        self.built_before("3.5.6-1")
        self.assertIsNone(self.builds())

    def test_stays_while_there_is_no_update(self):
        self.built_before("3.5.7-1~deb13u3")
        for _ in range(2):
            self.assertIsNone(self.builds())
        self.assertEqual((self.folder / "asked").read_text(), "asked\n", "once a day is enough")

    def test_stays_where_nobody_can_be_asked(self):
        self.built_before("3.5.7-1~deb13u2")
        self.debian_has("http://b.invalid/debian/|bookworm", newest="3.5.7-1~deb13u3", update=100)
        self.assertIsNone(self.builds())
        self.debian_has(newest="3.5.7-1~deb13u3", update=100)
        self.assertIsNone(self.builds())


class Packages(Scripts):
    def package(self, folder="kept"):
        """As far as to the first root: there is no mirror."""
        done = self.script(self.tree / "scripts" / "package", "--work", folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no Debian mirror found", done.stderr)

    def test_what_lies_where_the_roots_go_stays(self):
        kept = self.caller / "kept"
        kept.mkdir()
        (kept / "file").write_text("precious")
        for folder in (kept, "kept", "."):
            self.package(folder)
            self.assertEqual([path.name for path in kept.iterdir()], ["file"])

    @unittest.skipIf(os.geteuid() != 0, "files of several owners need root")
    def test_what_is_written_belongs_to_the_owner_of_the_sources(self):
        owner = 65534
        for path in (self.tree, *self.tree.rglob("*")):
            os.chown(path, owner, owner)
        (self.caller / "kept").mkdir()
        self.package()
        written = [self.tree / "build", *(self.tree / "build").rglob("*")]
        self.assertGreater(len(written), 1)
        self.assertEqual({path.stat().st_uid for path in written}, {owner})

    def test_are_made_of_security_updates_too(self):
        self.stand_in("apt-get", "echo 'http://b.invalid/debian/|trixie'; echo 'http://b.invalid/security/|trixie-security'")
        self.stand_in("debootstrap", 'mkdir -p "$FOLDER/root/etc/apt/apt.conf.d" "$FOLDER/root/etc/dpkg/dpkg.cfg.d"')
        done = self.sourced('make_root bookworm "$FOLDER/root" systemd')
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = (self.folder / "root" / "etc" / "apt" / "sources.list").read_text().splitlines()
        self.assertEqual([row.split()[2:] for row in rows], [["http://b.invalid/debian/", "bookworm", "main"],
                                                             ["http://b.invalid/security/", "bookworm-security", "main"]])

    def test_installed_are_checked_in_every_point(self):
        packages = self.tree / "build" / "packages" / "trixie"
        packages.mkdir(parents=True)
        for name in ("quipu", "quipu-kms", "quipu-driver-dev"):
            (packages / f"{name}_1_amd64.deb").touch()
        (self.folder / "root" / "var" / "tmp").mkdir(parents=True)
        for program in ("getent", "stat", "quipu", "quipud", "quipu-kmsd"):
            self.stand_in(program, '[ "${0##*/} $*" != "$FAULT" ] || exit 1; [ "$1" != -c ] || echo "700 root"')
        faults = ("getent passwd _quipu", "getent passwd _quipu-kms", "getent group quipu", "quipu version", "quipud --version")
        for fault in faults:
            with self.subTest(fault):
                done = self.sourced(f'inside() {{ shift; FAULT="{fault}" "$@"; }}; install_packages trixie "$FOLDER/root"')
                self.assertNotEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stderr.splitlines()[-1], f"+ {fault}")

    @unittest.skipIf(not shutil.which("dpkg"), "Debian's order of versions is dpkg's")
    def test_an_upgrade_of_the_system_replaces_them(self):
        subprocess.run(["git", "init", "-q", self.tree], check=True)
        versions = []
        for release in ("bookworm", "trixie"):
            done = self.sourced(f"copy_sources {release} {self.folder}/{release}")
            self.assertEqual(done.returncode, 0, done.stderr)
            first = (self.folder / release / "debian" / "changelog").read_text().splitlines()[0].split()
            self.assertEqual(first[2], f"{release};")
            versions.append(first[1].strip("()"))
        subprocess.run(["dpkg", "--compare-versions", versions[0], "lt", versions[1]], check=True)

    @unittest.skipIf(not DEBIAN, "scripts/setup knows Debian 12 and 13")
    def test_to_make_them_nothing_is_installed_that_builds(self):
        shutil.copy(TOP / "scripts" / "setup", self.tree / "scripts")
        self.stand_in("dpkg-query", "exit 1")
        self.stand_in("apt-get", 'printf "%s\\n" "$@" >>"$FOLDER/installed"')
        done = self.script(self.tree / "scripts" / "setup", "package")
        self.assertEqual(done.returncode, 0, done.stderr)
        installed = (self.folder / "installed").read_text().splitlines()
        self.assertIn("debootstrap", installed)
        self.assertNotIn("g++", installed)


if __name__ == "__main__":
    unittest.main()
