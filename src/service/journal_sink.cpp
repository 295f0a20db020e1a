// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/uio.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include <vector>

#include "service/log_sinks.h"

namespace quipu::service {
namespace {

// syslog(3)
int priority(LogLevel level) {
  switch (level) {
    case LogLevel::error: return 3;
    case LogLevel::warning: return 4;
    case LogLevel::info: return 6;
    case LogLevel::debug: return 7;
  }
  return 3;
}

}  // namespace

std::string journal_field_name(std::string_view name) {
  std::string out = "QUIPU_";
  for (const char c : name) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool kept = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out += lower ? static_cast<char>(c - 'a' + 'A') : kept ? c : '_';
  }
  return out;
}

void JournalSink::write(LogLevel level, std::string_view event, std::string_view message,
                        std::span<const LogField> fields) {
  // The sentence with its facts, for people; the same facts as native fields, for machines.
  std::string text(message);
  for (const LogField& field : fields)
    text += fmt::format(" {}={}", field.name, field.value);
  std::vector<std::string> entries = {"MESSAGE=" + text, fmt::format("PRIORITY={}", priority(level)),
                                      "SYSLOG_IDENTIFIER=" + m_identifier, fmt::format("QUIPU_EVENT={}", event)};
  for (const LogField& field : fields)
    entries.push_back(journal_field_name(field.name) + "=" + field.value);
  std::vector<iovec> vectors;
  vectors.reserve(entries.size());
  for (std::string& entry : entries)
    vectors.push_back({entry.data(), entry.size()});
  // Nothing to be done about a journal that does not take it.
  static_cast<void>(::sd_journal_sendv(vectors.data(), static_cast<int>(vectors.size())));
}

}  // namespace quipu::service
