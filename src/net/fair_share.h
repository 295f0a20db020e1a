// SPDX-License-Identifier: Apache-2.0
// Which of the connections that stand gives way to a newcomer where there is room for no more of them: whoever holds
// many keeps nobody else out.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/time.h"

namespace quipu::net {

struct HeldConnection {
  std::uint64_t id = 0;
  std::string_view caller;  // empty: a stranger
  bool busy = false;        // with a request, of which some octets have come at least
  TimePoint since{};        // its last answer was sent, or it came
};

// The one whose place it takes: a stranger's before all others; then one that waits for a request, longest, of the
// caller that holds most, or else of the newcomer's own; then a busy one of the caller that holds most, where the
// newcomer's will still hold fewer. Empty: the newcomer has to go.
std::optional<std::uint64_t> gives_way_to(std::string_view newcomer, std::span<const HeldConnection> held);

}  // namespace quipu::net
