// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace quipu {

// A count that one thread keeps and any thread reads: no more than a plain one to whoever keeps it.
class Tally {
 public:
  Tally() = default;

  Tally(const Tally& other) : m_value(other) {}

  Tally& operator=(const Tally& other) {
    m_value.store(other, std::memory_order_relaxed);
    return *this;
  }

  Tally& operator+=(std::uint64_t more) {
    m_value.store(*this + more, std::memory_order_relaxed);
    return *this;
  }

  Tally& operator-=(std::uint64_t less) {
    m_value.store(*this - less, std::memory_order_relaxed);
    return *this;
  }

  Tally& operator++() { return *this += 1; }

  // NOLINTNEXTLINE(google-explicit-constructor): it is read wherever a count is
  operator std::uint64_t() const { return m_value.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> m_value = 0;
};

}  // namespace quipu
