// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/relay_network.h"

#include <algorithm>

namespace quipu::kms::sim {

void Network::watch(std::size_t from, std::size_t to, const SecretBytes& octets) {
  const auto message = wire::decode(octets.view());
  if (!message) return;
  if (const auto* lease = std::get_if<wire::Lease>(&*message)) {
    m_leases[lease->id] = lease->extents;
  } else if (const auto* hop = std::get_if<wire::RelayHop>(&*message)) {
    ++m_hops;
    for (const wire::PadPart& part : hop->pad)
      use(from, to, part.lease, part.slot, part.slots, "hop " + hop->relay.value().text());
  } else if (const auto* binding = std::get_if<wire::Binding>(&*message)) {
    use(from, to, binding->lease, binding->slot, binding->slots,
        "binding " + std::to_string(binding->number.value()) + " of lease " + binding->lease.value().text());
  }
}

void Network::use(std::size_t from, std::size_t to, const LeaseId& lease, std::size_t slot, std::size_t slots,
                  const std::string& what) {
  std::size_t at = 0;
  for (const Extent& extent : m_leases.at(lease))
    for (std::uint32_t offset = 0; offset < extent.range.length; offset += kSlotSize, ++at) {
      if (at < slot || at >= slot + slots) continue;
      const std::tuple place(std::min(from, to), std::max(from, to), extent.block, extent.range.offset + offset);
      const auto [used, fresh] = m_used.emplace(place, what);
      if (used->second != what) m_violations.push_back("one slot was used for " + used->second + " and " + what);
    }
}

void Network::restore_source_after_lost_leases() {
  constexpr std::size_t kSource = 0;
  constexpr std::size_t kDestination = 2;
  begin();
  const MemoryStore::Disk copy = m_world.node(kSource).store.disk();
  m_world.hold_messages(true);
  // Until both pools' acknowledged leases are used up, and blocks are wanted.
  for (int i = 0; i < 300; ++i) {
    m_world.enc_keys(kSource, World::sae(kSource), World::sae(kDestination));
    m_world.enc_keys(kSource, World::sae(kSource), World::sae(kSource + 1));
  }
  m_world.advance(milliseconds(200));
  m_world.kill(kSource);
  m_world.node(kSource).store.restore(copy);
  m_world.hold_messages(false);
  m_world.start(kSource);
  connect_all();
  m_world.advance(seconds(10));
  take_keys(kSource, kDestination);
  m_world.advance(seconds(10));
}

}  // namespace quipu::kms::sim
