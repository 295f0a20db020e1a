// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>

#include "base/nearest_name.h"
#include "base/version.h"
#include "cli/verb.h"
#include "crypto/self_test.h"

namespace {

using quipu::cli::ExitCode;
using quipu::cli::Invocation;

constexpr const char* kDescription = "quipu: keys, certificates, status and control of the Quipu daemons";
constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 error, 2 usage, 3 degraded, 4 down, 5 configuration invalid, 6 blocked by policy.\n"
    "'quipu VERB --help' tells more.";

void add_options(CLI::App& program, Invocation& invocation) {
  program.require_subcommand(1);
  program.footer(kFooter);
  program.set_version_flag("--version", std::string("quipu ") + quipu::kVersion);
  program.add_option("--socket", invocation.socket, "Control socket of quipud")
      ->capture_default_str()
      ->each([&invocation](const std::string&) { invocation.socket_given = true; });
  program.add_option("--kms-socket", invocation.kms_socket, "Control socket of quipu-kmsd")
      ->capture_default_str()
      ->each([&invocation](const std::string&) { invocation.kms_socket_given = true; });
  for (const quipu::cli::AddVerb add : quipu::cli::all_verbs())
    add(program, invocation);
}

// The last verb that was named; the program itself where none was.
const CLI::App* asked_verb(const CLI::App& program) {
  const CLI::App* asked = &program;
  while (!asked->get_subcommands().empty())
    asked = asked->get_subcommands().front();
  return asked;
}

// As it is called: "quipu lab up".
std::string call_of(const CLI::App* verb) {
  return verb->get_parent() == nullptr ? verb->get_name() : call_of(verb->get_parent()) + " " + verb->get_name();
}

void tell_unknown(std::string_view kind, std::string_view word, const std::vector<std::string>& names,
                  std::string_view dashes, const CLI::App* asked) {
  const std::string_view near = quipu::nearest_name({names.begin(), names.end()}, word);
  quipu::cli::complain("quipu: there is no {} '{}{}'; {}'{} --help' lists all\n", kind, dashes, word,
                       near.empty() ? std::string() : fmt::format("did you mean '{}{}'? ", dashes, near),
                       call_of(asked));
}

// What stands where a verb is asked for, and is none: CLI11 only says that one is missing.
bool tell_unknown_verb(const CLI::App& program) {
  const CLI::App* const asking = asked_verb(program);
  const auto verbs = asking->get_subcommands([](const CLI::App*) { return true; });
  const auto words = program.remaining(true);
  if (verbs.empty() || words.empty() || words.front().starts_with('-')) return false;
  std::vector<std::string> names;
  names.reserve(verbs.size());
  for (const CLI::App* verb : verbs)
    names.push_back(verb->get_name());
  tell_unknown("verb", words.front(), names, "", asking);
  return true;
}

// The first one. Options of what a verb belongs to may stand behind it as well.
bool tell_unknown_option(const CLI::App& program) {
  const auto words = program.remaining(true);
  const auto found = std::ranges::find_if(words, [](const std::string& word) { return word.starts_with("--"); });
  if (found == words.end() || *found == "--") return false;
  const CLI::App* const asked = asked_verb(program);
  std::vector<std::string> names;
  for (const CLI::App* of = asked; of != nullptr; of = of->get_parent())
    for (const CLI::Option* option : of->get_options())
      names.insert(names.end(), option->get_lnames().begin(), option->get_lnames().end());
  tell_unknown("option", found->substr(2, found->find('=') - 2), names, "--", asked);
  return true;
}

// Better than CLI11 would.
bool tell_unknown_word(const CLI::App& program, const CLI::ParseError& error) {
  const int code = error.get_exit_code();
  const bool missing = code == static_cast<int>(CLI::ExitCodes::RequiredError);
  if (!missing && code != static_cast<int>(CLI::ExitCodes::ExtrasError)) return false;
  return (missing && tell_unknown_verb(program)) || tell_unknown_option(program);
}

// Several verbs hold private keys: no core dump, and no other process of the same user that reads the memory.
quipu::Result<void> forbid_dumps() {
  constexpr rlimit kNone{};
  if (::setrlimit(RLIMIT_CORE, &kNone) != 0) return quipu::fail_system("setrlimit(RLIMIT_CORE)");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return quipu::fail_system("prctl(PR_SET_DUMPABLE)");
  return {};
}

// A full disk or a closed pipe must not look like success. What could not be written before is gone from the buffer.
ExitCode written(ExitCode outcome) {
  const bool whole = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (whole || outcome != ExitCode::ok) return outcome;
  return quipu::cli::report(quipu::system_error("standard output"));
}

int run(int argc, char** argv) {
  if (const auto forbidden = forbid_dumps(); !forbidden) return static_cast<int>(quipu::cli::report(forbidden.error()));
  if (const auto tested = quipu::crypto::self_test(); !tested)
    return static_cast<int>(quipu::cli::report(tested.error()));
  Invocation invocation;
  CLI::App program(kDescription, "quipu");
  add_options(program, invocation);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (tell_unknown_word(program, error)) return static_cast<int>(ExitCode::usage);
    // Help and version arrive here too, as success.
    invocation.outcome = program.exit(error) == 0 ? ExitCode::ok : ExitCode::usage;
  }
  return static_cast<int>(written(invocation.outcome));
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone is told like a full disk
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    quipu::cli::complain("quipu: {}\n", error.what());
    return static_cast<int>(ExitCode::error);
  }
}
