// SPDX-License-Identifier: Apache-2.0
// Structured log lines: a constant event name, a constant sentence, and facts as named fields. Secrets cannot become
// fields, because they have no text form. Field names come from the list in docs/logging.md.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quipu {

enum class LogLevel { error, warning, info, debug };

std::string_view to_string(LogLevel level);

struct LogField {
  std::string_view name;
  std::string value;
};

class LogSink {
 public:
  virtual ~LogSink() = default;

  // `event` is a stable snake_case name for machines, `message` a sentence for people.
  virtual void write(LogLevel level, std::string_view event, std::string_view message,
                     std::span<const LogField> fields) = 0;

  void error(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::error, event, message, {fields.begin(), fields.size()});
  }

  void warning(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::warning, event, message, {fields.begin(), fields.size()});
  }

  void info(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::info, event, message, {fields.begin(), fields.size()});
  }

  void debug(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::debug, event, message, {fields.begin(), fields.size()});
  }
};

// The fields that every logged error carries.
LogField error_field(const Error& error);

}  // namespace quipu
