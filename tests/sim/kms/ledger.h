// SPDX-License-Identifier: Apache-2.0
// Sees every key that any copy of any site hands out. Where keys are combined from several devices, each slot of theirs
// is marked where the slots of the others are zero, so that a key shows what it was made of. A rule of single use that
// is broken fails the test at the ledger's end, unless somebody took the violation.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace quipu::kms::sim {

class KeyLedger {
 public:
  KeyLedger() = default;
  KeyLedger(const KeyLedger&) = delete;
  KeyLedger& operator=(const KeyLedger&) = delete;
  ~KeyLedger();

  // From now on each slot of a key is the exclusive or of a slot of each of so many devices, as stamp() marks them.
  void expect_combined(unsigned devices) { m_devices = devices; }

  // Marks each slot of a device's block; at most three devices.
  void stamp(unsigned device, unsigned devices, MutableBytes block);

  void handed_to_master(const SaeId& master, const KeyId& id, ByteView key);
  void handed_to_slave(const SaeId& slave, const KeyId& id, ByteView key);

  const std::vector<std::string>& violations() const { return m_violations; }

  std::vector<std::string> take_violations() { return std::exchange(m_violations, {}); }

  std::size_t masters() const { return m_masters; }

  std::size_t slaves() const { return m_slaves; }

 private:
  struct Entry {
    Bytes key;
    std::set<SaeId> to;
  };

  void record_parts(const SaeId& sae, const KeyId& id, ByteView slot);
  void record(const SaeId& sae, const KeyId& id, ByteView key);
  void expect(bool kept, const char* rule, const SaeId& sae, const KeyId& id);

  std::map<KeyId, Entry> m_keys;
  std::map<Bytes, KeyId> m_slots;          // first octets of each slot: under which key it went out
  std::map<std::uint64_t, KeyId> m_parts;  // marks of slots that were combined: under which key they went out
  std::uint64_t m_last_mark = 0;
  unsigned m_devices = 1;
  std::vector<std::string> m_violations;
  std::size_t m_masters = 0;
  std::size_t m_slaves = 0;
};

}  // namespace quipu::kms::sim
