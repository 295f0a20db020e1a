// SPDX-License-Identifier: Apache-2.0
// How many leases of the peer stay open for slaves that have not fetched their keys.
#include <algorithm>

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

std::vector<OpenedLeases::Lease*> OpenedLeases::closed_leases() {
  std::vector<Lease*> out;
  for (auto& [id, lease] : m_leases)
    if (lease.holder_closed) out.push_back(&lease);
  std::ranges::sort(out, {}, &Lease::serial);
  return out;
}

// Slaves that never fetch must not stop the pool. Staged only. Leases that get no more bindings are closed. Whoever has
// most keys in them loses those of the oldest, until a lease has none left: so no master pushes out another's. It is
// done for each lease that such a peer asks for, so what is looked at are leases, not keys.
bool OpenedLeases::make_room(std::size_t slots) {
  if (has_room(slots)) return true;
  std::vector<Lease*> old = closed_leases();
  std::map<SaeId, std::size_t> unfetched;
  for (const Lease* lease : old)
    for (const auto& [master, keys] : lease->unfetched)
      unfetched[master] += keys;
  std::set<SaeId> losers;
  while (!old.empty() && !has_room(slots)) {
    auto finished = std::ranges::find_if(old, [](const Lease* lease) { return lease->bound.empty(); });
    if (finished == old.end()) {
      const auto most = std::ranges::max_element(unfetched, {}, [](const auto& each) { return each.second; });
      finished = std::ranges::find_if(old, [&](const Lease* lease) { return lease->unfetched.contains(most->first); });
      losers.insert(most->first);
      most->second -= retire_all(**finished, most->first);
      if (most->second == 0) unfetched.erase(most);
    }
    if (!(*finished)->bound.empty()) continue;
    close(m_leases.find((*finished)->id));
    old.erase(finished);
  }
  losers.erase(SaeId());  // a pad's
  for (const SaeId& master : losers)
    m_site.report(LogLevel::warning, "unfetched_burnt", "keys that their slaves did not fetch were burnt to make room",
                  {{"peer", m_pool.peer().value()}, {"master", master.value()}});
  return has_room(slots);
}

// How many there were.
std::size_t OpenedLeases::retire_all(Lease& lease, const SaeId& master) {
  const std::size_t before = lease.bound.size();
  for (auto it = lease.bound.begin(); it != lease.bound.end();)
    if (const auto bound = it++; bound->second.master == master) retire(lease, bound);
  return before - lease.bound.size();
}

}  // namespace quipu::kms
