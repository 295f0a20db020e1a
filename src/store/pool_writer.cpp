// SPDX-License-Identifier: Apache-2.0
#include "store/pool_writer.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"
#include "store/rows.h"

namespace quipu::store {
namespace {

ByteView id_of(const BlockId& id) {
  return id.value().octets;
}

ByteView id_of(const kms::LeaseId& id) {
  return id.value().octets;
}

ByteView id_of(const kms::InstanceId& id) {
  return id.value().octets;
}

std::optional<ByteView> id_of(const std::optional<kms::InstanceId>& id) {
  return id ? std::optional(id_of(*id)) : std::nullopt;
}

std::int64_t flag(bool value) {
  return value ? 1 : 0;
}

Result<void> must_change_one(Result<std::int64_t> changed, std::string_view what) {
  if (!changed) return std::unexpected(std::move(changed).error());
  if (*changed != 1) return fail(Errc::not_found, std::string(what) + " is not in the store");
  return {};
}

}  // namespace

Result<void> PoolWriter::operator()(const kms::AddBlock& change) {
  const kms::BlockRecord& record = change.record;
  QUIPU_ASSERT(change.material.empty() || change.material.size() == record.length);
  QUIPU_ASSERT(record.length <= kms::kMaxBlockSize);
  const Bytes spent = encode_ranges(record.spent);
  std::array<std::uint8_t, 8> sequence{};
  if (record.sequence) sequence = encode_u64(*record.sequence);
  QUIPU_TRY_ASSIGN(Query query, m_database.query("INSERT INTO blocks (pool, " QUIPU_BLOCK_COLUMNS
                                                 ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  query.bind(m_row, id_of(record.id), static_cast<std::int64_t>(record.state), ByteView(record.digest),
             std::int64_t{record.length}, std::string_view(record.source),
             record.sequence ? std::optional(ByteView(sequence)) : std::nullopt, flag(record.simulated),
             std::int64_t{record.arrived.time_since_epoch().count()}, ByteView(spent));
  QUIPU_TRY(query.run());
  return add_chunks(change);
}

Result<void> PoolWriter::add_chunks(const kms::AddBlock& change) {
  for (std::size_t position = 0; position < change.material.size(); position += kms::kChunkSize) {
    const std::size_t size = std::min<std::size_t>(kms::kChunkSize, change.material.size() - position);
    const ChunkName name{m_pool, change.record.id, static_cast<std::uint32_t>(position)};
    QUIPU_TRY_ASSIGN(const SealedChunk chunk, m_sealer.seal(name, change.material.subspan(position, size)));
    QUIPU_TRY_ASSIGN(
        Query query,
        m_database.query("INSERT INTO chunks (pool, block, position, wrapped_key, sealed) VALUES (?, ?, ?, ?, ?)"));
    query.bind(m_row, id_of(change.record.id), static_cast<std::int64_t>(position), ByteView(chunk.wrapped_key),
               ByteView(chunk.sealed));
    QUIPU_TRY(query.run());
  }
  return {};
}

Result<std::uint32_t> PoolWriter::length_of(const BlockId& id) {
  QUIPU_TRY_ASSIGN(Query query, m_database.query("SELECT length FROM blocks WHERE pool = ? AND id = ?"));
  query.bind(m_row, id_of(id));
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  if (!row) return fail(Errc::not_found, "the block is not in the store");
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(query.integer(0), 0, kms::kMaxBlockSize));
}

Result<void> PoolWriter::operator()(const kms::SetBlock& change) {
  QUIPU_TRY_ASSIGN(const std::uint32_t length, length_of(change.id));
  const Bytes spent = encode_ranges(change.spent);
  {
    QUIPU_TRY_ASSIGN(Query query, m_database.query("UPDATE blocks SET state = ?, spent = ? WHERE pool = ? AND id = ?"));
    query.bind(static_cast<std::int64_t>(change.state), ByteView(spent), m_row, id_of(change.id));
    QUIPU_TRY(must_change_one(query.run(), "the block"));
  }
  return delete_spent_chunks(change, length);
}

Result<void> PoolWriter::delete_spent_chunks(const kms::SetBlock& change, std::uint32_t length) {
  const bool ended = change.state == kms::BlockState::used || change.state == kms::BlockState::voided;
  for (std::uint32_t position = 0; position < length; position += kms::kChunkSize) {
    const kms::Range chunk{position, std::min(kms::kChunkSize, length - position)};
    if (!ended && !change.spent.covers(chunk)) continue;
    QUIPU_TRY_ASSIGN(Query query, m_database.query("DELETE FROM chunks WHERE pool = ? AND block = ? AND position = ?"));
    query.bind(m_row, id_of(change.id), std::int64_t{position});
    QUIPU_TRY_ASSIGN(const std::int64_t deleted, query.run());
    m_deleted = m_deleted || deleted != 0;
  }
  return {};
}

Result<void> PoolWriter::operator()(const kms::AddLease& change) {
  const kms::LeaseRecord& lease = change.lease;
  const Bytes extents = encode_extents(lease.extents);
  const Bytes key_ids = encode_ids(lease.key_ids);
  QUIPU_TRY_ASSIGN(Query query, m_database.query("INSERT INTO leases (pool, " QUIPU_LEASE_COLUMNS
                                                 ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  query.bind(m_row, id_of(lease.id), static_cast<std::int64_t>(lease.holder), id_of(lease.holder_instance),
             id_of(lease.opener_instance), ByteView(extents), ByteView(key_ids), flag(lease.closed_here),
             flag(lease.closed_there));
  QUIPU_TRY(query.run());
  return {};
}

Result<void> PoolWriter::operator()(const kms::SetLease& change) {
  QUIPU_TRY_ASSIGN(Query query,
                   m_database.query("UPDATE leases SET opener_instance = ?, closed_here = ?, closed_there = ? WHERE "
                                    "pool = ? AND id = ?"));
  query.bind(id_of(change.opener_instance), flag(change.closed_here), flag(change.closed_there), m_row,
             id_of(change.id));
  return must_change_one(query.run(), "the lease");
}

Result<void> PoolWriter::operator()(const kms::RemoveLease& change) {
  QUIPU_TRY_ASSIGN(Query query, m_database.query("DELETE FROM leases WHERE pool = ? AND id = ?"));
  query.bind(m_row, id_of(change.id));
  return must_change_one(query.run(), "the lease");
}

Result<void> PoolWriter::operator()(const kms::SetPeerInstance& change) {
  for (const kms::InstanceId& instance : change.retired) {
    QUIPU_TRY_ASSIGN(Query query, m_database.query("INSERT OR IGNORE INTO retired_instances (pool, instance, number) "
                                                   "SELECT ?1, ?2, 1 + ifnull(max(number), 0) FROM retired_instances "
                                                   "WHERE pool = ?1"));
    query.bind(m_row, id_of(instance));
    QUIPU_TRY(query.run());
  }
  QUIPU_TRY_ASSIGN(Query query, m_database.query("UPDATE pools SET peer_instance = ? WHERE id = ?"));
  query.bind(id_of(change.current), m_row);
  return must_change_one(query.run(), "the pool");
}

Result<void> PoolWriter::operator()(const kms::SetSourceMark& change) {
  const auto mark = encode_u64(change.mark);
  {
    QUIPU_TRY_ASSIGN(Query query,
                     m_database.query("INSERT OR REPLACE INTO source_marks (pool, source, mark) VALUES (?, ?, ?)"));
    query.bind(m_row, std::string_view(change.source), ByteView(mark));
    QUIPU_TRY(query.run());
  }
  QUIPU_TRY_ASSIGN(Query query, m_database.query("DELETE FROM blocks WHERE pool = ? AND state IN (3, 4) AND source = ? "
                                                 "AND sequence IS NOT NULL AND sequence < ?"));
  query.bind(m_row, std::string_view(change.source), ByteView(mark));
  QUIPU_TRY(query.run());
  return {};
}

Result<void> PoolWriter::operator()(const kms::ForgetBlocks& change) {
  const std::int64_t before{change.before.time_since_epoch().count()};
  const bool of_all = change.source.empty();
  QUIPU_TRY_ASSIGN(Query query,
                   m_database.query(of_all ? "DELETE FROM blocks WHERE pool = ? AND state IN (3, 4) AND sequence IS "
                                             "NULL AND arrived < ?"
                                           : "DELETE FROM blocks WHERE pool = ? AND state IN (3, 4) AND sequence IS "
                                             "NULL AND arrived < ? AND source = ?"));
  of_all ? query.bind(m_row, before) : query.bind(m_row, before, std::string_view(change.source));
  QUIPU_TRY(query.run());
  return {};
}

Result<void> PoolWriter::operator()(const kms::Trim& change) {
  {
    QUIPU_TRY_ASSIGN(
        Query query,
        m_database.query("DELETE FROM blocks WHERE pool = ?1 AND state IN (3, 4) AND id IN (SELECT id FROM "
                         "blocks WHERE pool = ?1 AND state IN (3, 4) AND source = '' AND sequence IS NULL "
                         "ORDER BY arrived DESC, id DESC LIMIT -1 OFFSET ?2)"));
    query.bind(m_row, static_cast<std::int64_t>(change.lost_blocks));
    QUIPU_TRY(query.run());
  }
  QUIPU_TRY_ASSIGN(Query query, m_database.query("DELETE FROM retired_instances WHERE pool = ?1 AND number <= (SELECT "
                                                 "max(number) FROM retired_instances WHERE pool = ?1) - ?2"));
  query.bind(m_row, static_cast<std::int64_t>(change.retired));
  QUIPU_TRY(query.run());
  return {};
}

Result<void> PoolWriter::operator()(const kms::Books& change) {
  const std::uint64_t figures[] = {change.received, change.held,  change.stock,   change.leased, change.delivered,
                                   change.consumed, change.burnt, change.expired, change.voided};
  if (std::ranges::any_of(figures, [](std::uint64_t figure) {
        return figure > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      }))
    return fail(Errc::out_of_range, "a pool's books are beyond 2^63 octets");
  QUIPU_TRY_ASSIGN(Query query,
                   m_database.query("UPDATE pools SET received = ?, held = ?, stock = ?, leased = ?, "
                                    "delivered = ?, consumed = ?, burnt = ?, expired = ?, voided = ? WHERE id = ?"));
  for (const std::uint64_t figure : figures)
    query.bind(static_cast<std::int64_t>(figure));
  query.bind(m_row);
  return must_change_one(query.run(), "the pool");
}

}  // namespace quipu::store
