// SPDX-License-Identifier: Apache-2.0
// Sees every key that any copy of any site hands out, and fails the test when a rule of single use is broken.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"

namespace quipu::kms::sim {

class KeyLedger {
 public:
  void handed_to_master(const SaeId& master, const KeyId& id, ByteView key);
  void handed_to_slave(const SaeId& slave, const KeyId& id, ByteView key);

  std::size_t masters() const { return m_masters; }

  std::size_t slaves() const { return m_slaves; }

 private:
  struct Entry {
    Bytes key;
    std::set<SaeId> to;
  };

  void record(const SaeId& sae, const KeyId& id, ByteView key);

  std::map<KeyId, Entry> m_keys;
  std::map<Bytes, KeyId> m_slots;  // first octets of each slot: under which key it went out
  std::size_t m_masters = 0;
  std::size_t m_slaves = 0;
};

}  // namespace quipu::kms::sim
