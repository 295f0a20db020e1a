// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/ledger.h"

#include <gtest/gtest.h>

#include "kms/records.h"

namespace quipu::kms::sim {

KeyLedger::~KeyLedger() {
  for (const std::string& violation : m_violations)
    ADD_FAILURE() << violation;
}

void KeyLedger::expect(bool kept, const char* rule, const SaeId& sae, const KeyId& id) {
  if (!kept) m_violations.push_back(std::string(rule) + ": to " + sae.value() + ", key_ID " + id.value());
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
    const std::size_t size = std::min<std::size_t>(8, key.size() - at);
    if (size < 8) continue;  // too short to tell one slot from another
    const auto [slot, fresh] = m_slots.emplace(
        Bytes(key.begin() + static_cast<std::ptrdiff_t>(at), key.begin() + static_cast<std::ptrdiff_t>(at + size)), id);
    expect(slot->second == id, "one slot went out under two key_IDs", sae, id);
  }
}

}  // namespace quipu::kms::sim
