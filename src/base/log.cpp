// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

namespace quipu {

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::error: return "error";
    case LogLevel::warning: return "warning";
    case LogLevel::info: return "info";
    case LogLevel::debug: return "debug";
  }
  return "error";
}

LogField error_field(const Error& error) {
  std::string text(to_string(error.code));
  if (!error.text.empty()) text += ": " + error.text;
  return {"error", std::move(text)};
}

}  // namespace quipu
