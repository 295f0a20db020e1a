// SPDX-License-Identifier: Apache-2.0
// The audit log in the store: pages of text, each sealed to the one before by its hash, so that a page that was changed
// or taken out shows. Inside src/store only, but for the page itself.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace quipu::store {

class Database;

using AuditHash = std::array<std::uint8_t, 32>;

// hash = BLAKE2b-256(previous || text). Page 1 follows 32 zero octets.
struct AuditPage {
  std::uint64_t number = 0;  // from 1, without a gap
  AuditHash previous{};
  std::string text;
  AuditHash hash{};
};

// What a page is known by, to whoever noted it.
struct AuditHead {
  std::uint64_t number = 0;  // 0: there is no page
  AuditHash hash{};
};

class AuditLog {
 public:
  explicit AuditLog(Database& database) : m_database(database) {}

  Result<AuditHead> head();
  // Durable when it returns.
  Result<AuditHead> append(std::string_view text, WallTime written);
  // The pages behind page `after`, in order, until they hold `octets` of text; at least one if there is one.
  Result<std::vector<AuditPage>> read(std::uint64_t after, std::size_t octets);
  // Drops the oldest pages, up to the first that was written later, or a day after the oldest: by a clock that is wrong
  // nobody loses the log at once. Never the newest. The rest still holds together.
  Result<void> drop_before(WallTime written);

 private:
  Database& m_database;
};

}  // namespace quipu::store
