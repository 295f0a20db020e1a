// SPDX-License-Identifier: Apache-2.0
// Whether the pages of an audit log hold together: each names the hash of the one before and has the hash that its text
// gives. Computed here, not taken from the daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control/audit.h"

namespace quipu::cli {

// A page as somebody noted it (log event `audit_head`): NUMBER:HASH.
struct AuditMark {
  std::uint64_t number = 0;
  std::string hash;

  static std::optional<AuditMark> parse(std::string_view text);
};

class AuditChain {
 public:
  // `noted`: a page that has to be there, with that hash.
  explicit AuditChain(std::optional<AuditMark> noted = {}) : m_noted(std::move(noted)) {}

  // The next page. Errc::conflict: it was changed, or one before it is missing.
  Result<void> add(const control::AuditPage& page);
  // Behind the last page. Errc::conflict: pages that were there are missing.
  Result<void> end() const;

  // The oldest page that is there (older ones were dropped by their age) and the newest; 0: there is none.
  std::uint64_t first() const { return m_first; }

  std::uint64_t last() const { return m_last; }

  const std::string& hash() const { return m_hash; }

 private:
  std::optional<AuditMark> m_noted;
  std::uint64_t m_first = 0;
  std::uint64_t m_last = 0;
  std::string m_hash;  // of the last
};

}  // namespace quipu::cli
