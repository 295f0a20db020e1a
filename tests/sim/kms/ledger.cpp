// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/ledger.h"

#include <gtest/gtest.h>

#include "kms/records.h"

namespace quipu::kms::sim {
namespace {

constexpr std::size_t kMark = 8;  // octets, also of what tells one slot from another

}  // namespace

KeyLedger::~KeyLedger() {
  for (const std::string& violation : m_violations)
    ADD_FAILURE() << violation;
}

void KeyLedger::expect(bool kept, const char* rule, const SaeId& sae, const KeyId& id) {
  if (!kept) m_violations.push_back(std::string(rule) + ": to " + sae.value() + ", key_ID " + id.value());
}

void KeyLedger::stamp(unsigned device, unsigned devices, MutableBytes block) {
  for (std::size_t at = 0; at + kSlotSize <= block.size(); at += kSlotSize) {
    ByteWriter marks(block.subspan(at + kMark, std::size_t{devices} * kMark));
    for (unsigned each = 0; each < devices; ++each)
      marks.u64(each == device ? ++m_last_mark : 0);
  }
}

void KeyLedger::record_parts(const SaeId& sae, const KeyId& id, ByteView slot) {
  if (m_devices < 2 || slot.size() < (m_devices + 1) * kMark) return;
  ByteReader marks(slot.subspan(kMark));
  for (unsigned device = 0; device < m_devices; ++device) {
    const std::uint64_t mark = marks.u64();
    expect(mark != 0, "a key without a part of each device", sae, id);
    expect(m_parts.emplace(mark, id).first->second == id, "a slot of a device went out in two keys", sae, id);
  }
}

void KeyLedger::handed_to_master(const SaeId& master, const KeyId& id, ByteView key) {
  ++m_masters;
  record(master, id, key);
}

void KeyLedger::handed_to_slave(const SaeId& slave, const KeyId& id, ByteView key) {
  ++m_slaves;
  record(slave, id, key);
}

void KeyLedger::record(const SaeId& sae, const KeyId& id, ByteView key) {
  Entry& entry = m_keys[id];
  if (entry.to.empty()) entry.key = Bytes(key.begin(), key.end());
  expect(entry.key == Bytes(key.begin(), key.end()), "two keys under one key_ID", sae, id);
  expect(entry.to.insert(sae).second, "handed out twice", sae, id);
  for (std::size_t at = 0; at < key.size(); at += kSlotSize) {
    record_parts(sae, id, key.subspan(at, std::min<std::size_t>(kSlotSize, key.size() - at)));
    const std::size_t size = std::min(kMark, key.size() - at);
    if (size < kMark) continue;  // too short to tell one slot from another
    const auto [slot, fresh] = m_slots.emplace(
        Bytes(key.begin() + static_cast<std::ptrdiff_t>(at), key.begin() + static_cast<std::ptrdiff_t>(at + size)), id);
    expect(slot->second == id, "one slot went out under two key_IDs", sae, id);
  }
}

}  // namespace quipu::kms::sim
