// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>

#include "driver/driver_host.h"
#include "driver/frames.h"
#include "quipu/driver.h"

namespace quipu::driver {

// The callbacks that a driver gets, turned into frames on the socket. All members may be called from any thread;
// writing blocks while the host does not read, which the window of blocks keeps short.
class Bridge {
 public:
  explicit Bridge(int socket);

  const struct quipu_host& host() const { return m_host; }

  // Before the driver's open.
  void begin(const DriverIdentity& identity, std::uint32_t window);
  // True when a delivery was refused with BUSY since the last credit, so the driver waits for resume.
  bool add_credit(std::uint32_t count);

  void send(FrameType type, ByteView body, ByteView tail = {});
  void log(LogLevel level, std::string_view text);

 private:
  static int deliver_block(struct quipu_host_context* context, const struct quipu_block* block);
  static int peer_send(struct quipu_host_context* context, const std::uint8_t* octets, std::size_t count);
  static void log_text(struct quipu_host_context* context, std::uint32_t level, const char* text);

  int refuse(std::string_view what);
  int take_credit();
  bool write_all(ByteView bytes);

  int m_socket;
  struct quipu_host m_host;
  DriverIdentity m_identity;
  std::mutex m_credit_mutex;
  std::uint32_t m_credit = 0;  // under m_credit_mutex
  bool m_refused = false;      // under m_credit_mutex
  std::mutex m_write_mutex;
  bool m_closed = false;  // under m_write_mutex
};

}  // namespace quipu::driver
