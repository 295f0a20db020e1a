#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks that hold the documents against the code can fail: each is given a tree with one fault in it, and has to find that fault
and nothing else."""

import unittest

import doc_paths
import doc_samples
import log_events
import log_levels
import man_pages
import named_tests
import status_fields
import status_words
from in_tree import HEAD, InTree


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


class NamedTests(InTree):
    """One page with a table of tests, and two without."""

    def faults(self, cell):
        self.write("tests/unit/etsi/a_test.cpp", f"{HEAD}TEST(Suite, Does) {{}}\nTEST_P(Suite, DoesToo) {{}}\n")
        self.write("tests/netns/a_test.py", "def test_it(self):\n    pass\n")
        for page in ("km-link", "protocol"):
            self.write(f"docs/{page}.md", "| name | value |\n|---|---|\n| x | Suite.None |\n")
        self.write("docs/etsi014.md", f"# Title\n\n| what | test |\n|---|---|\n| first | Suite.Does |\n| second | {cell} |\n")
        faults, seen = named_tests.check(self.top)
        self.assertEqual(seen, 2)
        return faults

    def test_those_that_exist(self):
        self.assertEqual(self.faults("Suite.DoesToo, a_test.py test_it"), [])

    def test_those_that_do_not(self):
        for name in ("Suite.Gone", "a_test.py test_gone", "b_test.py test_it", ""):
            self.assertEqual(self.faults(f"Suite.Does, {name}"), [f"docs/etsi014.md:6: there is no test '{name}'"])


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


if __name__ == "__main__":
    unittest.main()
