// SPDX-License-Identifier: Apache-2.0
// What becomes of the blocks of a pool's sources before they are offered to the peer. This combiner is `any`: blocks
// are used as they come, whichever source they are from. One that needs a block from each source would keep them here.
#pragma once

#include <optional>

#include "kms/kme.h"

namespace quipu::kms {

class AnyCombiner {
 public:
  // The block cut to whole slots, which both ends do alike; empty when not one slot is left.
  static std::optional<SourceBlock> combine(SourceBlock block) {
    const std::size_t size = block.key.size() / kSlotSize * kSlotSize;
    if (size == 0) return std::nullopt;
    if (size != block.key.size()) block.key = SecretBytes::copy_of(block.key.view().first(size));
    return block;
  }
};

}  // namespace quipu::kms
