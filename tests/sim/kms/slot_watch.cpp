// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/slot_watch.h"

#include <gtest/gtest.h>

namespace quipu::kms::sim {

SlotWatch::~SlotWatch() {
  for (const std::string& violation : m_violations)
    ADD_FAILURE() << violation;
}

void SlotWatch::sent(const std::string& from, const std::string& to, const SecretBytes& octets) {
  const auto type = static_cast<wire::MessageType>(octets.view()[0]);
  if (type != wire::MessageType::lease && type != wire::MessageType::relay_hop &&
      type != wire::MessageType::key_transfer && type != wire::MessageType::binding)
    return;
  const auto message = wire::decode(octets.view());
  ASSERT_TRUE(message) << message.error().text;
  const Pool pool(std::min(from, to), std::max(from, to));
  if (const auto* lease = std::get_if<wire::Lease>(&*message)) {
    m_leases[lease->id] = {lease->extents, lease->key_ids.size()};
  } else if (const auto* hop = std::get_if<wire::RelayHop>(&*message)) {
    ++m_hops;
    use(pool, hop->pad, "hop " + hop->relay.value().text() + " share " + std::to_string(hop->share));
  } else if (const auto* transfer = std::get_if<wire::KeyTransfer>(&*message)) {
    use(pool, transfer->pad, "transfer " + transfer->id.value().text());
  } else if (const auto* binding = std::get_if<wire::Binding>(&*message)) {
    use(pool, {{binding->lease, binding->slot, binding->slots}},
        "binding " + std::to_string(binding->number.value()) + " of lease " + binding->lease.value().text());
  }
}

void SlotWatch::use(const Pool& pool, const std::vector<wire::PadPart>& pad, const std::string& what) {
  for (const wire::PadPart& part : pad) {
    const Leased& leased = m_leases.at(part.lease);
    std::size_t at = 0;
    for (const Extent& extent : leased.extents)
      for (std::uint32_t offset = 0; offset < extent.range.length; offset += kSlotSize, ++at) {
        const std::size_t slot = at % leased.slots;
        if (slot < part.slot || slot >= std::size_t{part.slot} + part.slots) continue;
        const auto used = m_used.emplace(std::tuple(pool, extent.block, extent.range.offset + offset), what).first;
        if (used->second != what) m_violations.push_back("one slot was used for " + used->second + " and " + what);
      }
  }
}

}  // namespace quipu::kms::sim
