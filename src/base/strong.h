// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <utility>

namespace quipu {

// A value with a meaning of its own: two ids never mix, nor does an id with a bare integer.
template <class Tag, class T>
class Strong {
 public:
  using value_type = T;

  constexpr Strong() = default;

  constexpr explicit Strong(T value) : m_value(std::move(value)) {}

  constexpr const T& value() const { return m_value; }

  constexpr auto operator<=>(const Strong&) const = default;

 private:
  T m_value{};
};

}  // namespace quipu

template <class Tag, class T>
struct std::hash<quipu::Strong<Tag, T>> {
  std::size_t operator()(const quipu::Strong<Tag, T>& id) const noexcept { return std::hash<T>{}(id.value()); }
};
