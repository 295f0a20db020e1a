// SPDX-License-Identifier: Apache-2.0
// quipud --config FILE [--check | --guard | --remove-guards [PREFIX...]]
#include <CLI/CLI.hpp>
#include <iostream>

#include "config/units.h"
#include "daemon/daemon.h"
#include "daemon/event_names.h"
#include "daemon/guards.h"
#include "service/files.h"
#include "service/program.h"
#include "service/unit_user.h"
#include "service/wall_clock.h"

namespace {

using namespace quipu;

struct Options {
  std::string config{config::kQuipudUnit.configuration};
  bool check = false;
  bool guard = false;
  bool remove_guards = false;
  std::vector<std::string> prefixes;
};

// An exit code, when there is nothing more to do.
std::optional<int> read_options(int argc, char** argv, Options& options) {
  CLI::App app("Quipu's tunnel daemon: carries packets between sites under keys from X25519, ML-KEM-768 and QKD.");
  app.add_option("--config", options.config, "Configuration file")->capture_default_str();
  auto* check = app.add_flag("--check", options.check,
                             "Read the configuration and every file it names, say what is wrong, and end");
  auto* guard = app.add_flag("--guard", options.guard,
                             "Set rule and blackhole routes for the configuration's allowed_ips, and end: nothing "
                             "protected leaves in clear before quipud runs. Reads no key");
  auto* remove = app.add_flag("--remove-guards", options.remove_guards,
                              "Remove them again, and end: from then on these prefixes are routed in clear");
  app.add_option("PREFIX", options.prefixes, "What to remove, where it is not the configuration's allowed_ips")
      ->needs(remove);
  check->excludes(guard, remove);
  guard->excludes(remove);
  return service::parse_options(app, argc, argv);
}

int report(const Error& error, int code) {
  return service::complain("quipud", error, code);
}

// After an attempt that failed. What stood before it stands.
std::string_view how_much_is_guarded(bool attempted) {
  const auto standing = daemon::standing_guards();
  if (!standing) return "IT IS NOT KNOWN WHAT IS GUARDED: ";
  if (standing->empty()) return "NOTHING IS GUARDED: ";
  return attempted ? "NOT EVERYTHING IS GUARDED: " : "NO MORE IS GUARDED THAN BEFORE: ";
}

// Without a configuration, what was last in effect is the best guess at what is to be protected. Returns what is to be
// said of it.
std::string set_remembered_guards() {
  const auto plan = daemon::remembered_guards();
  if (plan && plan->prefixes.empty())
    return "nothing to guard instead: " + daemon::guard_list_file() + " lists no prefix";
  const auto guarded = plan ? daemon::set_guards(*plan) : std::unexpected(plan.error());
  if (!guarded) return std::string(how_much_is_guarded(plan.has_value())) + guarded.error().text;
  return "guarded instead: the " + std::to_string(plan->prefixes.size()) +
         " prefix(es) that were last in effect, as listed in " + daemon::guard_list_file();
}

// An exit code when they could not be set, or there is nothing more to do. First of all, so that whatever else keeps
// quipud from starting (a key that is not there, a state folder that cannot be read) leaves nothing in clear.
std::optional<int> set_guards(const Options& options) {
  const auto plan = daemon::load_plan(options.config);
  if (!plan) {
    // Before a word is said: whoever should read it may have stopped to.
    const std::string guarded = set_remembered_guards();
    const int code = report(plan.error(), service::exit_code_of(plan.error()));
    return report({plan.error().code, guarded}, code);
  }
  if (const auto guarded = daemon::set_guards(*plan); !guarded) return report(guarded.error(), service::kExitFailure);
  return options.guard ? std::optional(0) : std::nullopt;
}

Result<daemon::RemovedGuards> remove_guards(const Options& options) {
  QUIPU_TRY_ASSIGN(auto prefixes, daemon::parse_prefixes(options.prefixes));
  if (prefixes.empty()) {
    auto plan = daemon::load_plan(options.config);
    if (!plan)
      return fail(plan.error().code, plan.error().text +
                                         "\nwithout a configuration, name what is guarded: quipud --remove-guards "
                                         "PREFIX...; quipu-guard.service has it from the list in " +
                                         daemon::guard_list_file());
    prefixes = std::move(plan->prefixes);
  }
  return daemon::remove_guards(prefixes);
}

int remove_guards_and_tell(const Options& options) {
  const auto outcome = remove_guards(options);
  if (!outcome) return report(outcome.error(), service::kExitFailure);
  if (outcome->removed.empty()) std::cout << "nothing to remove: none of these prefixes has a guard of its own\n";
  for (const IpPrefix& prefix : outcome->removed)
    std::cout << "removed: " << prefix.text() << "\n";
  for (const IpPrefix& prefix : outcome->left)
    std::cout << "still guarded: " << prefix.text() << "\n";
  return 0;
}

int check(const Options& options, const daemon::Settings& settings) {
  const auto notes =
      service::check_certificates(options.config, daemon::certificates_of(settings), service::wall_now());
  if (!notes) return report(notes.error(), service::kExitConfigurationInvalid);
  for (const std::string& note : *notes)
    std::cout << note << "\n";
  for (const config::Problem& doubt : daemon::doubts_about(settings))
    std::cout << doubt.text(options.config) << "\n";
  std::cout << options.config << ": good, " << settings.peers.size() << " peer(s), " << settings.kms.size()
            << " KMS(s)\n";
  return 0;
}

int run(const Options& options, service::SignalSource signals, daemon::Settings settings) {
  const auto sink = service::make_default_sink("quipud", service::LogFormat::text);
  service::FilteringSink log(*sink, settings.config.device.log_level, net::Loop::now);
  auto quipud = daemon::Daemon::create(options.config, std::move(settings), std::move(signals), log);
  const Result<void> outcome = quipud ? (*quipud)->run() : std::unexpected(quipud.error());
  if (outcome) return 0;
  log.error(daemon::event::kFailed, "quipud ends", {error_field(outcome.error())});
  return service::kExitFailure;
}

}  // namespace

int main(int argc, char** argv) {
  service::settle_in();
  Options options;
  if (const auto code = read_options(argc, argv, options)) return *code;
  if (options.remove_guards) return remove_guards_and_tell(options);
  if (!options.check)
    if (const auto code = set_guards(options)) return *code;
  if (const auto ready = options.check ? service::prepare_for_check() : service::prepare_for_secrets(); !ready)
    return report(ready.error(), service::kExitFailure);
  const auto reader = options.check ? service::UnitUser::find(config::kQuipudUnit, options.config) : std::nullopt;
  auto settings = daemon::load_settings(options.config, reader ? &*reader : nullptr);
  if (!settings)
    return report(settings.error(),
                  options.check ? service::kExitConfigurationInvalid : service::exit_code_of(settings.error()));
  if (options.check) return check(options, *settings);
  auto signals = service::SignalSource::create();
  if (!signals) return report(signals.error(), service::kExitFailure);
  return run(options, std::move(*signals), std::move(*settings));
}
