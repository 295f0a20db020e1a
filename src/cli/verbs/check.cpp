// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/files.h"
#include "cli/verb.h"
#include "config/key_table.h"
#include "config/kmsd_config.h"
#include "config/quipud_config.h"
#include "config/reference.h"
#include "config/units.h"

namespace quipu::cli {
namespace {

constexpr std::size_t kMaxConfiguration = std::size_t{1} * 1024 * 1024;
constexpr const char* kQuipud = "quipud";
constexpr const char* kKmsd = "quipu-kmsd";

// The two files have no section in common: the first that is known tells whose this is. Empty when none does.
std::string_view guess_daemon(const std::vector<std::string>& sections) {
  for (const std::string& name : sections) {
    if (config::find_key(config::kmsd_keys(), "", name) != nullptr) return kKmsd;
    if (config::find_key(config::quipud_keys(), "", name) != nullptr) return kQuipud;
  }
  return {};
}

ExitCode refuse(const std::string& file, std::string_view what, const std::vector<config::Problem>& problems) {
  for (const config::Problem& problem : problems)
    complain("{}\n", problem.text(file));
  complain("quipu: {} is {}: {} to correct\n", file, what, problems.size());
  return ExitCode::config_invalid;
}

template <class Config>
ExitCode tell(const std::string& file, std::string_view daemon, const config::Parsed<Config>& parsed) {
  if (!parsed) return refuse(file, fmt::format("no valid configuration of {}", daemon), parsed.error());
  fmt::print("{}: a valid configuration of {}\n", file, daemon);
  fmt::print("The files that it names were not read: that is for '{} --check'.\n", daemon);
  return ExitCode::ok;
}

ExitCode check(const std::string& file, std::string_view daemon) {
  const auto text = read_whole_file(file, kMaxConfiguration);
  if (!text) return report(text.error());
  const std::string_view contents = as_text(text->view());
  if (daemon.empty()) {
    const auto sections = config::top_level_names(contents);
    if (!sections) return refuse(file, "no configuration", sections.error());
    daemon = guess_daemon(*sections);
  }
  if (daemon.empty()) {
    complain("quipu: {} has no section of a configuration of quipud ([device]) or quipu-kmsd ([kme])\n", file);
    return ExitCode::config_invalid;
  }
  return daemon == kKmsd ? tell(file, daemon, config::parse_kmsd(contents))
                         : tell(file, daemon, config::parse_quipud(contents));
}

}  // namespace

void add_check(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "check", "Check a configuration file without using it",
                            "All problems are told at once, one line each: FILE:LINE:COLUMN: KEY: what is wrong; what "
                            "to do.\nExit code 5 if there is one.");
  auto reference = std::make_shared<bool>(false);
  verb.add_flag("--reference", *reference, "Print every key of both files with its meaning, and check nothing");
  auto file = std::make_shared<std::string>(config::kQuipudUnit.configuration);
  auto daemon = std::make_shared<std::string>();
  verb.add_option("file", *file, "The file")->capture_default_str();
  verb.add_option("--for", *daemon, "Whose configuration it is; told from its sections when not given")
      ->check(CLI::IsMember({kQuipud, kKmsd}));
  on_run(verb, invocation, [file, daemon, reference] {
    if (!*reference) return check(*file, *daemon);
    fmt::print("{}", config::reference());
    return ExitCode::ok;
  });
}

}  // namespace quipu::cli
