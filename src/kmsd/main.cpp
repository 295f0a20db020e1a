// SPDX-License-Identifier: Apache-2.0
// quipu-kmsd: one site's key management system.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "base/version.h"
#include "crypto/self_test.h"
#include "kmsd/kmsd.h"
#include "service/lock_down.h"
#include "service/notify.h"

namespace {

using namespace quipu;

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitConfigurationInvalid = 5;

struct Options {
  std::string file = "/etc/quipu/kms.toml";
  bool check = false;
};

int complain(const Error& error, int code) {
  std::fprintf(stderr, "quipu-kmsd: %s\n",
               error.text.empty() ? std::string(to_string(error.code)).c_str() : error.text.c_str());
  return code;
}

// An exit code, when there is nothing more to do.
std::optional<int> parse_options(int argc, char** argv, Options& options) {
  CLI::App app("The key management system of one Quipu site (ETSI GS QKD 014)", "quipu-kmsd");
  app.add_option("--config", options.file, "Configuration file")->capture_default_str();
  app.add_flag("--check", options.check,
               "Read the configuration and every file it names, say what is wrong, and end: 0 when it is good, 5 when "
               "not");
  app.set_version_flag("--version", kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return std::nullopt;
}

// Before anything is read: what must hold for this process to touch a key.
Result<service::SignalSource> prepare() {
  QUIPU_TRY(service::lock_down());
  QUIPU_TRY(crypto::self_test());
  return service::SignalSource::create();
}

Result<void> run(kmsd::Configuration configuration, service::SignalSource signals) {
  const auto sink = service::make_default_sink("quipu-kmsd", service::LogFormat::text);
  service::FilteringSink log(*sink, configuration.values.kme.log_level, net::Loop::now);
  net::Loop loop;
  const std::string kme = configuration.values.kme.id.value();
  QUIPU_TRY_ASSIGN(const auto daemon, kmsd::Kmsd::start(loop, std::move(configuration), std::move(signals), log));
  log.info("started", "the KME is ready", {{"kme", kme}, {"version", kVersion}});
  service::notify_ready();
  loop.run();
  log.info("stopped", "the KME has stopped", {{"kme", kme}});
  if (daemon->failure()) return std::unexpected(*daemon->failure());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const auto code = parse_options(argc, argv, options)) return *code;
  auto signals = prepare();
  if (!signals) return complain(signals.error(), kExitFailure);
  auto configuration = kmsd::load_configuration(options.file);
  if (!configuration) return complain(configuration.error(), kExitConfigurationInvalid);
  if (options.check) {
    std::printf("%s: good, %zu link(s), %zu peer KME(s)\n", options.file.c_str(), configuration->values.links.size(),
                configuration->values.peer_kmes.size());
    return 0;
  }
  if (const auto result = run(*std::move(configuration), *std::move(signals)); !result)
    return complain(result.error(), kExitFailure);
  return 0;
}
