// SPDX-License-Identifier: Apache-2.0
#include "kmsd/audit_writer.h"

#include <fmt/chrono.h>

#include <utility>

#include "base/encoding.h"
#include "kmsd/event_names.h"

namespace quipu::kmsd {
namespace {

std::string time_text(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (time - seconds).count());
}

control::AuditEntry entry_of(const kms::AuditDelivery& delivery) {
  control::AuditEntry entry;
  entry.event = delivery.master ? "enc_keys" : "dec_keys";
  entry.sae = delivery.sae.value();
  for (const SaeId& sae : delivery.named)
    entry.named.push_back(sae.value());
  entry.kme = delivery.peer.value();
  return entry;
}

bool same_but_for_keys(const control::AuditEntry& a, const control::AuditEntry& b) {
  return a.event == b.event && a.sae == b.sae && a.named == b.named && a.kme == b.kme;
}

}  // namespace

void AuditWriter::add(const kms::AuditDelivery& delivery, WallTime now) {
  control::AuditEntry entry = entry_of(delivery);
  if (!m_line || !same_but_for_keys(*m_line, entry)) {
    end_line();
    entry.time = time_text(now);
    m_line = std::move(entry);
  }
  for (const Uuid& id : delivery.key_ids)
    m_line->key_ids.push_back(id.text());
  m_line_keys += delivery.key_ids.size();
}

void AuditWriter::add(std::string_view event, std::string_view text, WallTime now) {
  end_line();
  control::AuditEntry entry;
  entry.time = time_text(now);
  entry.event = event;
  entry.text = text;
  m_text += control::to_json(entry) + '\n';
}

void AuditWriter::end_line() {
  if (m_line) m_text += control::to_json(*m_line) + '\n';
  m_line.reset();
  m_line_keys = 0;
}

Result<void> AuditWriter::write(WallTime now) {
  end_line();
  if (m_text.empty()) return {};
  QUIPU_TRY_ASSIGN(m_head, m_log.append(m_text, now));
  m_text.clear();
  return {};
}

void AuditWriter::tell_head() {
  if (std::exchange(m_told, m_head.number) == m_head.number) return;
  m_sink.info(event::kAuditHead, "whoever notes this can tell later that nothing before it was changed or taken out",
              {{"page", fmt::to_string(m_head.number)}, {"hash", to_hex(m_head.hash)}});
}

}  // namespace quipu::kmsd
