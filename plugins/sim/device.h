// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "exchange.h"
#include "fibre.h"
#include "link_model.h"
#include "quipu/driver.h"

namespace quipu::sim {

// One simulated device: a thread that serves the fibre, paces the blocks and delivers them. The public functions are
// those of the driver ABI, called from the host's thread.
class Device {
 public:
  Device(const struct quipu_host& host, const SimOptions& options);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  int start();
  void stop();
  void telemetry(struct quipu_telemetry& out);

  void resume() { wake(); }

  int inject(std::string_view scenario, std::span<const struct quipu_option> arguments);

 private:
  // What the host asks of the thread.
  struct Wanted {
    bool stop = false;
    bool cut = false;
    double intercepted = 0;
  };

  void run();
  Wanted take_wishes(TimePoint now);
  void wait(TimePoint now);
  TimePoint next_wake(TimePoint now) const;
  void serve_fibre(TimePoint now);
  void handle_received(TimePoint now);
  void make_blocks(TimePoint now);
  bool has_room() const;
  void send(ByteView message, TimePoint now);
  void drop(TimePoint now, const std::string& reason);
  void deliver();
  void publish(TimePoint now);
  void say(std::uint32_t level, const std::string& text) const;
  void announce();
  void wake();

  const struct quipu_host& m_host;
  const SimOptions m_options;
  crypto::SystemRng m_rng;
  UniqueFd m_wake;
  std::thread m_thread;

  // Of the thread while it runs.
  Exchange m_exchange;
  Fibre m_fibre;
  LinkModel m_model;
  std::deque<KeyBlock> m_ready;  // waiting for the host
  std::uint64_t m_delivered = 0;
  std::string m_announced;
  bool m_cut = false;

  std::mutex m_mutex;
  Wanted m_wanted;                     // under m_mutex
  struct quipu_telemetry m_published;  // under m_mutex
};

}  // namespace quipu::sim
