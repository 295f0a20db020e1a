// SPDX-License-Identifier: Apache-2.0
// Big-endian fields of headers whose place is known, in place. The caller has checked that they are there.
#pragma once

#include "base/bytes.h"

namespace quipu::offload {

inline std::uint16_t get_u16(ByteView from, std::size_t at) {
  return static_cast<std::uint16_t>(from[at] << 8 | from[at + 1]);
}

inline std::uint32_t get_u32(ByteView from, std::size_t at) {
  return std::uint32_t{get_u16(from, at)} << 16 | get_u16(from, at + 2);
}

inline void put_u16(MutableBytes to, std::size_t at, std::size_t value) {
  to[at] = static_cast<std::uint8_t>(value >> 8);
  to[at + 1] = static_cast<std::uint8_t>(value);
}

inline void put_u32(MutableBytes to, std::size_t at, std::uint32_t value) {
  put_u16(to, at, value >> 16);
  put_u16(to, at + 2, value & 0xffff);
}

}  // namespace quipu::offload
