// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"

namespace quipu::daemon {

// Remembers the events that were logged.
class RecordedLog final : public LogSink {
 public:
  struct Line {
    LogLevel level;
    std::string event;
    std::string text;  // of all fields, for looking something up
  };

  void write(LogLevel level, std::string_view event, std::string_view message,
             std::span<const LogField> fields) override {
    Line line{level, std::string(event), std::string(message)};
    for (const LogField& field : fields)
      line.text += " " + std::string(field.name) + "=" + field.value;
    m_lines.push_back(std::move(line));
  }

  std::size_t count(std::string_view event) const {
    return static_cast<std::size_t>(std::ranges::count(m_lines, event, &Line::event));
  }

  const std::vector<Line>& lines() const { return m_lines; }

 private:
  std::vector<Line> m_lines;
};

}  // namespace quipu::daemon
