// SPDX-License-Identifier: Apache-2.0
// quipud --config FILE [--check]
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "base/version.h"
#include "crypto/self_test.h"
#include "daemon/daemon.h"
#include "daemon/event_names.h"
#include "service/lock_down.h"

namespace {

using namespace quipu;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kConfigInvalid = 5;

struct Options {
  std::string config = "/etc/quipu/quipu.toml";
  bool check = false;
};

// An exit code, when there is nothing more to do.
std::optional<int> parse_options(int argc, char** argv, Options& options) {
  CLI::App app("Quipu's tunnel daemon: carries packets between sites under keys from X25519, ML-KEM-768 and QKD.");
  app.add_option("--config", options.config, "Configuration file")->capture_default_str();
  app.add_flag("--check", options.check, "Read the configuration and every file it names, say what is wrong, and end");
  app.set_version_flag("--version", kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return std::nullopt;
}

int report(const Error& error, int code) {
  std::cerr << "quipud: " << (error.text.empty() ? to_string(error.code) : error.text) << "\n";
  return code;
}

// Before anything is read: what must hold for this process to touch a key.
Result<service::SignalSource> prepare() {
  QUIPU_TRY(service::lock_down());
  QUIPU_TRY(crypto::self_test());
  return service::SignalSource::create();
}

int run(const Options& options, service::SignalSource signals, daemon::Settings settings) {
  const auto sink = service::make_default_sink("quipud", service::LogFormat::text);
  service::FilteringSink log(*sink, settings.config.device.log_level, net::Loop::now);
  auto quipud = daemon::Daemon::create(options.config, std::move(settings), std::move(signals), log);
  const Result<void> outcome = quipud ? (*quipud)->run() : std::unexpected(quipud.error());
  if (outcome) return 0;
  log.error(daemon::event::kFailed, "quipud ends", {error_field(outcome.error())});
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const auto code = parse_options(argc, argv, options)) return *code;
  auto signals = prepare();
  if (!signals) return report(signals.error(), kFailed);
  auto settings = daemon::load_settings(options.config);
  if (!settings) return report(settings.error(), kConfigInvalid);
  if (options.check) {
    std::cout << options.config << ": good, " << settings->peers.size() << " peer(s), " << settings->kms.size()
              << " KMS(s)\n";
    return 0;
  }
  return run(options, std::move(*signals), std::move(*settings));
}
