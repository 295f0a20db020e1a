// SPDX-License-Identifier: Apache-2.0
#include "kms/records.h"

#include "kms/status.h"

namespace quipu::kms {

std::string_view to_string(BlockState state) {
  switch (state) {
    case BlockState::unknown: return "unknown";
    case BlockState::held: return "held";
    case BlockState::usable: return "usable";
    case BlockState::used: return "used";
    case BlockState::voided: return "voided";
  }
  return "invalid";
}

std::string_view to_string(LinkState state) {
  switch (state) {
    case LinkState::down: return "down";
    case LinkState::contacting: return "contacting";
    case LinkState::up: return "up";
    case LinkState::refused: return "refused";
  }
  return "invalid";
}

}  // namespace quipu::kms
