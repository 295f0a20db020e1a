#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks of code, programs and units can fail: each is given a tree with one fault in it, and has to find that fault and nothing
else."""

import os
import pathlib
import shutil
import subprocess
import unittest
from unittest import mock

import binaries
import file_rules
import layering
import not_compiling
import sans_io
import units
from in_tree import HEAD, InTree


class Layering(InTree):
    PERMITTED = (
        ("src/protocol/a.cpp", '"crypto/aead.h"'),
        ("src/kms/a.cpp", '"etsi/etsi014.h"'),
        ("src/daemon/a.cpp", '"protocol/device.h"'),
        ("src/crypto/a.cpp", "<openssl/evp.h>"),
        ("src/net/a.cpp", "<boost/beast/http.hpp>"),
        ("src/net/tls.cpp", "<openssl/ssl.h>"),
        ("plugins/sim/a.cpp", '"quipu/driver.h"'),
    )
    REFUSED = (
        ("src/protocol/a.cpp", '"kms/pool.h"', "protocol may not include kms"),
        ("src/kms/a.h", '"protocol/device.h"', "kms may not include protocol"),
        ("src/etsi/a.cpp", '"net/loop.h"', "etsi may not include net"),
        ("src/kmsd/a.cpp", '"daemon/daemon.h"', "kmsd may not include daemon"),
        ("src/base/a.h", '"crypto/aead.h"', "base may not include crypto"),
        ("plugins/sim/a.cpp", '"kms/pool.h"', "plugins/NAME may not include kms"),
        ("src/extra/a.cpp", '"base/result.h"', "src/extra: not in the table"),
        ("src/crypto/a.cpp", '"aead.h"', "not relative to src"),
        ("src/daemon/a.cpp", "<openssl/evp.h>", "kept to crypto, net/tls.cpp"),
        ("src/net/a.cpp", "<openssl/ssl.h>", "kept to crypto, net/tls.cpp"),
        ("src/base/a.cpp", "<sodium.h>", "kept to base/encoding.cpp, base/secret_arena.cpp, crypto"),
        ("src/net/a.h", "<boost/beast/core.hpp>", "in a header"),
        ("src/net/a.h", "<boost/asio/ssl.hpp>", "in a header"),
        ("src/daemon/a.cpp", "<boost/beast/core.hpp>", "kept to net"),
    )

    def assert_includes(self, rows):
        for name, include, *refused in rows:
            file = self.write(name, f"{HEAD}#include {include}\n")
            with self.subTest(name=name, include=include):
                self.assert_one(layering, *refused) if refused else self.assert_none(layering)
            file.unlink()

    def test_permitted(self):
        self.assert_includes(self.PERMITTED)

    def test_refused(self):
        self.assert_includes(self.REFUSED)

    def test_five_heavy_sources(self):
        for number in range(4):
            self.write(f"src/net/heavy{number}.cpp", f"{HEAD}#include <boost/asio/ssl/stream.hpp>\n")
        self.assert_none(layering)
        self.write("src/net/heavy4.cpp", f"{HEAD}  #  include <boost/beast/http.hpp>\n")
        self.assert_one(layering, "in 5 files")

    def test_document_without_table(self):
        self.write("ARCHITECTURE.md", "# Layers\n")
        with self.assertRaises(SystemExit):
            layering.check(self.top)


class SansIo(InTree):
    def assert_line(self, line, expected):
        self.write("src/protocol/a.cpp", f"{HEAD}{line}\n")
        if expected is None:
            self.assert_none(sans_io)
        else:
            self.assert_one(sans_io, expected)

    def test_headers(self):
        for header in ("<thread>", "<fstream>", "<sys/socket.h>", "<random>", "<mutex>", "<boost/asio/ip/tcp.hpp>", "<unistd.h>"):
            self.assert_line(f"#include {header}", header)

    def test_calls(self):
        for call in (
            "auto t = std::chrono::steady_clock::now();",
            "auto t = system_clock :: now();",
            "clock_gettime(CLOCK_BOOTTIME, &t);",
            'const char* home = std::getenv("HOME");',
            "std::random_device entropy;",
            "crypto::SystemRng rng;",
            "auto t = std::time(nullptr);",
            "int n = rand();",
            'auto* f = fopen("x", "r");',
            "auto n = ::read(fd, buffer, size);",
            "std::this_thread::yield();",
            "thread_local int depth = 0;",
        ):
            self.assert_line(call, "in a sans-I/O layer")

    def test_words_in_comments_and_texts(self):
        self.assert_line('// Unlike std::thread, getenv() and rand().\nconst char* text = "clock_gettime(1)";', None)

    def test_own_names_that_look_alike(self):
        self.assert_line("device.time(now); reader.read(8); store.open(id); Grand(); lifetime(0);", None)

    def test_other_layers_may(self):
        self.write("src/net/a.cpp", HEAD + "#include <thread>\nauto t = steady_clock::now();\n")
        self.assert_none(sans_io)


class FileRules(InTree):
    def test_no_licence(self):
        self.write("src/base/a.cpp", "int x;\n")
        self.assert_one(file_rules, "src/base/a.cpp:1: no 'SPDX")

    def test_no_licence_in_a_script_without_suffix(self):
        self.write("scripts/run", "#!/bin/sh\ntrue\n")
        self.assert_one(file_rules, "scripts/run:1: no 'SPDX")

    def test_length(self):
        self.write("src/base/a.cpp", HEAD + "int x;\n" * 499)
        self.assert_none(file_rules)
        self.write("src/base/a.cpp", HEAD + "int x;\n" * 500)
        self.assert_one(file_rules, "501 lines")

    def test_length_of_the_checks_own_tests(self):
        self.write("tests/checks/a_test.py", f"# {file_rules.SPDX}\n" + "'TODO'\n" * 499)
        self.assert_none(file_rules)
        self.write("tests/checks/a_test.py", f"# {file_rules.SPDX}\n" + "'TODO'\n" * 500)
        self.assert_one(file_rules, "501 lines")

    def test_left_for_later(self):
        for word in ("TODO", "FIXME: x", "for now", "a placeholder", "not implemented"):
            self.write("src/base/a.cpp", f"{HEAD}// {word}\n")
            self.assert_one(file_rules, "finish it")

    def test_places(self):
        for place in ("/home/anna/quipu", "/root/x", "deb" + ".debian.org"):
            self.write("docs/a.md", f"see {place}\n")
            self.assert_one(file_rules, "a place on one machine")

    def test_empty_names(self):
        self.write("src/base/a.h", HEAD + "class KeyManager {};\n")
        self.assert_one(file_rules, "KeyManager")


class Binaries(InTree):
    def library(self, *options, where="/build/here/a.c"):
        source = self.write("a.c", f'int EVP_PKEY_new(void) {{ return 1; }}\nconst char* const where = "{where}";\n')
        out = self.top / "liba.so"
        subprocess.run(["cc", "-shared", "-fPIC", *options, "-o", out, source], check=True)
        return str(out)

    def test_shown_symbol(self):
        faults, _ = binaries.check([self.library()])
        self.assertEqual(len(faults), 1)
        self.assertIn("EVP_PKEY_new", faults[0])

    def test_hidden_symbol(self):
        self.assertEqual(binaries.check([self.library("-fvisibility=hidden")]), ([], 1))

    def test_wanted_symbol(self):
        source = self.write("b.c", "int SSL_new(void);\nint b(void) { return SSL_new(); }\n")
        out = self.top / "libb.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", out, source], check=True)
        self.assertEqual(binaries.check([str(out)])[0], [])
        self.assertIn("SSL_new", binaries.check([str(out)], static_openssl=True)[0][0])

    def test_place(self):
        faults, _ = binaries.check([self.library("-fvisibility=hidden")], forbidden=["/build/here"])
        self.assertEqual(len(faults), 1)
        self.assertIn("/build/here/a.c", faults[0])

    def test_place_behind_an_option(self):
        for flags in ("cc -O2 -I/build/here/x", "-L/build/here/x", "cc -isystem/build/here/x -O2"):
            library = self.library("-fvisibility=hidden", where=flags)
            self.assertIn("/build/here/x", " ".join(binaries.check([library], forbidden=["/build/here"])[0]), flags)
        library = self.library("-fvisibility=hidden", where="/usr/share/a-b/build/here/x /usr/-b/build/here/x")
        self.assertEqual(binaries.check([library], forbidden=["/build/here"])[0], [])

    def test_place_within_another(self):
        library = self.library("-fvisibility=hidden")
        for within in ("/here/", "uild/here/", "/her/"):
            self.assertEqual(binaries.check([library], forbidden=[within])[0], [])


@unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze")


class Units(InTree):
    def faults(self, service):
        self.write("units/a.service", f"[Unit]\nDescription=A\n[Service]\n{service}\n")
        faults, seen = units.check(self.top / "units")
        self.assertEqual(seen, 1)
        return faults

    def test_without_hardening(self):
        faults = self.faults("ExecStart=/bin/true")
        self.assertEqual(len(faults), 1)
        self.assertIn("exposure", faults[0])

    def test_what_systemd_does_not_know(self):
        hardened = (pathlib.Path(__file__).parents[2] / "systemd" / "quipu-kmsd.service").read_text()
        service = hardened.split("[Service]\n")[1].split("[Install]")[0]
        self.assertEqual(self.faults(service), [])
        faults = self.faults(service + "NoSuchKey=yes")
        self.assertEqual(len(faults), 1)
        self.assertIn("NoSuchKey", faults[0])
        faults = self.faults(service.replace("WatchdogSec=30", "WatchdogSec=10"))
        self.assertEqual(len(faults), 1)
        self.assertIn("WatchdogSec", faults[0])

    def test_a_verification_that_fails_without_naming_the_unit(self):
        """Whatever it says, and if it says nothing."""
        for said in ("Failed to initialize manager", ""):
            stand_in = self.write("bin/systemd-analyze", f'#!/bin/sh\n[ "$1" != verify ] || {{ echo "{said}" >&2; exit 1; }}\n')
            stand_in.chmod(0o755)
            with mock.patch.dict(os.environ, PATH=f"{stand_in.parent}:{os.environ['PATH']}"):
                faults = self.faults("ExecStart=/bin/true")
            self.assertEqual(len(faults), 1)
            self.assertIn(said or "ended with 1", faults[0])


class NotCompiling(InTree):
    def faults(self, text):
        return not_compiling.check(self.write("a.cpp", text), ["c++"])[0]

    def test_case_that_fails_as_expected(self):
        self.assertEqual(self.faults("#ifdef CASE_A  // expected|before\nint x = ;\n#endif\n"), [])

    def test_case_that_compiles(self):
        self.assertIn("CASE_A compiles", self.faults("#ifdef CASE_A  // error\nint x = 1;\n#endif\n")[0])

    def test_case_that_fails_for_another_reason(self):
        self.assertIn("not because of", self.faults("#ifdef CASE_A  // deleted function\nint x = ;\n#endif\n")[0])

    def test_file_that_fails_without_a_case(self):
        self.assertIn("without a case", self.faults("int x = ;\n")[0])


if __name__ == "__main__":
    unittest.main()
