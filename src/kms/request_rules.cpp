// SPDX-License-Identifier: Apache-2.0
#include "kms/request_rules.h"

#include <algorithm>
#include <set>

namespace quipu::kms {
namespace {

bool serves(const PeerConfig& peer, const SaeId& sae) {
  return std::ranges::find(peer.saes, sae) != peer.saes.end();
}

}  // namespace

etsi::ApiError unauthorised() {
  return {401, {}, {}};
}

etsi::ApiError bad_request(std::string message, std::vector<etsi::ErrorDetail> details) {
  return {400, std::move(message), std::move(details)};
}

etsi::ApiError unavailable(std::string message) {
  return {503, std::move(message), {}};
}

std::expected<Demand, etsi::ApiError> demand_of(const etsi::KeyRequest& request, const Limits& limits) {
  if (!request.extension_mandatory.empty())
    return std::unexpected(bad_request(std::string(etsi::kMandatoryNotSupported)));
  const Demand demand{request.number.value_or(1), request.size_bits.value_or(limits.key_size_bits)};
  if (demand.size_bits % 8 != 0) return std::unexpected(bad_request(std::string(etsi::kSizeNotMultipleOf8)));
  if (demand.size_bits < limits.min_key_size_bits || demand.size_bits > limits.max_key_size_bits)
    return std::unexpected(bad_request("size shall be from min_key_size to max_key_size",
                                       {{"min_key_size", std::to_string(limits.min_key_size_bits)},
                                        {"max_key_size", std::to_string(limits.max_key_size_bits)}}));
  if (demand.number == 0 || demand.number > limits.max_keys_per_request)
    return std::unexpected(bad_request("number shall be from 1 to max_key_per_request",
                                       {{"max_key_per_request", std::to_string(limits.max_keys_per_request)}}));
  if (std::uint64_t{demand.number} * demand.slots_per_key() > kMaxLeaseSlots)
    return std::unexpected(bad_request("number times size is more than one request may ask for",
                                       {{"max_bits", std::to_string(8 * kSlotSize * kMaxLeaseSlots)}}));
  return demand;
}

std::expected<KeyOrder, etsi::ApiError> order_of(const SaeId& master, const etsi::EncKeysCall& call,
                                                 const PeerConfig& target, const KmeConfig& config) {
  const std::vector<SaeId>& additional = call.request.additional_slave_sae_ids;
  const auto demand = demand_of(call.request, config.limits);
  if (!demand) return std::unexpected(demand.error());
  if (additional.size() > config.limits.max_additional_slaves)
    return std::unexpected(bad_request("more additional_slave_SAE_IDs than max_SAE_ID_count",
                                       {{"max_SAE_ID_count", std::to_string(config.limits.max_additional_slaves)}}));
  KeyOrder order{master, {call.slave}, {}, *demand};
  for (const SaeId& slave : additional) {
    const auto at = std::ranges::find_if(config.peers, [&](const PeerConfig& peer) { return serves(peer, slave); });
    if (at == config.peers.end())
      return std::unexpected(bad_request("an additional slave SAE is not served by another KME that this one knows",
                                         {{"additional_slave_SAE_ID", slave.value()}}));
    std::vector<SaeId>& slaves = at->id == target.id ? order.slaves : order.further[at->id];
    if (std::ranges::find(slaves, slave) == slaves.end()) slaves.push_back(slave);
  }
  return order;
}

std::expected<std::vector<Uuid>, etsi::ApiError> key_ids_of(const etsi::DecKeysCall& call, const Limits& limits) {
  if (call.key_ids.ids.empty()) return std::unexpected(bad_request("key_IDs is empty"));
  if (call.key_ids.ids.size() > limits.max_keys_per_request)
    return std::unexpected(bad_request("more key_IDs than max_key_per_request",
                                       {{"max_key_per_request", std::to_string(limits.max_keys_per_request)}}));
  std::vector<Uuid> ids;
  for (const KeyId& id : call.key_ids.ids) {
    const auto uuid = Uuid::parse(id.value());
    if (!uuid) return std::unexpected(bad_request(std::string(etsi::kKeysNotFound)));
    ids.push_back(*uuid);
  }
  if (std::set<Uuid>(ids.begin(), ids.end()).size() != ids.size())
    return std::unexpected(bad_request("key_IDs holds an id twice"));
  return ids;
}

}  // namespace quipu::kms
