// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"

namespace quipu::test {

// Remembers what was logged.
class RecordedLog final : public LogSink {
 public:
  void write(LogLevel /*level*/, std::string_view event, std::string_view /*message*/,
             std::span<const LogField> fields) override {
    m_lines.push_back({std::string(event), {fields.begin(), fields.end()}});
  }

  std::size_t lines() const { return m_lines.size(); }

  std::size_t count(std::string_view event) const {
    return static_cast<std::size_t>(std::ranges::count(m_lines, event, &Line::event));
  }

  // That field of every line of the event, in order; empty where it has none.
  std::vector<std::string> values(std::string_view event, std::string_view field) const {
    std::vector<std::string> out;
    for (const Line& line : m_lines) {
      if (line.event != event) continue;
      std::string& value = out.emplace_back();
      for (const LogField& one : line.fields)
        if (one.name == field) value = one.value;
    }
    return out;
  }

 private:
  struct Line {
    std::string event;
    std::vector<LogField> fields;
  };

  std::vector<Line> m_lines;
};

}  // namespace quipu::test
