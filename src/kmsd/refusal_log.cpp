// SPDX-License-Identifier: Apache-2.0
#include "kmsd/refusal_log.h"

namespace quipu::kmsd {

RefusalLog::RefusalLog(net::Loop& loop, LogSink& log, std::string_view event, std::string_view message,
                       Duration interval)
    : m_log(log), m_event(event), m_message(message), m_interval(interval), m_end(loop, [this] {
        m_waiting = false;
        if (m_count > 0) tell();
      }) {}

void RefusalLog::note(const Endpoint& from, const Error& reason) {
  ++m_count;
  ++m_total;
  m_from = from;
  m_reason = reason;
  if (!m_waiting) tell();
}

void RefusalLog::tell() {
  m_log.warning(m_event, m_message,
                {{"from", m_from.text()}, error_field(m_reason), {"count", std::to_string(std::exchange(m_count, 0))}});
  m_waiting = true;
  m_end.set(net::Loop::now() + m_interval);
}

}  // namespace quipu::kmsd
