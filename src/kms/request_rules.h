// SPDX-License-Identifier: Apache-2.0
// What ETSI GS QKD 014 requests must fulfil before a pool is looked at, and the answers to those that do not.
#pragma once

#include <expected>
#include <vector>

#include "etsi/etsi014.h"
#include "kms/key_order.h"
#include "kms/kme.h"

namespace quipu::kms {

// 401: no body, by the standard.
etsi::ApiError unauthorised();
etsi::ApiError bad_request(std::string message, std::vector<etsi::ErrorDetail> details = {});
etsi::ApiError unavailable(std::string message);

// Number and size of the keys that a Key request asks for, or why it is refused.
std::expected<Demand, etsi::ApiError> demand_of(const etsi::KeyRequest& request, const Limits& limits);

// What an enc_keys call asks for. Its slaves: the one of the path, which `target` serves, then the additional ones,
// none twice; each is served by one of our peers.
std::expected<KeyOrder, etsi::ApiError> order_of(const SaeId& master, const etsi::EncKeysCall& call,
                                                 const PeerConfig& target, const KmeConfig& config);

// The ids of a dec_keys call. One that is no UUID is not ours, hence not found.
std::expected<std::vector<Uuid>, etsi::ApiError> key_ids_of(const etsi::DecKeysCall& call, const Limits& limits);

}  // namespace quipu::kms
