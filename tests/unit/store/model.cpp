// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <algorithm>

namespace quipu::store {
namespace {

bool ended(const kms::BlockRecord& block) {
  return block.state == kms::BlockState::used || block.state == kms::BlockState::voided;
}

template <class T>
void sort_by_id(std::vector<T>& list) {
  std::ranges::sort(list, {}, &T::id);
}

}  // namespace

Uuid Model::random_id(Random& random) {
  Uuid id;
  for (std::uint8_t& octet : id.octets)
    octet = static_cast<std::uint8_t>(random());
  return id;
}

Bytes Model::material_of(const kms::BlockRecord& record) {
  std::uint64_t seed = 0;
  std::memcpy(&seed, record.id.value().octets.data(), sizeof seed);
  Random random(seed);
  Bytes out(record.length);
  for (std::size_t at = 0; at < out.size(); at += sizeof seed) {
    const std::uint64_t octets = random();
    std::memcpy(out.data() + at, &octets, sizeof octets);  // lengths are multiples of a slot
  }
  return out;
}

void Model::add_block(Random& random, kms::Transaction& out) {
  constexpr std::uint32_t kLengths[] = {32, 4096, 4128, 12288, 65536};
  kms::BlockRecord record;
  record.id = BlockId(random_id(random));
  record.length = kLengths[random() % std::size(kLengths)];
  const bool never_here = random() % 8 == 0;
  record.source = random() % 2 == 0 ? "a-b" : "c-d";
  if (never_here) record.source = "";
  record.simulated = random() % 2 == 0;
  record.arrived = WallTime(std::chrono::milliseconds(steps()));
  for (std::uint8_t& octet : record.digest)
    octet = static_cast<std::uint8_t>(random());
  // Beyond 2^63 now and then: such numbers must compare as unsigned ones.
  if (record.source == "a-b") record.sequence = steps() + (random() % 4 == 0 ? std::uint64_t{1} << 63U : 0U);
  if (never_here) record.state = kms::BlockState::voided;
  m_material = never_here ? Bytes() : material_of(record);
  m_blocks[record.id] = record;
  out.add(kms::AddBlock{record, m_material});
}

void Model::change_block(Random& random, kms::Transaction& out) {
  const auto found = pick(m_blocks, random);
  if (found == m_blocks.end() || ended(found->second)) return;
  kms::BlockRecord& block = found->second;
  if (block.state == kms::BlockState::held) {
    block.state = random() % 8 == 0 ? kms::BlockState::voided : kms::BlockState::usable;
  } else if (random() % 4 == 0) {
    block.state = kms::BlockState::used;
    block.spent.add({0, block.length});
  } else {
    const auto slots = static_cast<std::uint32_t>(block.length / kms::kSlotSize);
    const auto first = static_cast<std::uint32_t>(random() % slots);
    const auto count = static_cast<std::uint32_t>(1 + random() % (slots - first));
    block.spent.add({first * kms::kSlotSize, count * kms::kSlotSize});
  }
  out.add(kms::SetBlock{block.id, block.state, block.spent});
}

void Model::change_leases(Random& random, kms::Transaction& out) {
  const auto found = pick(m_leases, random);
  const auto choice = random() % 3;
  if (found == m_leases.end() || choice == 0) {
    kms::LeaseRecord lease;
    lease.id = kms::LeaseId(random_id(random));
    lease.holder = random() % 2 == 0 ? kms::Holder::us : kms::Holder::peer;
    lease.holder_instance = kms::InstanceId(random_id(random));
    if (random() % 2 == 0) lease.opener_instance = kms::InstanceId(random_id(random));
    for (std::uint32_t i = 0; i < 1 + random() % 3; ++i) {
      lease.extents.push_back({BlockId(random_id(random)), {i * kms::kSlotSize, 2 * kms::kSlotSize}});
      lease.key_ids.push_back(random_id(random));
      lease.key_ids.push_back(random_id(random));
    }
    m_leases[lease.id] = lease;
    out.add(kms::AddLease{lease});
  } else if (choice == 1) {
    kms::LeaseRecord& lease = found->second;
    if (!lease.opener_instance) lease.opener_instance = kms::InstanceId(random_id(random));
    lease.closed_here = true;
    lease.closed_there = random() % 2 == 0;
    out.add(kms::SetLease{lease.id, lease.opener_instance, lease.closed_here, lease.closed_there});
  } else {
    out.add(kms::RemoveLease{found->first});
    m_leases.erase(found);
  }
}

void Model::trim(Random& random, kms::Transaction& out) {
  const kms::Trim change{random() % 8, random() % 8};
  std::set<std::pair<WallTime, BlockId>> lost;
  for (const auto& [id, block] : m_blocks)
    if (ended(block) && block.source.empty()) lost.emplace(block.arrived, id);
  for (; lost.size() > change.lost_blocks; lost.erase(lost.begin())) {
    m_forgotten.insert(lost.begin()->second);
    m_blocks.erase(lost.begin()->second);
  }
  for (; m_retired.size() > change.retired; m_retired.erase(m_retired.begin()))
    m_no_more.push_back(m_retired.front());
  out.add(change);
}

void Model::change_pool(Random& random, kms::Transaction& out) {
  const auto forget = [&](auto gone) {
    std::erase_if(m_blocks, [&](const auto& entry) {
      const bool hit = ended(entry.second) && gone(entry.second);
      if (hit) m_forgotten.insert(entry.first);
      return hit;
    });
  };
  switch (random() % 4) {
    case 0: {
      std::vector<kms::InstanceId> retired;
      if (m_peer) retired.push_back(*m_peer);
      m_retired.insert(m_retired.end(), retired.begin(), retired.end());
      m_peer = random() % 4 == 0 ? std::nullopt : std::optional(kms::InstanceId(random_id(random)));
      out.add(kms::SetPeerInstance{m_peer, std::move(retired)});
      break;
    }
    case 1: {
      const std::uint64_t mark = std::max(m_marks["a-b"], steps() / 2);
      m_marks["a-b"] = mark;
      forget([&](const kms::BlockRecord& block) {
        return block.source == "a-b" && block.sequence && *block.sequence < mark;
      });
      out.add(kms::SetSourceMark{"a-b", mark});
      break;
    }
    case 2: return trim(random, out);
    default: {
      const WallTime before(std::chrono::milliseconds(steps() / 2));
      const std::string source = random() % 2 == 0 ? "" : "c-d";
      forget([&](const kms::BlockRecord& block) {
        return !block.sequence && block.arrived < before && (source.empty() || block.source == source);
      });
      out.add(kms::ForgetBlocks{before, source});
    }
  }
}

kms::Transaction Model::next() {
  Random random(steps());
  kms::Transaction out(m_pool);
  const auto choice = random() % 16;
  if (choice < 4)
    add_block(random, out);
  else if (choice < 11)
    change_block(random, out);
  else if (choice < 14)
    change_leases(random, out);
  else
    change_pool(random, out);
  ++m_books.received;
  m_books.stock = m_books.received;
  out.add(m_books);
  return out;
}

void Model::expect_material(kms::Store& store, const kms::BlockRecord& block) const {
  const Bytes material = ended(block) ? Bytes() : material_of(block);
  for (std::uint32_t at = 0; at < block.length; at += kms::kChunkSize) {
    const kms::Range chunk{at, std::min(kms::kChunkSize, block.length - at)};
    const auto read = store.read(m_pool, block.id, chunk);
    if (ended(block) || block.spent.covers(chunk)) {
      ASSERT_FALSE(read.has_value()) << "material came back";
      EXPECT_EQ(read.error().code, Errc::not_found);
    } else {
      ASSERT_TRUE(read.has_value()) << read.error().text;
      EXPECT_TRUE(std::ranges::equal(read->view(), ByteView(material).subspan(at, chunk.length)));
    }
  }
}

void Model::expect_equal(kms::Store& store) const {
  auto loaded = store.load(m_pool);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  EXPECT_EQ(loaded->books, m_books);
  EXPECT_EQ(loaded->peer_instance, m_peer);
  std::vector<kms::BlockRecord> live;
  for (const auto& [id, block] : m_blocks) {
    if (!ended(block)) live.push_back(block);
    const auto found = store.find_block(m_pool, id);
    ASSERT_TRUE(found.has_value()) << found.error().text;
    EXPECT_TRUE(found->has_value() && **found == block);
    EXPECT_EQ(store.has_digest(m_pool, block.digest), true);
    expect_material(store, block);
  }
  sort_by_id(loaded->blocks);
  EXPECT_EQ(loaded->blocks, live);
  for (const BlockId& id : m_forgotten)
    EXPECT_FALSE(store.find_block(m_pool, id)->has_value());
  std::vector<kms::LeaseRecord> leases;
  leases.reserve(m_leases.size());
  for (const auto& [id, lease] : m_leases)
    leases.push_back(lease);
  sort_by_id(loaded->leases);
  EXPECT_EQ(loaded->leases, leases);
  for (const kms::InstanceId& instance : m_retired)
    EXPECT_EQ(store.is_retired(m_pool, instance), true);
  for (const kms::InstanceId& instance : m_no_more)
    EXPECT_EQ(store.is_retired(m_pool, instance), false);
  EXPECT_EQ(store.is_retired(m_pool, m_peer.value_or(kms::InstanceId())), false);
  std::map<std::string, std::uint64_t> marks;
  for (const kms::SourceMark& mark : loaded->marks)
    marks[mark.source] = mark.mark;
  EXPECT_EQ(marks, m_marks);
}

}  // namespace quipu::store
