// SPDX-License-Identifier: Apache-2.0
// The only homes of key material. Move-only, wiped when they end, compared in constant time, and impossible to print:
// the formatting operators are deleted, and a test proves that using one does not compile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/secret_arena.h"

namespace quipu {

// Constant time in the contents; lengths are public.
bool constant_time_equal(ByteView a, ByteView b);

// A secret whose length is known when it is made. An empty one owns nothing.
class SecretBytes {
 public:
  SecretBytes() = default;

  // Zero-filled.
  explicit SecretBytes(std::size_t size)
      : m_data(size == 0 ? nullptr : static_cast<std::uint8_t*>(secret_allocate(size))), m_size(size) {
    if (size != 0) std::memset(m_data, 0, size);
  }

  static SecretBytes copy_of(ByteView bytes) {
    SecretBytes out(bytes.size());
    if (out.m_data != nullptr) std::memcpy(out.m_data, bytes.data(), bytes.size());
    return out;
  }

  SecretBytes(SecretBytes&& other) noexcept
      : m_data(std::exchange(other.m_data, nullptr)), m_size(std::exchange(other.m_size, 0)) {}

  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      clear();
      m_data = std::exchange(other.m_data, nullptr);
      m_size = std::exchange(other.m_size, 0);
    }
    return *this;
  }

  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  ~SecretBytes() { clear(); }

  ByteView view() const { return {m_data, m_size}; }

  MutableBytes mutable_view() { return {m_data, m_size}; }

  std::size_t size() const { return m_size; }

  bool empty() const { return m_size == 0; }

  // A second copy has to be asked for by name.
  SecretBytes clone() const { return copy_of(view()); }

  // Wipes and releases.
  void clear() noexcept {
    if (m_data != nullptr) secret_free(m_data, m_size);
    m_data = nullptr;
    m_size = 0;
  }

  friend bool operator==(const SecretBytes& a, const SecretBytes& b) { return constant_time_equal(a.view(), b.view()); }

 private:
  std::uint8_t* m_data = nullptr;
  std::size_t m_size = 0;
};

// A secret of N octets; zero-filled when made. A moved-from Secret may only be assigned to or destroyed.
template <std::size_t N>
class Secret {
 public:
  static constexpr std::size_t kSize = N;

  Secret() : m_bytes(N) {}

  explicit Secret(std::span<const std::uint8_t, N> bytes) : m_bytes(SecretBytes::copy_of(bytes)) {}

  std::span<const std::uint8_t, N> view() const { return std::span<const std::uint8_t, N>(m_bytes.view()); }

  std::span<std::uint8_t, N> mutable_view() { return std::span<std::uint8_t, N>(m_bytes.mutable_view()); }

  Secret clone() const { return Secret(view()); }

  friend bool operator==(const Secret& a, const Secret& b) { return a.m_bytes == b.m_bytes; }

 private:
  SecretBytes m_bytes;
};

template <class Traits>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>&, const SecretBytes&) = delete;

template <class Traits, std::size_t N>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>&, const Secret<N>&) = delete;

// For the bodies of HTTP messages and the like: containers of third parties that must not leave keys behind.
template <class T>
struct WipingAllocator {
  using value_type = T;

  WipingAllocator() = default;

  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators convert by requirement
  WipingAllocator(const WipingAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(secret_allocate(n * sizeof(T))); }

  void deallocate(T* memory, std::size_t n) noexcept { secret_free(memory, n * sizeof(T)); }

  bool operator==(const WipingAllocator&) const = default;
};

}  // namespace quipu
