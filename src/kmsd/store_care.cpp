// SPDX-License-Identifier: Apache-2.0
#include "kmsd/store_care.h"

#include <fmt/format.h>

#include <utility>

#include "kmsd/event_names.h"
#include "service/wall_clock.h"

namespace quipu::kmsd {
namespace {

constexpr Duration kScrubInterval = std::chrono::seconds(20);
constexpr Duration kAuditInterval = std::chrono::hours(1);

}  // namespace

StoreCare::StoreCare(net::Loop& loop, store::SqliteStore& store, AuditWriter& audit, std::chrono::days keep_audit,
                     LogSink& log, net::Callback<void(Error)> on_failure)
    : m_store(store),
      m_audit(audit),
      m_keep_audit(keep_audit),
      m_log(log),
      m_on_failure(std::move(on_failure)),
      m_changing_key(store.key_changing()),
      m_part(loop, [this] { work(); }) {
  if (m_changing_key) m_part.want();
}

Result<void> StoreCare::back_up(Done done) {
  QUIPU_TRY(m_store.begin_backup());
  m_backup_done = std::move(done);
  m_part.want();
  return {};
}

Result<bool> StoreCare::change_key(Secret<32> store_key, std::optional<Secret<32>> previous_key) {
  QUIPU_TRY_ASSIGN(m_changing_key, m_store.seal_with(std::move(store_key), std::move(previous_key)));
  if (!m_changing_key) return false;
  m_key_changed.reset();  // this one's end is the other's, too
  m_part.want();
  return true;
}

void StoreCare::work() {
  if (m_backup_done) advance_backup();
  if (m_changing_key) advance_key_change();
  if (m_drop) drop_old_pages();
  if (m_backup_done || m_changing_key || m_drop) m_part.want();
}

void StoreCare::advance_backup() {
  auto complete = m_store.advance_backup();
  if (complete && !*complete) return;
  auto done = *std::exchange(m_backup_done, std::nullopt);
  done(complete ? Result<void>() : std::unexpected(std::move(complete).error()));
}

void StoreCare::advance_key_change() {
  bool ending = false;
  auto changed = m_store.advance_key_change([&] {
    ending = true;
    m_audit.add("store_key_changed", m_store.path(), service::wall_now());
    return m_audit.write(service::wall_now());
  });
  if (changed && !*changed) return;
  m_changing_key = false;
  if (changed) {
    m_key_changed = **changed;
    return end_key_change();
  }
  m_log.error(event::kStoreKeyChangeFailed,
              "the store is sealed in part with the key before, and needs both until a reload or restart went on",
              {error_field(changed.error())});
  tell_key_waiters(std::unexpected(changed.error()));
  // What the audit log was about to hold is lost.
  if (ending) m_on_failure(std::move(changed).error());
}

void StoreCare::end_key_change() {
  if (auto scrubbed = scrub(); !scrubbed)
    return tell_key_waiters(fail_at(
        "the store is sealed with the new key, but what the old one opens is on the disk until store_key_changed is in "
        "the log",
        std::move(scrubbed).error()));
  m_log.info(event::kStoreKeyChanged, "the store is sealed with another key than before, which no longer opens it",
             {{"damaged_chunks", fmt::to_string(m_key_changed->damaged_chunks)}});
  m_key_changed.reset();
  tell_key_waiters({});
}

void StoreCare::tell_key_waiters(const Result<void>& done) {
  for (Done& each : std::exchange(m_await_key, {}))
    each(done);
}

// Keys go on being handed out: what is to be kept is not touched.
void StoreCare::drop_old_pages() {
  const auto done = m_store.audit().drop(*m_drop);
  if (!done)
    m_log.error(event::kAuditDropFailed, "old pages of the audit log cannot be dropped; tried again in an hour",
                {error_field(done.error())});
  if (!done || *done) m_drop.reset();
}

void StoreCare::on_second(TimePoint now, WallTime wall_now) {
  if (now >= m_next_scrub) {
    m_next_scrub = now + kScrubInterval;
    if (m_key_changed) {
      end_key_change();
    } else {
      [[maybe_unused]] const auto scrubbed = scrub();
    }
  }
  if (m_next_hour && now < *m_next_hour) return;
  m_audit.tell_head();
  // Not by each start: it may be one of many, and the clock not set yet.
  if (std::exchange(m_next_hour, now + kAuditInterval) && !m_drop) {
    m_drop = store::AuditDrop{.now = wall_now, .before = wall_now - m_keep_audit};
    m_part.want();
  }
}

Result<void> StoreCare::scrub() {
  auto scrubbed = m_store.scrub();
  if (!scrubbed)
    m_log.error(event::kScrubFailed, "what was left of used key material could not be removed from the store's log",
                {error_field(scrubbed.error())});
  return scrubbed;
}

}  // namespace quipu::kmsd
