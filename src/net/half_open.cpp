// SPDX-License-Identifier: Apache-2.0
#include "net/half_open.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/assert.h"

namespace quipu::net {

Room room_for(const IpAddress& newcomer, bool is_known, std::span<const HalfOpenConnection> held, std::size_t limit) {
  const IpAddress sender = sender_of(newcomer);
  std::map<IpAddress, std::size_t> of_sender;
  for (const HalfOpenConnection& one : held)
    ++of_sender[sender_of(one.from)];
  const bool own = of_sender[sender] >= std::max<std::size_t>(limit / 4, 1);
  if (!own && held.size() < limit) return {};
  std::optional<std::tuple<bool, std::size_t, bool, std::uint64_t>> worst;  // the smaller, the worse
  for (const HalfOpenConnection& one : held) {
    const IpAddress from = sender_of(one.from);
    if (own && from != sender) continue;
    const std::tuple rank(one.is_known, held.size() - of_sender[from], one.said_hello, one.id);
    worst = worst ? std::min(*worst, rank) : rank;
  }
  QUIPU_ASSERT(worst.has_value());
  if (std::get<0>(*worst) && !is_known) return {.is_there = false, .gives_way = std::nullopt};
  return {.is_there = true, .gives_way = std::get<3>(*worst)};
}

}  // namespace quipu::net
