// SPDX-License-Identifier: Apache-2.0
// Random sources for tests whose octets are known beforehand.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "crypto/hash.h"
#include "crypto/rng.h"

namespace quipu::test {

// Block i of the stream is SHA-512(name || i as u32).
class SeededRng final : public crypto::Rng {
 public:
  explicit SeededRng(std::string name) : m_name(std::move(name)) {}

  void fill(MutableBytes out) override {
    for (std::uint8_t& octet : out) {
      if (m_used == m_block.size()) refill();
      octet = m_block[m_used++];
    }
  }

 private:
  void refill() {
    std::array<std::uint8_t, 4> index{};
    ByteWriter(index).u32(m_next++);
    m_block = crypto::sha512({as_bytes(m_name), index});
    m_used = 0;
  }

  std::string m_name;
  std::uint32_t m_next = 0;
  crypto::Hash m_block{};
  std::size_t m_used = crypto::kHashSize;
};

// Hands out the given octets once; asking for more ends the program.
class ScriptedRng final : public crypto::Rng {
 public:
  explicit ScriptedRng(Bytes octets) : m_octets(std::move(octets)) {}

  void fill(MutableBytes out) override {
    if (out.size() > m_octets.size() - m_used) std::abort();
    std::copy_n(m_octets.begin() + static_cast<std::ptrdiff_t>(m_used), out.size(), out.begin());
    m_used += out.size();
  }

 private:
  Bytes m_octets;
  std::size_t m_used = 0;
};

}  // namespace quipu::test
