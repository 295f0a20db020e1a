// SPDX-License-Identifier: Apache-2.0
// The KMS's store in one SQLite file: write-ahead log, every commit synced, material sealed (kms/store.h says what is
// promised).
#pragma once

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

class SqliteStore final : public kms::Store {
 public:
  // Opens or creates the file, for this process alone. `rng` outlives the store. Errors say what to do:
  // Errc::bad_key (another store key sealed this store), busy (another process has it open), unsupported (a later
  // version wrote it), storage (damaged, not writable, not a store), exhausted (no space).
  // A store that is sealed with `previous_key` is first sealed with `store_key`, as by seal_with().
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& path, Secret<32> store_key, crypto::Rng& rng,
                                                   std::optional<Secret<32>> previous_key = std::nullopt);

  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore() override;

  Result<void> commit(const kms::Transaction& transaction) override;
  Result<kms::StoredPool> load(const KmeId& pool) override;
  Result<std::optional<kms::BlockRecord>> find_block(const KmeId& pool, const BlockId& id) override;
  Result<bool> has_digest(const KmeId& pool, const kms::BlockDigest& digest) override;
  Result<bool> is_retired(const KmeId& pool, const kms::InstanceId& instance) override;
  Result<SecretBytes> read(const KmeId& pool, const BlockId& id, kms::Range range) override;

  // Whether open() found it sealed with `previous_key`.
  bool key_changed() const { return m_key_changed; }

  // Changes the store key while in use, durably when it returns: the keys of all chunks are wrapped by it in one
  // transaction, so that at each moment one of both opens the whole store. True when it was sealed with `previous_key`,
  // false when it was sealed with `store_key` already; Errc::bad_key when with neither. After an error all is as
  // before. What the old key had wrapped is gone from the disk with the next scrub().
  Result<bool> seal_with(Secret<32> store_key, std::optional<Secret<32>> previous_key);

  // A copy in `path`, replaced where it is there (mode 0600), of all but key material, and durable when it returns: a
  // store of its own, which any store key opens. Its pools are empty, what was in them counts as voided or burnt;
  // records, books, instances, marks and the audit log are those of one moment. What could have been used when the copy
  // was made is void at both ends once a KME with that store has made contact.
  Result<void> back_up(const std::string& path);

  // Removes what deleted chunks left in the write-ahead log; cheap when nothing was deleted since the last call. To be
  // called at least twice a minute, and before the process ends.
  Result<void> scrub();

  AuditLog& audit();

 private:
  struct Connection;

  explicit SqliteStore(std::unique_ptr<Connection> connection);

  // The pool's row, or nothing when nothing was ever committed for it.
  Result<std::optional<std::int64_t>> find_pool(const KmeId& pool);
  Result<std::int64_t> make_pool(const KmeId& pool);

  std::unique_ptr<Connection> m_connection;
  std::map<KmeId, std::int64_t> m_pools;
  bool m_key_changed = false;
  bool m_deleted = true;  // or wrapped anew, since the last scrub; an earlier run may have left something
};

}  // namespace quipu::store
