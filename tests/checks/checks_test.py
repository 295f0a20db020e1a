#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks can fail: each is given a tree with one fault in it, and has to find that fault and nothing else."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

import binaries
import doc_paths
import doc_samples
import file_rules
import layering
import log_events
import log_levels
import man_pages
import not_compiling
import sans_io
import status_fields
import status_words
import units

TABLE = """# Layers
```
crypto -> base          kms -> etsi, crypto      etsi -> base
protocol -> crypto      net -> base, crypto      config -> base
cli -> base, net
daemon, kmsd -> everything that they compose
plugins/NAME -> include/quipu/driver.h, base, net
never: a sans-I/O layer -> net;  protocol <-> kms;  anything -> daemon, kmsd, cli
```
"""
HEAD = "// SPDX-License-Identifier: Apache-2.0\n"
HEADERS = (
    "src/base/result.h", "src/crypto/aead.h", "src/etsi/etsi014.h", "src/kms/pool.h", "src/protocol/device.h", "src/net/loop.h",
    "src/cli/verb.h", "src/daemon/daemon.h", "src/config/types.h", "include/quipu/driver.h",
)


class InTree(unittest.TestCase):
    """A small tree without faults, to which each test adds one."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        subprocess.run(["git", "init", "-q", self.top], check=True)
        self.write("ARCHITECTURE.md", TABLE)
        for header in HEADERS:
            self.write(header, HEAD + "#pragma once\n")

    def write(self, name, text):
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def assert_one(self, check, expected):
        faults, seen = check.check(self.top)
        self.assertGreater(seen, 0)
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(expected, faults[0])

    def assert_none(self, check):
        faults, seen = check.check(self.top)
        self.assertGreater(seen, 0)
        self.assertEqual(faults, [])


class Layering(InTree):
    def assert_include(self, name, include, expected):
        self.write(name, f"{HEAD}#include {include}\n")
        if expected is None:
            self.assert_none(layering)
        else:
            self.assert_one(layering, expected)

    def test_permitted(self):
        self.assert_include("src/protocol/a.cpp", '"crypto/aead.h"', None)
        self.assert_include("src/kms/a.cpp", '"etsi/etsi014.h"', None)
        self.assert_include("src/daemon/a.cpp", '"protocol/device.h"', None)
        self.assert_include("src/crypto/a.cpp", "<openssl/evp.h>", None)
        self.assert_include("src/net/a.cpp", "<boost/beast/http.hpp>", None)
        self.assert_include("plugins/sim/a.cpp", '"quipu/driver.h"', None)

    def test_protocol_and_kms_are_strangers(self):
        self.assert_include("src/protocol/a.cpp", '"kms/pool.h"', "protocol may not include kms")

    def test_kms_and_protocol_are_strangers(self):
        self.assert_include("src/kms/a.h", '"protocol/device.h"', "kms may not include protocol")

    def test_core_and_net(self):
        self.assert_include("src/etsi/a.cpp", '"net/loop.h"', "etsi may not include net")

    def test_nobody_includes_a_composition(self):
        self.assert_include("src/kmsd/a.cpp", '"daemon/daemon.h"', "kmsd may not include daemon")

    def test_base_includes_nobody(self):
        self.assert_include("src/base/a.h", '"crypto/aead.h"', "base may not include crypto")

    def test_plugins_see_no_pool(self):
        self.assert_include("plugins/sim/a.cpp", '"kms/pool.h"', "plugins/NAME may not include kms")

    def test_layer_without_entry(self):
        self.assert_include("src/extra/a.cpp", '"base/result.h"', "src/extra: not in the table")

    def test_path_that_is_not_from_src(self):
        self.assert_include("src/crypto/a.cpp", '"aead.h"', "not relative to src")

    def test_openssl_outside(self):
        self.assert_include("src/daemon/a.cpp", "<openssl/evp.h>", "kept to crypto, net/tls.cpp")

    def test_openssl_in_another_file_of_net(self):
        self.assert_include("src/net/a.cpp", "<openssl/ssl.h>", "kept to crypto, net/tls.cpp")

    def test_openssl_where_tls_is(self):
        self.assert_include("src/net/tls.cpp", "<openssl/ssl.h>", None)

    def test_sodium_in_another_file_of_base(self):
        self.assert_include("src/base/a.cpp", "<sodium.h>", "kept to base/encoding.cpp, base/secret_arena.cpp, crypto")

    def test_beast_in_a_header(self):
        self.assert_include("src/net/a.h", "<boost/beast/core.hpp>", "in a header")

    def test_asio_ssl_in_a_header(self):
        self.assert_include("src/net/a.h", "<boost/asio/ssl.hpp>", "in a header")

    def test_beast_outside(self):
        self.assert_include("src/daemon/a.cpp", "<boost/beast/core.hpp>", "kept to net")

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


class ManPages(InTree):
    """A program `tool` with --config, and a verb `show` with --json."""

    def setUp(self):
        super().setUp()
        self.write("units/a.service", "[Unit]\nDocumentation=man:tool(8)\n")
        self.tool = self.write(
            "tool",
            "#!/bin/sh\n[ $1 = --help ] || exec printf 'Options:\\n  --json  As JSON\\n'\n"
            "printf 'Options:\\n  --config TEXT  File\\n\\nSubcommands:\\n  show     Show\\n  show-all  All\\n'\n",
        )
        self.tool.chmod(0o755)

    def faults(self, page):
        self.write("man/tool.8", page)
        faults, seen = man_pages.check(self.top / "man", self.top / "units", [self.tool])
        self.assertEqual(seen, 1)
        return faults

    def test_page_as_it_should_be(self):
        self.assertEqual(self.faults(".BI \\-\\-config\n.BR show [ \\-\\-json ]\n.B show\\-all\n"), [])

    def test_option_that_is_not_there(self):
        faults = self.faults(".BI \\-\\-config\n.BI \\-\\-colour\n.B show\n.B show\\-all\n")
        self.assertEqual(len(faults), 1)
        self.assertIn("--colour, which tool does not have", faults[0])

    def test_option_left_out(self):
        faults = self.faults(".B show\n.B show\\-all\n")
        self.assertEqual(len(faults), 1)
        self.assertIn("does not name --config", faults[0])

    def test_verb_left_out(self):
        for named, left_out in (("show", "show-all"), ("show\\-all", "show")):
            faults = self.faults(f".BI \\-\\-config\n.B {named}\n")
            self.assertEqual(len(faults), 1)
            self.assertTrue(faults[0].endswith(f"does not name the verb {left_out}"), faults[0])

    def test_page_left_out(self):
        faults, _ = man_pages.check(self.top / "man", self.top / "units", [self.tool])
        self.assertEqual(len(faults), 2)
        self.assertIn("0 pages for tool", faults[0])
        self.assertIn("points to tool(8), which is not there", faults[1])


class DocPaths(InTree):
    def test_names_that_exist(self):
        self.write("src/net/loop.cpp", HEAD + "void Loop::run() {}\nint depth(int x);\n")
        self.write("ARCHITECTURE.md", "See `net/loop.cpp: run,\ndepth`, `src/net/loop.h` and [ARCHITECTURE](ARCHITECTURE.md).\n")
        self.assert_none(doc_paths)

    def test_file_that_is_not_there(self):
        self.write("ARCHITECTURE.md", "First `net/loop.h`,\nthen `net/gone.cpp: run`.\n")
        self.assert_one(doc_paths, "ARCHITECTURE.md:2: there is no file net/gone.cpp")

    def test_script_that_is_not_there(self):
        self.write("scripts/test", "#!/bin/sh\n")
        self.write("ARCHITECTURE.md", "`scripts/test`\nand `scripts/gone`.\n")
        self.assert_one(doc_paths, "ARCHITECTURE.md:2: there is no file scripts/gone")

    def test_function_that_is_not_there(self):
        self.write("src/net/loop.cpp", HEAD + "// stop() is elsewhere\nvoid Loop::run() {}\n")
        self.write("ARCHITECTURE.md", "`net/loop.cpp: run, stop`\n")
        self.assert_one(doc_paths, "net/loop.cpp has no function stop")


class StatusWords(InTree):
    def setUp(self):
        super().setUp()
        for name, enumerations in status_words.WORDS.items():
            self.write(name, HEAD + "".join(f'case {enumeration}::a: return "is "\n  "well";\n' for enumeration in enumerations))
        self.write("src/daemon/a.cpp", HEAD + 'out.queue_drops["tun"] = {{"no_route", statistics.no_route}};\n'
                   'out.errors["tun_read"] = 1;\n')
        self.page("is well", "tun", "tun_read", "no_route")

    def page(self, *words):
        self.write("docs/status.md", "".join(f"| `{word}` | meaning |\n" for word in words))

    def test_words_that_are_explained(self):
        self.assert_none(status_words)

    def test_words_of_other_enumerations(self):
        self.write("src/protocol/status.cpp", HEAD + 'case DropReason::a: return "tun";\ncase Inner::b: return "secret";\n')
        self.assert_none(status_words)

    def test_word_left_out(self):
        self.write("src/protocol/status.cpp", HEAD + 'case DropReason::a: return "replay";\n')
        self.assert_one(status_words, "src/protocol/status.cpp: 'replay' is not explained")

    def test_counters_left_out(self):
        self.page("is well", "tun_read", "no_route")
        self.assert_one(status_words, "src/daemon/a.cpp: 'tun' is not explained")
        self.page("is well", "tun", "no_route")
        self.assert_one(status_words, "src/daemon/a.cpp: 'tun_read' is not explained")
        self.page("is well", "tun", "tun_read")
        self.assert_one(status_words, "src/daemon/a.cpp: 'no_route' is not explained")

    def test_words_that_moved_away(self):
        self.write("src/daemon/reasons.cpp", HEAD)
        self.assert_one(status_words, "src/daemon/reasons.cpp: no words found")


class StatusFields(InTree):
    FIELDS = """template <Is<LinkStatus> S, class F>
