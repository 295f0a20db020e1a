// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crypto/rng.h"

namespace quipu::sim {

// splitmix64: the whole world follows from one seed. Never outside of tests.
class SeededRng final : public crypto::Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : m_state(seed) {}

  void fill(MutableBytes out) override {
    for (std::uint8_t& octet : out)
      octet = static_cast<std::uint8_t>(next() >> 32);
  }

  std::uint64_t next() {
    std::uint64_t z = (m_state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // 0 to below - 1
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }

  bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }

 private:
  std::uint64_t m_state;
};

}  // namespace quipu::sim
