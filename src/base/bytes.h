// SPDX-License-Identifier: Apache-2.0
// Views of octets, and the only two classes that turn octets into fields and back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/assert.h"

namespace quipu {

using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;
// For public octets only: keys live in Secret<N> and SecretBytes (base/secret.h).
using Bytes = std::vector<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Reads big-endian fields from a caller's buffer. A read past the end yields zeros and makes ok() false for good, so a
// parser reads all its fields and asks once. Never allocates, never throws.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : m_rest(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(unsigned_field<1>()); }

  std::uint16_t u16() { return static_cast<std::uint16_t>(unsigned_field<2>()); }

  std::uint32_t u32() { return static_cast<std::uint32_t>(unsigned_field<4>()); }

  std::uint64_t u64() { return unsigned_field<8>(); }

  // The next n octets as a view into the input; empty when there are fewer.
  ByteView take(std::size_t n) {
    if (n > m_rest.size()) {
      m_ok = false;
      m_rest = {};
      return {};
    }
    const ByteView out = m_rest.first(n);
    m_rest = m_rest.subspan(n);
    return out;
  }

  template <std::size_t N>
  std::array<std::uint8_t, N> array() {
    std::array<std::uint8_t, N> out{};
    if (const ByteView in = take(N); in.size() == N) std::memcpy(out.data(), in.data(), N);
    return out;
  }

  // A field preceded by its length.
  ByteView prefixed8() { return take(u8()); }

  ByteView prefixed16() { return take(u16()); }

  ByteView prefixed32() { return take(u32()); }

  std::size_t remaining() const { return m_rest.size(); }

  ByteView rest() const { return m_rest; }

  bool ok() const { return m_ok; }

  // True when every read succeeded and nothing is left over.
  bool finished() const { return m_ok && m_rest.empty(); }

 private:
  template <std::size_t N>
  std::uint64_t unsigned_field() {
    std::uint64_t value = 0;
    for (const std::uint8_t octet : take(N))
      value = (value << 8) | octet;
    return value;
  }

  ByteView m_rest;
  bool m_ok = true;
};

// Writes big-endian fields into a caller's buffer. A write past the end writes nothing and makes ok() false for good.
class ByteWriter {
 public:
  explicit ByteWriter(MutableBytes out) : m_out(out) {}

  ByteWriter& u8(std::uint8_t v) { return unsigned_field<1>(v); }

  ByteWriter& u16(std::uint16_t v) { return unsigned_field<2>(v); }

  ByteWriter& u32(std::uint32_t v) { return unsigned_field<4>(v); }

  ByteWriter& u64(std::uint64_t v) { return unsigned_field<8>(v); }

  ByteWriter& bytes(ByteView in) {
    if (const MutableBytes to = reserve(in.size()); !in.empty() && to.size() == in.size())
      std::memcpy(to.data(), in.data(), in.size());
    return *this;
  }

  ByteWriter& zeros(std::size_t n) {
    for (std::uint8_t& octet : reserve(n))
      octet = 0;
    return *this;
  }

  // A field preceded by its length; one that is too long for the prefix makes ok() false.
  ByteWriter& prefixed8(ByteView in) { return prefixed<std::uint8_t>(in).bytes(in); }

  ByteWriter& prefixed16(ByteView in) { return prefixed<std::uint16_t>(in).bytes(in); }

  ByteWriter& prefixed32(ByteView in) { return prefixed<std::uint32_t>(in).bytes(in); }

  // The next n octets of the output, for the caller to fill; empty when there are fewer.
  MutableBytes reserve(std::size_t n) {
    if (n > m_out.size() - m_size) {
      m_ok = false;
      return {};
    }
    const MutableBytes out = m_out.subspan(m_size).first(n);
    m_size += n;
    return out;
  }

  std::size_t size() const { return m_size; }

  MutableBytes written() const { return m_out.first(m_size); }

  bool ok() const { return m_ok; }

 private:
  template <std::size_t N>
  ByteWriter& unsigned_field(std::uint64_t v) {
    const MutableBytes out = reserve(N);
    for (std::size_t i = out.size(); i > 0; --i, v >>= 8)
      out[i - 1] = static_cast<std::uint8_t>(v);
    return *this;
  }

  template <class Length>
  ByteWriter& prefixed(ByteView in) {
    if (in.size() > static_cast<Length>(-1)) m_ok = false;
    return unsigned_field<sizeof(Length)>(in.size());
  }

  MutableBytes m_out;
  std::size_t m_size = 0;
  bool m_ok = true;
};

}  // namespace quipu