void each_field(S& s, F&& f) {
  f("age_s", s.age);
}

template <Is<DeviceStatus> S, class F>
void each_field(S& s, F&& f) {
  f("name", s.name);
  f("links", s.m_links);
}

template <Is<KmsStatus> S, class F>
void each_field(S& s, F&& f) {
  f("link", s.link);
}
"""
    TYPES = """struct LinkStatus {
  std::optional<double> age{};
};
struct DeviceStatus {
  std::string name{};
  std::vector<LinkStatus> m_links{};
};
struct KmsStatus {
  LinkStatus link{};  // the only one
};
"""

    def setUp(self):
        super().setUp()
        self.write("src/control/fields.h", HEAD + self.FIELDS)
        self.write("src/control/status.h", HEAD + self.TYPES)

    def page(self, *links, unit="s"):
        head = "| `schema_version` | | 1 |\n"
        rows = "".join(f"| `{field}` | {unit} | meaning |\n" for field in links)
        self.write("docs/status.md", f"### `device`\n\n{head}| `name` | | x |\n| `links` | | x |\n\n"
                                     f"### `device.links[]`, `kms.link`\n\n{rows}\n### `kms`\n\n{head}| `link` | | x |\n### Others\n\n| `up` | x |\n")

    def test_fields_that_are_explained(self):
        self.page("age_s")
        self.assert_none(status_fields)

    def test_field_left_out(self):
        self.page()
        self.assertEqual(status_fields.check(self.top)[0], [f"docs/status.md: {place}.age_s is not explained" for place in ("device.links[]", "kms.link")])

    def test_field_that_is_not_there(self):
        self.page("age_s", "size")
        self.assertIn("docs/status.md: kms.link has no field size", status_fields.check(self.top)[0])

    def test_another_unit(self):
        self.page("age_s", unit="ms")
        self.assertIn("docs/status.md: kms.link.age_s is in s", status_fields.check(self.top)[0])

    def test_object_that_is_not_there(self):
        self.page("age_s")
        page = self.top / "docs" / "status.md"
        page.write_text(page.read_text().replace("`kms.link`", "`kms.link`, `kms.others[]`"))
        self.assert_one(status_fields, "there is no object kms.others[]")


class LogEvents(InTree):
    PAGE = "Lines left out are in one line, `left_out`.\n| event | level |\n|---|---|\n| `up`, `down` | info, error | it is |\n"
    CODE = HEAD + 'void f() {\n  m_log.info("up", "It is up.", {{"peer", "a"}});\n  g.alarm(\n      "down", "It is down.");\n'

    def test_what_is_listed(self):
        self.write("src/kms/a.cpp", self.CODE + '  log.info("left_out", "some were left out");\n}\n')
        self.write("docs/logging.md", self.PAGE)
        self.assert_none(log_events)

    def test_what_is_not_listed(self):
        self.write("src/kms/a.cpp", self.CODE + '  log.info("left_out", "some were left out");\n}\n')
        self.write("src/daemon/event_names.h", HEAD + 'constexpr std::string_view kOther = "other";\n')
        self.write("docs/logging.md", self.PAGE)
        self.assert_one(log_events, "event_names.h:2: event other is not in docs/logging.md")

    def test_what_nobody_logs(self):
        self.write("src/kms/a.cpp", self.CODE + "}\n")
        self.write("docs/logging.md", self.PAGE)
        self.assert_one(log_events, "docs/logging.md: nothing logs left_out")


class LogLevels(InTree):
    def tree(self, names="", daemon="", protocol="", rows="", steps=""):
        """One event of each layer that is logged as it is listed, and what is given."""
        head = "| event | level | what |\n|---|---|---|\n"
        self.write("src/daemon/event_names.h", f'{HEAD}std::string_view kStarted = "started";\n{names}')
        self.write("src/daemon/a.cpp", f'{HEAD}log.info(daemon::event::kStarted, "ready");\n{daemon}')
        self.write("src/protocol/a.cpp", f"""{HEAD}report(context, first ? LogLevel::info : LogLevel::debug,
            first ? "up" : "rekeyed", "text");\n{protocol}""")
        listed = "| `up` | info | x |\n| `rekeyed` | debug | x |\n"
        self.write("docs/logging.md", f"## Events of quipud\n\n{head}| `started` | info | x |\n{listed}{rows}\n## Others\n\n| `x` | info |\n")
        self.write("docs/protocol.md", f"## 12. Events\n\n{head}{listed}{steps}".replace("`", ""))

    def test_events_as_they_are_listed(self):
        self.tree(protocol='report(context, worse ? LogLevel::error : LogLevel::info, "down", "text");', rows="| `down` | info, error | x |\n",
                  steps="| down | info, error | x |\n")
        self.assert_none(log_levels)

    def test_name_that_is_never_used(self):
        self.tree(names='std::string_view kGone = "gone";\n')
        self.assert_one(log_levels, "kGone is used nowhere")

    def test_row_without_code(self):
        self.tree(steps="| gone | info | x |\n")
        self.assert_one(log_levels, "docs/protocol.md:7: no code logs gone")

    def test_code_without_row(self):
        self.tree(protocol='report(context, LogLevel::error, "down", "text");')
        self.assert_one(log_levels, "docs/protocol.md: down is missing")

    def test_another_level(self):
        self.tree(daemon="m_log.warning(\n    event::kStarted, text);\n")
        self.assert_one(log_levels, "docs/logging.md:5: started is logged at level warning")

    def test_level_that_no_code_has(self):
        self.tree(names='std::string_view kStopped = "stopped";\n', daemon="log.info(event::kStopped, text);\n",
                  rows="| `stopped` | info, error | x |\n")
        self.assert_one(log_levels, "docs/logging.md:8: stopped: never at level error")


class DocSamples(InTree):
    """With a program in the place of quipu that finds a fault in everything that says so."""

    PAGE = "First\n\n```toml\nkey = \"credential:quipu_a.key\"\n{}```\n\n```\ncp {} /etc/quipu/credentials/\n```\n"

    def faults(self, sample, command):
        quipu = self.write("quipu", '#!/bin/sh\nif grep -n fault "$2" >&2; then exit 5; fi\n')
        quipu.chmod(0o755)
        self.write("README.md", "nothing")
        self.write("docs/two-sites.md", self.PAGE.format(sample, command))
        faults, seen = doc_samples.check(self.top, quipu)
        self.assertEqual(seen, 1)
        return faults

    def test_sample_that_is_good(self):
        self.assertEqual(self.faults("", "ca.pem a.key"), [])

    def test_sample_that_is_refused_by_the_line_of_the_page(self):
        self.assertEqual(self.faults("fault = 1\n", "a.key"), ["5:fault = 1"])

    def test_public_key_that_can_be_left_as_it_is(self):
        self.assertEqual(self.faults('public_key = "PUBLIC-KEY-OF-SITE-B"\n', "a.key"), [])
        faults = self.faults('public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="\n', "a.key")
        self.assertEqual(len(faults), 1)
        self.assertIn("can be left as it is: write PUBLIC-KEY-OF-SITE", faults[0])

    def test_credential_that_nobody_puts_there(self):
        faults = self.faults("", "ca.pem")
        self.assertEqual(len(faults), 1)
        self.assertIn("no command puts a.key into /etc/quipu/credentials/", faults[0])


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
