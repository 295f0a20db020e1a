// SPDX-License-Identifier: Apache-2.0
// The KME's side of ETSI GS QKD 014: an HTTP request becomes a typed call, a typed answer a JSON body.
#pragma once

#include <expected>
#include <string_view>
#include <variant>

#include "etsi/etsi014.h"

namespace quipu::etsi {

// The three methods (clause 5). The caller's own SAE id comes from its certificate, not from the request.
struct StatusCall {
  SaeId slave;

  bool operator==(const StatusCall&) const = default;
};

struct EncKeysCall {
  SaeId slave;
  KeyRequest request;

  bool operator==(const EncKeysCall&) const = default;
};

struct DecKeysCall {
  SaeId master;
  KeyIds key_ids;  // 1 to kMaxIdsPerRequest, no id twice

  bool operator==(const DecKeysCall&) const = default;
};

using Call = std::variant<StatusCall, EncKeysCall, DecKeysCall>;

// `target` as it stands in the request line: path, optional query. `method` "GET" or "POST". The error holds the answer
// to write: 404 for a path that is not ours, 405 for another method, else 400 with a text that names the member.
std::expected<Call, ApiError> parse_call(std::string_view method, std::string_view target, ByteView body);

// UTF-8 JSON. Keys go from locked memory to locked memory.
SecretBytes write_status(const Status& status);
SecretBytes write_container(const KeyContainer& container);
// Empty for 401.
SecretBytes write_error(const ApiError& error);

}  // namespace quipu::etsi
