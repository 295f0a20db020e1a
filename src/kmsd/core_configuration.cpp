// SPDX-License-Identifier: Apache-2.0
#include "kmsd/core_configuration.h"

#include "kms/own_leases.h"

namespace quipu::kmsd {

static_assert(config::kKeyPartBit == 8 * kms::kSlotSize);
static_assert(config::kMaxRequestBit == config::kKeyPartBit * kms::kMaxLeaseSlots);

kms::KmeConfig core_configuration(const config::KmsdConfig& from) {
  kms::KmeConfig to{.id = from.kme.id, .saes = {}, .peers = {}, .sources = {}, .limits = {}};
  const std::uint64_t slots_per_key = kms::Demand{1, from.etsi014.key_size_bit}.slots_per_key();
  for (const auto& sae : from.saes) {
    to.saes.push_back(sae.id);
    to.terms.emplace(sae.id, kms::SaeTerms{sae.max_rate_bit_s, sae.uses_reserve, sae.max_unfetched_keys});
  }
  for (const auto& peer : from.peer_kmes)
    to.peers.push_back({.id = peer.id,
                        .saes = peer.saes,
                        .reserve_octets = peer.reserve_keys * slots_per_key * kms::kSlotSize,
                        .low_stock_octets = peer.low_stock_keys * slots_per_key * kms::kSlotSize,
                        .relay_target_octets = peer.relay_stock_bit / 8,
                        .relay_paths = peer.relay_paths,
                        .min_sources = peer.min_sources});
  for (const auto& link : from.links)
    to.sources.push_back({.name = link.name, .peer = link.peer_kme});
  to.limits.key_size_bits = from.etsi014.key_size_bit;
  to.limits.min_key_size_bits = from.etsi014.min_key_size_bit;
  to.limits.max_key_size_bits = from.etsi014.max_key_size_bit;
  to.limits.max_keys_per_request = from.etsi014.max_key_per_request;
  to.relay.trusted_node = from.relay.trusted_node;
  to.relay.entropy_source = !from.relay.entropy_source.empty();
  for (const auto& route : from.relay.routes)
    to.relay.routes.push_back({.to = route.to, .via = route.via});
  return to;
}

}  // namespace quipu::kmsd
