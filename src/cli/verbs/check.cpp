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

namespace quipu::cli {
namespace {

constexpr std::size_t kMaxConfiguration = std::size_t{1} * 1024 * 1024;

enum class Daemon { quipud, quipu_kmsd };

// The two files have no section in common: the first that is known tells which one this is.
Daemon guess_daemon(std::string_view text) {
  for (const std::string& name : config::top_level_names(text)) {
    if (config::find_key(config::kmsd_keys(), "", name) != nullptr) return Daemon::quipu_kmsd;
    if (config::find_key(config::quipud_keys(), "", name) != nullptr) return Daemon::quipud;
  }
  return Daemon::quipud;
}

template <class Config>
ExitCode tell(const std::string& file, std::string_view daemon, const config::Parsed<Config>& parsed) {
  if (parsed) {
    fmt::print("{}: a valid configuration of {}\n", file, daemon);
    fmt::print("The files that it names were not read: that is for '{} --check'.\n", daemon);
    return ExitCode::ok;
  }
  for (const config::Problem& problem : parsed.error())
    fmt::print(stderr, "{}\n", problem.text(file));
  fmt::print(stderr, "quipu: {} is no valid configuration of {}: {} to correct\n", file, daemon, parsed.error().size());
  return ExitCode::config_invalid;
}

ExitCode check(const std::string& file, const std::string& daemon) {
  const auto text = read_whole_file(file, kMaxConfiguration);
  if (!text) return report(text.error());
  const std::string_view contents = as_text(text->view());
  const bool is_kms = daemon.empty() ? guess_daemon(contents) == Daemon::quipu_kmsd : daemon == "quipu-kmsd";
  return is_kms ? tell(file, "quipu-kmsd", config::parse_kmsd(contents))
                : tell(file, "quipud", config::parse_quipud(contents));
}

}  // namespace

void add_check(CLI::App& program, Invocation& invocation) {
  CLI::App& verb = add_verb(program, "check", "Check a configuration file without using it",
                            "All problems are told at once, one line each: FILE:LINE:COLUMN: KEY: what is wrong; what "
                            "to do.\nExit code 5 if there is one.");
  auto reference = std::make_shared<bool>(false);
  verb.add_flag("--reference", *reference, "Print every key of both files with its meaning, and check nothing");
  auto file = std::make_shared<std::string>("/etc/quipu/quipu.toml");
  auto daemon = std::make_shared<std::string>();
  verb.add_option("file", *file, "The file")->capture_default_str();
  verb.add_option("--for", *daemon, "Whose configuration it is; told from its sections when not given")
      ->check(CLI::IsMember({"quipud", "quipu-kmsd"}));
  on_run(verb, invocation, [file, daemon, reference] {
    if (!*reference) return check(*file, *daemon);
    fmt::print("{}", config::reference());
    return ExitCode::ok;
  });
}

}  // namespace quipu::cli
