// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "driver/messages.h"
#include "driver/program/bridge.h"

namespace quipu::driver {

// One open device, from the host's open message to its stop or the end of the socket. Calls the driver from one thread.
class Session {
 public:
  Session(int socket, Bridge& bridge) : m_socket(socket), m_bridge(bridge), m_decoder(Direction::to_driver) {}

  // Returns when the host wants the process to end, or had but a question. On an error the process ends with
  // `permanent()` telling whether another start would help.
  Result<void> run(const std::string& plugin);

  bool permanent() const { return m_permanent; }

 private:
  struct Close {
    const struct quipu_driver* driver;

    void operator()(struct quipu_device* device) const { driver->close(device); }
  };

  Result<std::optional<Frame>> wait_for_frame(int timeout_ms);
  // Loads the plugin and tells the host what it is.
  Result<DriverIdentity> introduce(const std::string& plugin, const OpenMessage& message);
  Result<void> check(const OpenMessage& message);
  Result<void> open(const DriverIdentity& identity, const OpenMessage& message);
  Result<void> serve();
  Result<bool> handle(const Frame& frame);
  void send_telemetry();

  int m_socket;
  Bridge& m_bridge;
  FrameDecoder m_decoder;
  const struct quipu_driver* m_driver = nullptr;
  std::unique_ptr<struct quipu_device, Close> m_device{nullptr, Close{nullptr}};
  bool m_permanent = false;
};

}  // namespace quipu::driver
