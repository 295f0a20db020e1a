// SPDX-License-Identifier: Apache-2.0
// What is done with the store while it is in use: copies of it, the change of its key, the removal of what deleted keys
// left. What may take long is done a part in each turn of the loop, so that SAEs and peers are served meanwhile.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "kmsd/audit_writer.h"
#include "net/loop.h"
#include "store/sqlite_store.h"

namespace quipu::kmsd {

class StoreCare {
 public:
  // Called once, in a later turn of the loop; not after the end of this.
  using Done = net::Callback<void(Result<void>)>;

  // Goes on with a change of the store's key that is under way. All outlive this. `keep_audit`: pages of the audit log
  // that were written longer ago are dropped. `on_failure` hears that the store or its audit log cannot be written any
  // more.
  StoreCare(net::Loop& loop, store::SqliteStore& store, AuditWriter& audit, std::chrono::days keep_audit, LogSink& log,
            net::Callback<void(Error)> on_failure);

  // Begins to copy all but key material, to the store's backup_path(). Errc::busy while another copy is made.
  Result<void> back_up(Done done);

  // Begins to seal the store with another key; false when there is nothing to change. Errors as with
  // SqliteStore::seal_with().
  Result<bool> change_key(Secret<32> store_key, std::optional<Secret<32>> previous_key);

  // Until the key before opens nothing that is on the disk.
  bool changing_key() const { return m_changing_key || m_key_changed; }

  // Hears how the change that is under way ends. After an error it goes on by itself where changing_key().
  void when_key_changed(Done done) { m_await_key.push_back(std::move(done)); }

  // To be called once a second. Scrubs when it is time; once an hour says the newest page of the audit log and, from
  // the second time on, begins to drop its old ones.
  void on_second(TimePoint now, WallTime wall_now);
  // Removes from the disk what deleted or wrapped keys left. An error is in the log, and on_second() tries again.
  Result<void> scrub();

 private:
  void work();
  void advance_backup();
  void advance_key_change();
  void end_key_change();
  void drop_old_pages();
  void tell_key_waiters(const Result<void>& done);

  store::SqliteStore& m_store;
  AuditWriter& m_audit;
  std::chrono::days m_keep_audit;
  LogSink& m_log;
  net::Callback<void(Error)> m_on_failure;
  std::optional<Done> m_backup_done;  // while one is made
  bool m_changing_key;
  std::optional<store::KeyChanged> m_key_changed;  // while what the key before opens may be on the disk
  std::vector<Done> m_await_key;
  std::optional<store::AuditDrop> m_drop;  // while old pages are dropped
  TimePoint m_next_scrub{};
  std::optional<TimePoint> m_next_hour;
  net::Deferred m_part;
};

}  // namespace quipu::kmsd
