// SPDX-License-Identifier: Apache-2.0
#include "etsi/contradictions.h"

namespace quipu::etsi {
namespace {

bool all_zero(const Status& status) {
  return status.key_size == 0 && status.stored_key_count == 0 && status.max_key_count == 0 &&
         status.max_key_per_request == 0 && status.max_key_size == 0 && status.min_key_size == 0;
}

std::string both(std::string_view name, std::uint64_t value, std::string_view relation, std::string_view other,
                 std::uint64_t other_value) {
  return std::string(name) + " " + std::to_string(value) + " is " + std::string(relation) + " " + std::string(other) +
         " " + std::to_string(other_value);
}

}  // namespace

std::vector<std::string> contradictions_in(const Status& status, const SaeId& asked_slave) {
  std::vector<std::string> out;
  if (!status.slave_sae_id.value().empty() && status.slave_sae_id != asked_slave)
    out.push_back("slave_SAE_ID is \"" + status.slave_sae_id.value() + "\", not the SAE that was asked about");
  if (all_zero(status)) {
    out.emplace_back("every number is 0 or left out: it says nothing about stock and limits");
    return out;
  }
  if (status.max_key_count < status.stored_key_count)
    out.push_back(both("max_key_count", status.max_key_count, "below", "stored_key_count", status.stored_key_count));
  if (status.key_size < status.min_key_size)
    out.push_back(both("key_size", status.key_size, "below", "min_key_size", status.min_key_size));
  if (status.max_key_size < status.key_size)
    out.push_back(both("max_key_size", status.max_key_size, "below", "key_size", status.key_size));
  if (status.max_key_per_request == 0) out.emplace_back("max_key_per_request is 0");
  return out;
}

}  // namespace quipu::etsi
