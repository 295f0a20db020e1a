// SPDX-License-Identifier: Apache-2.0
#include "net/fair_share.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace quipu::net {

std::optional<std::uint64_t> gives_way_to(std::string_view newcomer, std::span<const HeldConnection> held) {
  // What strangers hold is always more than what a caller may.
  std::map<std::string_view, std::size_t> shares{{newcomer, newcomer.empty() ? held.size() : 0}};
  for (const HeldConnection& one : held)
    ++shares.try_emplace(one.caller, one.caller.empty() ? held.size() : 0).first->second;
  const std::size_t own = shares.at(newcomer);
  const std::size_t most = std::ranges::max_element(shares, {}, [](const auto& each) { return each.second; })->second;
  std::optional<std::tuple<bool, bool, bool, TimePoint, std::uint64_t>> first;
  for (const HeldConnection& one : held) {
    const bool is_own = one.caller == newcomer;
    const bool of_most = own == most ? is_own : shares.at(one.caller) == most;
    if (one.busy ? !of_most || own + 1 >= most : !of_most && !is_own) continue;
    const std::tuple rank(!one.caller.empty(), one.busy, !of_most, one.since, one.id);
    first = first ? std::min(*first, rank) : rank;
  }
  return first ? std::optional(std::get<4>(*first)) : std::nullopt;
}

}  // namespace quipu::net
