// SPDX-License-Identifier: Apache-2.0
// Why a tunnel is not as it should be, in the words of `quipu status`. docs/status.md says of each what to look at.
#pragma once

#include <cstdint>
#include <string_view>

namespace quipu::daemon {

// Some are followed by what is known in the case at hand.
enum class Reason : std::uint8_t {
  configured_differently,
  blocked,
  nothing_lacks_here,
  keys_kept,
  fewer_keys,
  no_keys_here,
  no_endpoint,
  nothing_sent_yet,
  nothing_sent_lately,
  unknown_keys_here,
  unknown_keys_there,
  no_kms_there,
  busy_there,
  answered_before,
  stamps_behind,
  silent,
  unanswered,
  no_answer_yet,
  no_answer,
  count_,
};

std::string_view to_string(Reason reason);

}  // namespace quipu::daemon
