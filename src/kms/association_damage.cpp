// SPDX-License-Identifier: Apache-2.0
// Sealed material that does not open. It is found when a lease is to be made of it, at either end.
#include "kms/association.h"

namespace quipu::kms {

// Other blocks are taken in the place of what does not open. Open leases live on: their octets were opened when they
// were taken.
Result<void> Association::take_leases() {
  bool damaged = false;
  for (;;) {
    QUIPU_TRY(m_own.refill(waiting()));
    QUIPU_TRY_ASSIGN(const std::set<BlockId> burnt, m_pool.burn_damaged());
    if (burnt.empty()) break;
    damaged = true;
    for (const BlockId& id : burnt)
      m_site.alarm("block_damaged",
                   "sealed key material does not open: the store's file was damaged or changed; what was free of the "
                   "block is burnt at both ends, all else goes on; look after the disk, and after who may write to the "
                   "store",
                   {{"peer", m_config.id.value()}, {"block", id.value().text()}});
  }
  if (!damaged) return {};
  QUIPU_TRY(m_pool.commit());
  if (m_link.connected()) m_link.hang_up("damaged key material was burnt here: inventories are compared anew");
  m_delivery.retry();
  return {};
}

}  // namespace quipu::kms
