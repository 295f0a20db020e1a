// SPDX-License-Identifier: Apache-2.0
// quipu-kmsd: one site's key management system.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "base/version.h"
#include "config/units.h"
#include "kmsd/event_names.h"
#include "kmsd/kmsd.h"
#include "kmsd/link_check.h"
#include "kmsd/machine_check.h"
#include "kmsd/out_of_service.h"
#include "service/notify.h"
#include "service/program.h"
#include "service/unit_user.h"
#include "service/wall_clock.h"

namespace {

using namespace quipu;

struct Options {
  std::string file{config::kKmsdUnit.configuration};
  bool check = false;
};

int complain(const Error& error, int code) {
  return service::complain("quipu-kmsd", error, code);
}

// An exit code, when there is nothing more to do.
std::optional<int> read_options(int argc, char** argv, Options& options) {
  CLI::App app("The key management system of one Quipu site (ETSI GS QKD 014)", "quipu-kmsd");
  app.add_option("--config", options.file, "Configuration file")->capture_default_str();
  app.add_flag("--check", options.check,
               "Read the configuration and every file it names, look at the store, the control socket and the entropy "
               "source, ask the drivers about their options (nothing is changed, no device is touched), say what is "
               "wrong, and end: 0 when all is good, 5 when not");
  return service::parse_options(app, argc, argv);
}

int check(kmsd::Configuration configuration, const service::UnitUser* reader) {
  const config::KmsdConfig& values = configuration.values;
  kmsd::Findings found = kmsd::check_links(kmsd::find_driver_files(), values.links);
  kmsd::check_machine(configuration, reader, found);
  for (const config::Problem& note : found.notes)
    std::printf("%s\n", note.text(configuration.file).c_str());
  if (!found.problems.empty())
    return complain(config::to_error(configuration.file, found.problems), service::kExitConfigurationInvalid);
  const auto notes =
      service::check_certificates(configuration.file, kmsd::certificates_of(configuration), service::wall_now());
  if (!notes) return complain(notes.error(), service::kExitConfigurationInvalid);
  for (const std::string& note : *notes)
    std::printf("%s\n", note.c_str());
  for (const config::Problem& doubt : kmsd::doubts_about(configuration))
    std::printf("%s\n", doubt.text(configuration.file).c_str());
  std::printf("%s: good%s, %zu link(s), %zu peer KME(s)\n", configuration.file.c_str(),
              found.notes.empty() ? "" : " as far as could be checked (see above)", values.links.size(),
              values.peer_kmes.size());
  return 0;
}

// Tells whoever asks that the store cannot be used.
Result<void> stay_out_of_service(kmsd::Configuration configuration, Error reason, service::SignalSource signals,
                                 service::FilteringSink& log) {
  net::Loop loop;
  const std::string kme = configuration.values.kme.id.value();
  QUIPU_TRY_ASSIGN(const auto daemon, kmsd::OutOfService::start(loop, std::move(configuration), std::move(reason),
                                                                std::move(signals), log));
  service::notify_ready();
  loop.run();
  log.info(kmsd::event::kStopped, "the KME has stopped", {{"kme", kme}});
  return {};
}

// Damage that a start does not see and the next one would run into again. Of anything else: as it is.
Result<void> go_out_of_service(Error damage, const std::string& file, service::FilteringSink& log) {
  if (damage.code != Errc::storage) return std::unexpected(std::move(damage));
  const auto stay = [&]() -> Result<void> {
    QUIPU_TRY_ASSIGN(auto configuration, kmsd::load_configuration(file));
    QUIPU_TRY_ASSIGN(auto signals, service::SignalSource::create());
    return stay_out_of_service(std::move(configuration), damage, std::move(signals), log);
  };
  if (const auto stayed = stay(); !stayed) return fail(damage.code, damage.text + "; moreover " + stayed.error().text);
  return {};
}

Result<void> serve(kmsd::Configuration configuration, kmsd::Core core, kmsd::MachineSource machine,
                   service::SignalSource signals, service::FilteringSink& log) {
  net::Loop loop;
  const std::string kme = configuration.values.kme.id.value();
  const std::string store = configuration.values.kme.store;
  const std::string file = configuration.file;
  auto daemon =
      kmsd::Kmsd::start(loop, std::move(configuration), std::move(core), std::move(signals), log, std::move(machine));
  if (!daemon) return go_out_of_service(std::move(daemon).error(), file, log);
  log.info(kmsd::event::kStarted, "the KME is ready", {{"kme", kme}, {"version", kVersion}});
  service::notify_ready();
  loop.run();
  log.info(kmsd::event::kStopped, "the KME has stopped", {{"kme", kme}});
  if (!(*daemon)->failure()) return {};
  Error failure = kmsd::with_advice(*(*daemon)->failure(), store);
  // Whoever stops it waits for its end.
  if ((*daemon)->is_stopping()) return std::unexpected(std::move(failure));
  daemon->reset();
  return go_out_of_service(std::move(failure), file, log);
}

Result<void> open_and_serve(kmsd::Configuration configuration, service::SignalSource signals,
                            service::FilteringSink& log) {
  kmsd::MachineSource machine;
  auto core = kmsd::open_core(configuration, machine, log);
  if (core) return serve(std::move(configuration), *std::move(core), std::move(machine), std::move(signals), log);
  if (!kmsd::is_for_the_operator(core.error())) return std::unexpected(std::move(core).error());
  return stay_out_of_service(std::move(configuration), std::move(core).error(), std::move(signals), log);
}

int run(kmsd::Configuration configuration, service::SignalSource signals) {
  const auto sink = service::make_default_sink("quipu-kmsd", service::LogFormat::text);
  service::FilteringSink log(*sink, configuration.values.kme.log_level, net::Loop::now);
  const auto outcome = open_and_serve(std::move(configuration), std::move(signals), log);
  if (outcome) return 0;
  log.error(kmsd::event::kFailed, "quipu-kmsd ends", {error_field(outcome.error())});
  return service::kExitFailure;
}

}  // namespace

int main(int argc, char** argv) {
  service::settle_in();
  Options options;
  if (const auto code = read_options(argc, argv, options)) return *code;
  if (const auto ready = options.check ? service::prepare_for_check() : service::prepare_for_secrets(); !ready)
    return complain(ready.error(), service::kExitFailure);
  const auto user = options.check ? service::UnitUser::find(config::kKmsdUnit, options.file) : std::nullopt;
  const service::UnitUser* const reader = user ? &*user : nullptr;
  auto configuration = kmsd::load_configuration(options.file, reader);
  if (!configuration)
    return complain(configuration.error(),
                    options.check ? service::kExitConfigurationInvalid : service::exit_code_of(configuration.error()));
  if (options.check) return check(*std::move(configuration), reader);
  auto signals = service::SignalSource::create();
  if (!signals) return complain(signals.error(), service::kExitFailure);
  return run(*std::move(configuration), *std::move(signals));
}
