// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>
#include <random>

#include "crypto/rng.h"

namespace quipu::kms::sim {

class SeededRng final : public crypto::Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : m_engine(seed) {}

  void fill(MutableBytes out) override {
    for (std::size_t at = 0; at < out.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = m_engine();
      std::memcpy(out.data() + at, &word, std::min(sizeof word, out.size() - at));
    }
  }

  // 0 to below - 1.
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(m_engine() % limit); }

  bool chance(std::uint32_t percent) { return below(100) < percent; }

 private:
  std::mt19937_64 m_engine;
};

}  // namespace quipu::kms::sim
