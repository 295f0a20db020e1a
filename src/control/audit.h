// SPDX-License-Identifier: Apache-2.0
// The audit log of the KMS as it is stored, and as `quipu keys audit` reads it: who was given which key_ID, and when.
// It never holds a key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu::control {

// One line of JSON. `event`: "enc_keys" (`sae` was given the keys as master, `named` are the slaves that may fetch
// them), "dec_keys" (`sae` was given them as slave, `named` is the master), "started" and "stopped" (a run of the KMS,
// named by `text`), or another event of the KMS, which `text` explains.
struct AuditEntry {
  std::string time{};  // UTC, to the millisecond: of the first of these keys, where a line stands for several requests
  std::string event{};
  std::string sae{};
  std::vector<std::string> named{};
  std::string kme{};  // the other KME of the pool
  std::vector<std::string> key_ids{};
  std::string text{};

  bool operator==(const AuditEntry&) const = default;
};

std::string to_json(const AuditEntry& entry);
Result<AuditEntry> audit_entry_from_json(std::string_view line);

// Lines that were made durable together, and their place in the chain:
// hash = BLAKE2b-256(previous || text), `previous` the hash of the page before (32 zero octets for page 1).
struct AuditPage {
  std::uint64_t number = 0;  // from 1, without a gap
  std::string previous{};    // 32 octets in hexadecimal
  std::string text{};        // entries, each ended by a line feed
  std::string hash{};        // likewise

  bool operator==(const AuditPage&) const = default;
};

// A part of the log, in ascending order; empty behind the last page.
struct AuditPages {
  std::vector<AuditPage> pages{};

  bool operator==(const AuditPages&) const = default;
};

std::string to_json(const AuditPages& pages);
Result<AuditPages> audit_pages_from_json(std::string_view json);

}  // namespace quipu::control
