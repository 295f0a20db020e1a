// SPDX-License-Identifier: Apache-2.0
// What is told of the pool and the KM link with one peer.
#include <algorithm>

#include "kms/association.h"

namespace quipu::kms {

etsi::Status Association::status_reply(const SaeId& master, const SaeId& slave) const {
  const Limits& limits = m_site.config.limits;
  const std::uint64_t per_key = std::uint64_t{Demand{1, limits.key_size_bits}.slots_per_key()} * kSlotSize;
  etsi::Status status;
  status.source_kme_id = m_site.config.id;
  status.target_kme_id = m_config.id;
  status.master_sae_id = master;
  status.slave_sae_id = slave;
  status.key_size = limits.key_size_bits;
  status.stored_key_count = m_delivery.obtainable_keys(master, limits.key_size_bits);
  // Leases are beside what a pool may hold.
  status.max_key_count =
      std::max(m_pool.capacity(limits.pool_octets) / m_pool.min_sources() / per_key, status.stored_key_count);
  status.max_key_per_request = limits.max_keys_per_request;
  status.max_key_size = limits.max_key_size_bits;
  status.min_key_size = limits.min_key_size_bits;
  status.max_sae_id_count = limits.max_additional_slaves;
  status.simulated = m_pool.simulated();
  return status;
}

LinkState Association::link_state() const {
  if (m_availability.refused() || m_contact.peer_is_cloned()) return LinkState::refused;
  if (!m_link.connected()) return LinkState::down;
  return m_link.up() ? LinkState::up : LinkState::contacting;
}

// Connections that are made after copies were seen end at once, for reasons that tell nothing of it.
std::string Association::link_reason() const {
  if (m_availability.refused())
    return "two copies of this KME are running, and both are refused: stop one of them for good, then restart the "
           "other";
  if (m_contact.peer_is_cloned())
    return "two copies of the peer KME are running, and both are refused: stop one of them for good, then restart the "
           "other";
  return m_link.reason_down();
}

PoolStatus Association::status(WallTime wall, TimePoint now) const {
  const std::uint32_t size_bits = m_site.config.limits.key_size_bits;
  PoolStatus status;
  status.peer = m_config.id;
  status.link = link_state();
  status.link_reason = link_reason();
  status.contacted = m_availability.contacted();
  status.serving = m_availability.serving(now);
  status.books = m_pool.books();
  status.min_sources = m_pool.min_sources();
  for (const auto& [source, stock] : m_pool.stocks())
    status.parts.push_back({source, stock.free});
  status.stock_octets = m_pool.key_octets();
  status.stock_keys = m_pool.keys(Demand{1, size_bits}.slots_per_key());
  status.leased_octets = m_pool.books().leased / m_pool.min_sources();
  status.leased_keys = m_own.ready_keys(size_bits);
  status.delivered_keys = m_delivery.delivered_keys();
  status.delivered_octets = m_delivery.delivered_octets();
  status.burnt_octets = m_pool.books().burnt - m_before_run.burnt;
  status.simulated = m_pool.simulated();
  status.refused_blocks = m_accept.refused_blocks();
  status.refused_requests = m_link.refused_requests();
  status.violations = m_link.violations();
  std::optional<WallTime> oldest;
  for (const auto& [id, block] : m_pool.blocks()) {
    if (block.record.state == BlockState::usable && (!oldest || block.record.arrived < *oldest))
      oldest = block.record.arrived;
  }
  if (oldest && *oldest <= wall) status.oldest_age_s = std::chrono::duration<double>(wall - *oldest).count();
  status.production_bit_s = m_production.bit_s(now);
  status.consumption_bit_s = m_consumption.bit_s(now);
  if (const double loss = status.consumption_bit_s - status.production_bit_s; loss > 0 && m_consumption.settled(now))
    status.runway_s = 8 * static_cast<double>(status.stock_octets) / loss;
  return status;
}

}  // namespace quipu::kms
