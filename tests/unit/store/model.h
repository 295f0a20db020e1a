// SPDX-License-Identifier: Apache-2.0
// An endless, repeatable series of transactions, and what a store must hold after each. The books' `received` counts
// the transactions, so that a store tells by itself how far it came.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "kms/store.h"

namespace quipu::store {

class Model {
 public:
  explicit Model(KmeId pool_id = KmeId("kme-b")) : m_pool(std::move(pool_id)) {}

  const KmeId& pool() const { return m_pool; }

  std::uint64_t steps() const { return m_books.received; }

  // The transaction that follows; its views live until the next call.
  kms::Transaction next();

  // Compares everything that the store tells with what it must tell.
  void expect_equal(kms::Store& store) const;

  const std::map<BlockId, kms::BlockRecord>& blocks() const { return m_blocks; }

  static Bytes material_of(const kms::BlockRecord& record);

 private:
  using Random = std::mt19937_64;

  static Uuid random_id(Random& random);
  void add_block(Random& random, kms::Transaction& out);
  void change_block(Random& random, kms::Transaction& out);
  void change_leases(Random& random, kms::Transaction& out);
  void trim(Random& random, kms::Transaction& out);
  void change_pool(Random& random, kms::Transaction& out);
  void expect_material(kms::Store& store, const kms::BlockRecord& block) const;

  template <class Map>
  static auto pick(Map& map, Random& random) {
    auto at = map.begin();
    if (!map.empty()) std::advance(at, static_cast<std::ptrdiff_t>(random() % map.size()));
    return at;
  }

  KmeId m_pool;
  std::map<BlockId, kms::BlockRecord> m_blocks;
  std::set<BlockId> m_forgotten;
  std::map<kms::LeaseId, kms::LeaseRecord> m_leases;
  std::vector<kms::InstanceId> m_retired;  // in that order
  std::vector<kms::InstanceId> m_no_more;  // retired, and dropped since
  std::optional<kms::InstanceId> m_peer;
  std::map<std::string, std::uint64_t> m_marks;
  kms::Books m_books;
  Bytes m_material;
};

}  // namespace quipu::store
