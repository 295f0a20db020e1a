// SPDX-License-Identifier: Apache-2.0
// The changes of one transaction as statements. Inside src/store only.
#pragma once

#include "kms/store.h"
#include "store/database.h"
#include "store/sealer.h"

namespace quipu::store {

class PoolWriter {
 public:
  PoolWriter(Database& database, Sealer& sealer, const KmeId& pool, std::int64_t row)
      : m_database(database), m_sealer(sealer), m_pool(pool), m_row(row) {}

  Result<void> operator()(const kms::AddBlock& change);
  Result<void> operator()(const kms::SetBlock& change);
  Result<void> operator()(const kms::AddLease& change);
  Result<void> operator()(const kms::SetLease& change);
  Result<void> operator()(const kms::RemoveLease& change);
  Result<void> operator()(const kms::SetPeerInstance& change);
  Result<void> operator()(const kms::SetSourceMark& change);
  Result<void> operator()(const kms::ForgetBlocks& change);
  Result<void> operator()(const kms::Trim& change);
  Result<void> operator()(const kms::Books& change);

  // Whether material was deleted.
  bool deleted() const { return m_deleted; }

 private:
  Result<void> add_chunks(const kms::AddBlock& change);
  Result<std::uint32_t> length_of(const BlockId& id);
  Result<void> delete_spent_chunks(const kms::SetBlock& change, std::uint32_t length);

  Database& m_database;
  Sealer& m_sealer;
  const KmeId& m_pool;
  std::int64_t m_row;
  bool m_deleted = false;
};

}  // namespace quipu::store
