// SPDX-License-Identifier: Apache-2.0
#include "service/log_sinks.h"

namespace quipu::service {

void FilteringSink::summarize(std::string_view event, Window& window) {
  if (window.suppressed == 0) return;
  const LogField fields[] = {{"suppressed_event", std::string(event)}, {"count", std::to_string(window.suppressed)}};
  m_next.write(LogLevel::warning, "suppressed", "more lines of one event than the log takes were left out", fields);
  window.suppressed = 0;
}

void FilteringSink::flush() {
  const TimePoint now = m_now();
  for (auto& [event, window] : m_windows) {
    if (now - window.start >= std::chrono::seconds(1)) summarize(event, window);
  }
}

void FilteringSink::write(LogLevel level, std::string_view event, std::string_view message,
                          std::span<const LogField> fields) {
  if (level > m_level) return;
  const TimePoint now = m_now();
  auto found = m_windows.find(event);
  if (found == m_windows.end()) found = m_windows.emplace(std::string(event), Window{.start = now}).first;
  Window& window = found->second;
  if (now - window.start >= std::chrono::seconds(1)) {
    summarize(event, window);
    window = Window{.start = now};
  }
  if (window.passed == kBurst) {
    ++window.suppressed;
    return;
  }
  ++window.passed;
  m_next.write(level, event, message, fields);
}

}  // namespace quipu::service
