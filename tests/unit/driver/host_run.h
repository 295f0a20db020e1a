// SPDX-License-Identifier: Apache-2.0
// A host of the real quipu-driver with a tiny driver (plugins/test_driver.c). Time stands still unless a test moves it,
// so no test waits for a back-off or a timeout.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <functional>

#include "driver/driver_host.h"

namespace quipu::driver {

class Recorder final : public DriverEvents, public LogSink {
 public:
  void on_block(DriverBlock block) override { blocks.push_back(std::move(block)); }

  void on_peer_message(SecretBytes message) override { peer_messages.push_back(std::move(message)); }

  void write(LogLevel /*level*/, std::string_view event, std::string_view /*message*/,
             std::span<const LogField> fields) override {
    for (const LogField& field : fields)
      if (field.name == "text") lines.push_back(std::string(event) + ": " + field.value);
  }

  std::vector<DriverBlock> blocks;
  std::vector<SecretBytes> peer_messages;
  std::vector<std::string> lines;
};

inline DriverHostConfig config_of(const std::string& plugin, Options options = {}) {
  DriverHostConfig config;
  config.program = QUIPU_BINARY_DIR "/bin/quipu-driver";
  config.plugin = QUIPU_BINARY_DIR "/test-drivers/" + plugin + ".so";
  config.driver = "test";
  config.link = "a-b";
  config.options = std::move(options);
  config.allow_simulated = true;
  return config;
}

class HostRun {
 public:
  explicit HostRun(DriverHostConfig config) : host(std::move(config), recorder, recorder) { host.start(now); }

  // Lets the host work until the condition holds.
  [[nodiscard]] bool until(const std::function<bool()>& condition) {
    while (!condition()) {
      pollfd waiting{host.fd(), POLLIN, 0};
      if (::poll(&waiting, 1, -1) != 1) return false;  // however slow this machine is at the moment
      host.handle_readable(now);
    }
    return true;
  }

  [[nodiscard]] bool until_state(HostState state) {
    return until([&] { return host.status().state == state; });
  }

  [[nodiscard]] bool until_telemetry() {
    return until([&] { return host.status().telemetry.has_value(); });
  }

  void pass_deadline() {
    ASSERT_TRUE(host.next_deadline());
    now = *host.next_deadline();
    host.handle_deadline(now);
  }

  std::string problem() const { return host.status().problem; }

  TimePoint now{std::chrono::hours(1)};
  Recorder recorder;
  DriverHost host;
};

}  // namespace quipu::driver
