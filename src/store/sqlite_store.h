// SPDX-License-Identifier: Apache-2.0
// The KMS's store in one SQLite file: write-ahead log, every commit synced, material sealed (kms/store.h says what is
// promised).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/rng.h"
#include "kms/store.h"
#include "store/audit_log.h"

namespace quipu::store {

struct KeyChanged {
  std::uint64_t damaged_chunks = 0;  // neither key opens them; left as they were
};

class SqliteStore final : public kms::Store {
 public:
  // Opens or creates the file, for this process alone. `rng` outlives the store. Errors:
  // Errc::bad_key (another store key sealed this store), busy (another process has it open), unsupported (a later
  // version wrote it, or another program), storage (damaged), not_permitted (not writable), io, exhausted (no
  // space, no memory).
  // With `previous_key` as seal_with() has it.
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& path, Secret<32> store_key, crypto::Rng& rng,
                                                   std::optional<Secret<32>> previous_key = std::nullopt);

  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore() override;

  Result<void> commit(const kms::Transaction& transaction) override;
  Result<kms::StoredPool> load(const KmeId& pool) override;
  Result<std::optional<kms::BlockRecord>> find_block(const KmeId& pool, const BlockId& id) override;
  Result<bool> has_digest(const KmeId& pool, const kms::BlockDigest& digest) override;
  Result<bool> is_elsewhere(const KmeId& pool, const BlockId& id, const kms::BlockDigest& digest) override;
  Result<bool> is_retired(const KmeId& pool, const kms::InstanceId& instance) override;
  Result<SecretBytes> read(const KmeId& pool, const BlockId& id, kms::Range range) override;

  // Begins to change the store key while in use, durably: from now on chunks are sealed with `store_key`. False, and
  // nothing is to be done, when the store was sealed with it already. Errc::bad_key when neither key fits, or the
  // change was begun with others. After an error all is as before.
  Result<bool> seal_with(Secret<32> store_key, std::optional<Secret<32>> previous_key);

  // The store opens with both keys only until it is done.
  bool key_changing() const;

  // Goes on with it, durably: the keys of some more chunks are wrapped by the new store key. Not empty when it is done;
  // `at_end` is called inside the transaction that ends it, so that what it commits to this store is durable with that.
  // What the old key had wrapped is gone from the disk with the next scrub(). An error leaves it where it was.
  Result<std::optional<KeyChanged>> advance_key_change(const std::function<Result<void>()>& at_end);

  // Begins a copy of all but key material in backup_path(), replaced where it is there when the copy is complete (mode
  // 0600), and removed by the next open(): a store of its own, which any store key opens. Its pools are empty, what was
  // in them counts as voided or burnt. What could have been used when the copy was made is void at both ends once a KME
  // with that store has made contact. Errc::busy while one is made.
  Result<void> begin_backup();
  // Goes on with it. True when it is complete and durable. An error ends it, and leaves nothing of it.
  Result<bool> advance_backup();
  std::string backup_path() const;

  // Removes what deleted chunks left in the write-ahead log; cheap when nothing was deleted since the last call. To be
  // called at least twice a minute, and before the process ends.
  Result<void> scrub();

  AuditLog& audit();

  const std::string& path() const;

 private:
  struct Connection;

  explicit SqliteStore(std::unique_ptr<Connection> connection);

  // The pool's row, or nothing when nothing was ever committed for it.
  Result<std::optional<std::int64_t>> find_pool(const KmeId& pool);
  Result<std::int64_t> make_pool(const KmeId& pool);

  std::unique_ptr<Connection> m_connection;
  std::map<KmeId, std::int64_t> m_pools;
  bool m_deleted = true;  // or wrapped anew, since the last scrub; an earlier run may have left something
};

}  // namespace quipu::store
