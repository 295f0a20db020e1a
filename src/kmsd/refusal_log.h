// SPDX-License-Identifier: Apache-2.0
// What is logged of clients that are refused. Anybody can make such refusals, as many as he likes, and a client that is
// configured wrong makes them for days: they must not hide the other lines. So the first is told at once, and those of
// the time after it together at its end.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ip.h"
#include "base/log.h"
#include "net/loop.h"

namespace quipu::kmsd {

class RefusalLog {
 public:
  static constexpr Duration kInterval = std::chrono::minutes(1);

  // `event` and `message` are literals.
  RefusalLog(net::Loop& loop, LogSink& log, std::string_view event, std::string_view message,
             Duration interval = kInterval);

  void note(const Endpoint& from, const Error& reason);

  // Refusals so far.
  std::uint64_t total() const { return m_total; }

 private:
  void tell();

  LogSink& m_log;
  std::string_view m_event;
  std::string_view m_message;
  Duration m_interval;
  bool m_waiting = false;     // the interval after a line
  std::uint64_t m_count = 0;  // that were not told yet
  std::uint64_t m_total = 0;
  Endpoint m_from;
  Error m_reason{};
  net::Timer m_end;
};

}  // namespace quipu::kmsd
