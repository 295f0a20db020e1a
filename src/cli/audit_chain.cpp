// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_chain.h"

#include <fmt/format.h>

#include <charconv>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace quipu::cli {
namespace {

constexpr std::size_t kHashSize = 32;

}  // namespace

std::optional<AuditMark> AuditMark::parse(std::string_view text) {
  AuditMark out;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.number);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || out.number == 0 || digits == text.size() || text[digits] != ':') return std::nullopt;
  const auto hash = from_hex(text.substr(digits + 1));
  if (!hash || hash->size() != kHashSize) return std::nullopt;
  out.hash = to_hex(*hash);
  return out;
}

Result<void> AuditChain::add(const control::AuditPage& page) {
  const auto previous = from_hex(page.previous);
  if (!previous || previous->size() != kHashSize)
    return fail(Errc::conflict, fmt::format("page {} of the audit log is damaged", page.number));
  if (m_last != 0 && (page.number != m_last + 1 || page.previous != m_hash))
    return fail(Errc::conflict,
                fmt::format("page {} of the audit log does not follow page {}: one of them was changed, or a page "
                            "between them was taken out",
                            page.number, m_last));
  if (page.number == 1 && *previous != Bytes(kHashSize))
    return fail(Errc::conflict, "page 1 of the audit log follows another one: it was changed");
  if (to_hex(crypto::blake2b_256({*previous, as_bytes(page.text)})) != page.hash)
    return fail(Errc::conflict, fmt::format("page {} of the audit log was changed", page.number));
  if (m_noted && page.number == m_noted->number && page.hash != m_noted->hash)
    return fail(
        Errc::conflict,
        fmt::format("page {} of the audit log is not the one that was noted: it or a page before it was changed",
                    page.number));
  if (m_first == 0) m_first = page.number;
  m_last = page.number;
  m_hash = page.hash;
  return {};
}

Result<void> AuditChain::end() const {
  if (!m_noted || (m_first != 0 && m_first <= m_noted->number && m_noted->number <= m_last)) return {};
  if (m_noted->number < m_first)
    return fail(Errc::out_of_range, fmt::format("page {} is older than the audit log goes back, which begins with page "
                                                "{}; give a page that was noted later",
                                                m_noted->number, m_first));
  return fail(Errc::conflict, fmt::format("page {} was noted and is not there: the audit log ends with page {}",
                                          m_noted->number, m_last));
}

}  // namespace quipu::cli
