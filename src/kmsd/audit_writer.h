// SPDX-License-Identifier: Apache-2.0
// Collects what the audit log shall hold, and writes it a page at a time: a durable write for every key would cost as
// much as the key. A run that is killed loses the last second of it, and shows: its "started" has no "stopped".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/time.h"
#include "control/audit.h"
#include "kms/actions.h"
#include "store/audit_log.h"

namespace quipu::kmsd {

class AuditWriter {
 public:
  // Both outlive this.
  AuditWriter(store::AuditLog& log, LogSink& sink) : m_log(log), m_sink(sink) {}

  void add(const kms::AuditDelivery& delivery, WallTime now);
  // Something else that an auditor wants to know; `text` says it in words.
  void add(std::string_view event, std::string_view text, WallTime now);

  // So much waits that it should be written at once.
  bool is_full() const { return m_text.size() >= kPageSize || m_line_keys >= kMaxLineKeys; }

  // Durable when it returns, or with the transaction that it is called in; nothing is written where nothing waits. To
  // be called once a second, when is_full(), and before the process ends.
  Result<void> write(WallTime now);
  // Says the newest page of this run in the log (`audit_head`), once.
  void tell_head();

 private:
  static constexpr std::size_t kPageSize = std::size_t{256} * 1024;  // octets
  static constexpr std::size_t kMaxLineKeys = 4'096;                 // some 160 KiB

  void end_line();

  store::AuditLog& m_log;
  LogSink& m_sink;
  std::string m_text;                         // whole lines
  std::optional<control::AuditEntry> m_line;  // which the next delivery may go on with
  std::size_t m_line_keys = 0;
  store::AuditHead m_head;  // as last written in this run
  std::uint64_t m_told = 0;
};

}  // namespace quipu::kmsd
