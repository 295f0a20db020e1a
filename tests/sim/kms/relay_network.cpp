// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/relay_network.h"

#include <algorithm>
#include <iterator>

namespace quipu::kms::sim {

std::vector<std::string> Network::take_violations() {
  std::vector<std::string> all = take_slot_violations();
  std::ranges::move(m_shares.take_violations(), std::back_inserter(all));
  std::ranges::move(m_world.ledger().take_violations(), std::back_inserter(all));
  std::ranges::move(m_world.take_violations(), std::back_inserter(all));
  return all;
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
