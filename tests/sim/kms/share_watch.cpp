// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/share_watch.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "kms/relay/hop_seal.h"
#include "kms/relay/shares.h"

namespace quipu::kms::sim {

ShareWatch::~ShareWatch() {
  for (const std::string& violation : m_violations)
    ADD_FAILURE() << violation;
}

void ShareWatch::sent(const std::string& from, const std::string& to, const SecretBytes& octets) {
  const auto message = wire::decode(octets.view());
  if (!message) return;
  if (const auto* lease = std::get_if<wire::Lease>(&*message))
    m_leases[lease->id] = lease->extents;
  else if (const auto* hop = std::get_if<wire::RelayHop>(&*message))
    note(from, to, *hop);
  else if (const auto* held = std::get_if<wire::VoidRequest>(&*message))
    for (const wire::OfferedBlock& block : held->blocks)
      compare(block);
}

Bytes ShareWatch::pad_of(const wire::RelayHop& hop) const {
  Bytes pad;
  for (const wire::PadPart& part : hop.pad) {
    Bytes lease;
    for (const Extent& extent : m_leases.at(part.lease)) {
      const auto begin = m_world.octets_of(extent.block).begin() + extent.range.offset;
      lease.insert(lease.end(), begin, begin + extent.range.length);
    }
    const auto begin = lease.begin() + std::ptrdiff_t{part.slot} * kSlotSize;
    pad.insert(pad.end(), begin, begin + std::ptrdiff_t{part.slots} * kSlotSize);
  }
  return pad;
}

void ShareWatch::note(const std::string& from, const std::string& to, const wire::RelayHop& hop) {
  const SecretBytes clear = open_hop(hop, pad_of(hop));
  const Bytes share(clear.view().begin(), clear.view().end());
  Shared& block = m_shared[hop.relay];
  block.count = hop.shares;
  if (block.shares.try_emplace(hop.share, share).first->second != share)
    m_violations.push_back("a share became another on its way");
  for (const std::string& node : {from, to}) {
    if (node == hop.source.value() || node == hop.destination.value()) continue;
    block.seen[node].insert(hop.share);
    if (block.seen[node].size() > 1) m_violations.push_back(node + " has seen two shares of a block");
  }
}

void ShareWatch::compare(const wire::OfferedBlock& held) {
  const auto found = m_shared.find(held.id);
  if (found == m_shared.end()) return;
  ++m_compared;
  Bytes sum(held.length);
  for (const auto& [number, share] : found->second.shares)
    xor_into(sum, share);
  if (found->second.shares.size() != found->second.count || crypto::blake2b_256({sum}) != held.digest)
    m_violations.push_back("a block was held that is not the exclusive or of all its shares");
}

}  // namespace quipu::kms::sim
