// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/shares.h"

#include <algorithm>

namespace quipu::kms {

void xor_into(MutableBytes out, ByteView in) {
  QUIPU_ASSERT(out.size() == in.size());
  for (std::size_t i = 0; i < in.size(); ++i)
    out[i] ^= in[i];
}

bool Shares::fits(const wire::RelayHop& hop) const {
  const auto others = m_incomplete.find(hop.relay);
  return others == m_incomplete.end() ||
         (others->second.source == hop.source && others->second.shares == hop.shares &&
          !others->second.came.contains(hop.share) && others->second.sum.size() == hop.ciphertext.size());
}

std::optional<SourceBlock> Shares::add(const wire::RelayHop& hop, SecretBytes share) {
  const auto [entry, fresh] = m_incomplete.try_emplace(hop.relay);
  Incomplete& block = entry->second;
  if (fresh) block = {hop.source, SecretBytes(share.size()), hop.shares, {}, false, m_site.now + kCarryTime};
  xor_into(block.sum.mutable_view(), share.view());
  block.simulated = block.simulated || hop.simulated;
  block.came.insert(hop.share);
  if (block.came.size() < block.shares) return std::nullopt;
  SourceBlock whole{std::string(kRelaySource), hop.relay, std::move(block.sum), block.simulated, {}};
  m_incomplete.erase(entry);
  return whole;
}

std::size_t Shares::count(const KmeId& source) const {
  return static_cast<std::size_t>(
      std::ranges::count(m_incomplete, source, [](const auto& each) { return each.second.source; }));
}

void Shares::handle_timeout() {
  std::erase_if(m_incomplete, [&](const auto& each) {
    if (m_site.now < each.second.due) return false;
    m_site.report(LogLevel::warning, "relay_incomplete",
                  "not all shares of a relayed block came; those that did were erased",
                  {{"peer", each.second.source.value()},
                   {"block", each.first.value().text()},
                   {"missing", std::to_string(each.second.shares - each.second.came.size())}});
    return true;
  });
}

std::optional<TimePoint> Shares::next_deadline() const {
  std::optional<TimePoint> next;
  for (const auto& [id, block] : m_incomplete)
    next = next ? std::min(*next, block.due) : block.due;
  return next;
}

}  // namespace quipu::kms
