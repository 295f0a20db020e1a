// SPDX-License-Identifier: Apache-2.0
// Sites "a" and "b", which run.
#pragma once

#include <gtest/gtest.h>

#include "sim/kms/world.h"

namespace quipu::kms::sim {

class TwoSites : public testing::Test {
 protected:
  explicit TwoSites(std::uint64_t seed, Limits limits = {}) : world(seed, 2, limits) {
    world.start(kA);
    world.start(kB);
  }

  void contact() {
    world.connect(kA, kB);
    world.settle();
  }

  void stock(int blocks = 4) {
    for (int i = 0; i < blocks; ++i)
      world.make_block(kA, kB, 4'096);
    world.settle();
  }

  int reported(const std::string& event) const {
    const auto found = world.reports().find(event);
    return found == world.reports().end() ? 0 : found->second;
  }

  World world;
};

}  // namespace quipu::kms::sim
