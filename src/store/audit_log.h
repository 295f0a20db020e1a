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

// One pass over the oldest pages that drops those of before some time: in parts, since what is dropped is overwritten.
struct AuditDrop {
  WallTime now{};
  WallTime before{};
  std::uint64_t seen = 0;  // the last page that was looked at
  std::uint64_t old = 0;   // the last that goes
  bool all = false;        // there is no page to go behind it
};

class AuditLog {
 public:
  explicit AuditLog(Database& database) : m_database(database) {}

  Result<AuditHead> head();
  // Durable when it returns.
  Result<AuditHead> append(std::string_view text, WallTime written);
  // The pages behind page `after`, in order, until they hold `octets` of text; at least one if there is one.
  Result<std::vector<AuditPage>> read(std::uint64_t after, std::size_t octets);
  // Goes on with the pass, durably, by some pages; true when it is done. The oldest go, up to the first that was not
  // written before `before`, or a day after the oldest: by a clock that is wrong nobody loses the log at once. A page
  // of later than `now` is of a clock that was wrong, and as old as the next one that is not. The newest stays. What is
  // left holds together.
  Result<bool> drop(AuditDrop& pass);

 private:
  Database& m_database;
};

}  // namespace quipu::store
