// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/bytes.h"

namespace quipu::crypto {

// Where every random octet comes from, so that a test can fix them all. Never fails: no randomness is fatal.
class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(MutableBytes out) = 0;
};

// The kernel's generator (libsodium's randombytes, getrandom).
class SystemRng final : public Rng {
 public:
  void fill(MutableBytes out) override;
};

}  // namespace quipu::crypto
