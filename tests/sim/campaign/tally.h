// SPDX-License-Identifier: Apache-2.0
// What happened in one life, or in all lives of a campaign: one in which too little happens proves nothing.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/kms/world.h"

namespace quipu::kms::sim {

struct Tally {
  // A request, and what became of it.
  struct Requests {
    std::size_t made = 0;
    std::size_t served = 0;

    void add(const Outcome& outcome) {
      ++made;
      if (outcome.ok()) ++served;
    }

    bool served_at_least(std::size_t percent) const { return 100 * served >= percent * made && served > 0; }

    Requests& operator+=(const Requests& other) {
      made += other.made;
      served += other.served;
      return *this;
    }
  };

  Requests keys;        // by masters whose KME was connected with the slaves'
  Requests multicasts;  // those of them for slaves at two other sites
  std::size_t masters = 0;
  std::size_t slaves = 0;  // keys that they got
  std::size_t crashes = 0;
  std::size_t restores = 0;
  std::size_t clones = 0;
  std::size_t damaged = 0;  // blocks that did not open when they were wanted

  Tally& operator+=(const Tally& other) {
    keys += other.keys;
    multicasts += other.multicasts;
    masters += other.masters;
    slaves += other.slaves;
    crashes += other.crashes;
    restores += other.restores;
    clones += other.clones;
    damaged += other.damaged;
    return *this;
  }
};

// QUIPU_SIM_SEEDS: how many seeds of each kind. QUIPU_SIM_SEED: one seed only, to look at a failure.
struct Seeds {
  std::uint64_t first = 1;
  std::uint64_t count = 0;
  bool one = false;  // and it is not asked whether enough happens

  explicit Seeds(std::uint64_t usual) : count(usual) {
    if (const char* many = std::getenv("QUIPU_SIM_SEEDS")) count = std::strtoull(many, nullptr, 10);
    if (const char* only = std::getenv("QUIPU_SIM_SEED")) {
      first = std::strtoull(only, nullptr, 10);
      count = 1;
      one = true;
    }
  }
};

}  // namespace quipu::kms::sim
