// SPDX-License-Identifier: Apache-2.0
// How many leases of the peer stay open for slaves that have not fetched their keys.
#include <algorithm>
#include <deque>

#include "kms/opened_leases.h"

namespace quipu::kms {
namespace {

constexpr std::size_t kMaxOpenLeases = 1024;
constexpr std::size_t kMaxOpenSlots = 65'536;  // 2 MiB of keys in locked memory

}  // namespace

bool OpenedLeases::has_room(std::size_t slots) const {
  for (const auto& [id, lease] : m_leases)
    slots += lease.key_ids.size();
  return m_leases.size() < kMaxOpenLeases && slots <= kMaxOpenSlots;
}

// Slaves that never fetch must not stop the pool. Staged only.
bool OpenedLeases::make_room(std::size_t slots) {
  while (!has_room(slots))
    if (!close_an_old_one()) return false;
  return true;
}

// Only of leases that get no more bindings. Whoever has most keys in them loses the oldest, until a lease has none
// left: so no master pushes out another's.
bool OpenedLeases::close_an_old_one() {
  std::vector<Lease*> old;
  for (auto& [id, lease] : m_leases)
    if (lease.holder_closed) old.push_back(&lease);
  std::ranges::sort(old, {}, &Lease::serial);
  std::map<SaeId, std::deque<std::pair<Lease*, std::uint16_t>>> unfetched;  // by master; nobody's are pads
  for (Lease* lease : old)
    for (const auto& [slot, bound] : lease->bound)
      unfetched[bound.master].emplace_back(lease, slot);
  auto finished = std::ranges::find_if(old, [](const Lease* lease) { return lease->bound.empty(); });
  while (finished == old.end() && !unfetched.empty()) {
    auto& [master, keys] =
        *std::ranges::max_element(unfetched, {}, [](const auto& each) { return each.second.size(); });
    const auto [lease, slot] = keys.front();
    keys.pop_front();
    retire(*lease, lease->bound.find(slot));
    if (!lease->bound.empty()) continue;
    m_site.report(LogLevel::warning, "unfetched_burnt", "Keys that their slaves did not fetch were burnt to make room.",
                  {{"peer", m_pool.peer().value()}, {"master", master.value()}});
    finished = std::ranges::find(old, lease);
  }
  if (finished == old.end()) return false;
  close(m_leases.find((*finished)->id));
  return true;
}

}  // namespace quipu::kms
