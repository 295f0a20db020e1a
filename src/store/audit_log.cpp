// SPDX-License-Identifier: Apache-2.0
#include "store/audit_log.h"

#include <algorithm>

#include "crypto/hash.h"
#include "store/database.h"

namespace quipu::store {
namespace {

// Pages that are dropped in a part: some 50 ms where they are of 256 KiB.
constexpr std::int64_t kPart = 16;

Result<AuditHash> read_hash(const Query& query, int column) {
  const ByteView octets = query.blob(column);
  AuditHash out{};
  if (octets.size() != out.size()) return fail(Errc::storage, "a page of the audit log is damaged");
  std::ranges::copy(octets, out.begin());
  return out;
}

Result<AuditPage> read_page(const Query& query) {
  AuditPage page;
  page.number = static_cast<std::uint64_t>(query.integer(0));
  QUIPU_TRY_ASSIGN(page.previous, read_hash(query, 1));
  page.text = query.text(2);
  QUIPU_TRY_ASSIGN(page.hash, read_hash(query, 3));
  return page;
}

// Some pages further.
Result<void> look(Database& database, AuditDrop& pass) {
  QUIPU_TRY_ASSIGN(Query query,
                   database.query("SELECT number, written FROM audit WHERE number > ? ORDER BY number LIMIT ?"));
  query.bind(static_cast<std::int64_t>(pass.seen), kPart);
  for (std::int64_t n = 0; n < kPart && !pass.all; ++n) {
    QUIPU_TRY_ASSIGN(const bool row, query.step());
    pass.all = !row;
    if (!row) break;
    pass.seen = static_cast<std::uint64_t>(query.integer(0));
    const WallTime written{std::chrono::milliseconds(query.integer(1))};
    if (written > pass.now) continue;
    pass.before = std::min(pass.before, written + std::chrono::days(1));
    pass.all = written >= pass.before;
    if (!pass.all) pass.old = pass.seen;
  }
  return {};
}

}  // namespace

Result<AuditHead> AuditLog::head() {
  QUIPU_TRY_ASSIGN(Query query, m_database.query("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1"));
  QUIPU_TRY_ASSIGN(const bool row, query.step());
  AuditHead out;
  if (!row) return out;
  out.number = static_cast<std::uint64_t>(query.integer(0));
  QUIPU_TRY_ASSIGN(out.hash, read_hash(query, 1));
  return out;
}

Result<AuditHead> AuditLog::append(std::string_view text, WallTime written) {
  QUIPU_TRY_ASSIGN(const AuditHead last, head());
  const AuditHead next{last.number + 1, crypto::blake2b_256({last.hash, as_bytes(text)})};
  QUIPU_TRY_ASSIGN(Query query, m_database.query("INSERT INTO audit (number, written, previous, text, hash) VALUES (?, "
                                                 "?, ?, ?, ?)"));
  query.bind(static_cast<std::int64_t>(next.number), std::int64_t{written.time_since_epoch().count()},
             ByteView(last.hash), text, ByteView(next.hash));
  QUIPU_TRY(query.run());
  return next;
}

Result<std::vector<AuditPage>> AuditLog::read(std::uint64_t after, std::size_t octets) {
  QUIPU_TRY_ASSIGN(Query query,
                   m_database.query("SELECT number, previous, text, hash FROM audit WHERE number > ? ORDER "
                                    "BY number"));
  // What is beyond SQLite's integers is beyond the last page.
  query.bind(static_cast<std::int64_t>(std::min<std::uint64_t>(after, INT64_MAX)));
  std::vector<AuditPage> out;
  for (std::size_t size = 0; size < octets;) {
    QUIPU_TRY_ASSIGN(const bool row, query.step());
    if (!row) break;
    QUIPU_TRY_ASSIGN(AuditPage page, read_page(query));
    size += page.text.size();
    out.push_back(std::move(page));
  }
  return out;
}

Result<bool> AuditLog::drop(AuditDrop& pass) {
  if (!pass.all) QUIPU_TRY(look(m_database, pass));
  QUIPU_TRY_ASSIGN(Query query, m_database.query("DELETE FROM audit WHERE number < min(?, (SELECT min(number) FROM "
                                                 "audit) + ?, (SELECT max(number) FROM audit))"));
  query.bind(static_cast<std::int64_t>(pass.old + 1), kPart);
  QUIPU_TRY_ASSIGN(const std::int64_t dropped, query.run());
  return pass.all && dropped < kPart;
}

}  // namespace quipu::store
