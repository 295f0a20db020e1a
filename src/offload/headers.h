// SPDX-License-Identifier: Apache-2.0
// Where the fields of the headers stand: RFC 791, RFC 8200, RFC 9293, RFC 768.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quipu::offload {

inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;

namespace ipv4 {
inline constexpr std::size_t kSize = 20;  // without options
inline constexpr std::size_t kTrafficClass = 1;
inline constexpr std::size_t kTotalLength = 2;
inline constexpr std::size_t kIdentification = 4;
inline constexpr std::size_t kFragment = 6;  // flags and offset
inline constexpr std::size_t kTimeToLive = 8;
inline constexpr std::size_t kProtocol = 9;
inline constexpr std::size_t kChecksum = 10;
inline constexpr std::size_t kAddresses = 12;
inline constexpr std::uint16_t kDontFragment = 0x4000;
}  // namespace ipv4

namespace ipv6 {
inline constexpr std::size_t kSize = 40;
inline constexpr std::size_t kPayloadLength = 4;
inline constexpr std::size_t kNextHeader = 6;
inline constexpr std::size_t kHopLimit = 7;
inline constexpr std::size_t kAddresses = 8;
}  // namespace ipv6

namespace tcp {
inline constexpr std::size_t kSize = 20;  // without options
inline constexpr std::size_t kSequence = 4;
inline constexpr std::size_t kAcknowledgment = 8;
inline constexpr std::size_t kDataOffset = 12;  // upper four bits, in words; then reserved bits and AE (RFC 9768)
inline constexpr std::size_t kFlags = 13;
inline constexpr std::size_t kWindow = 14;
inline constexpr std::size_t kChecksum = 16;
inline constexpr std::uint8_t kFin = 0x01;
inline constexpr std::uint8_t kSyn = 0x02;
inline constexpr std::uint8_t kPush = 0x08;
inline constexpr std::uint8_t kAck = 0x10;
inline constexpr std::uint8_t kEcnEcho = 0x40;
inline constexpr std::uint8_t kCongestionWindowReduced = 0x80;
}  // namespace tcp

namespace udp {
inline constexpr std::size_t kSize = 8;
inline constexpr std::size_t kLength = 4;
inline constexpr std::size_t kChecksum = 6;
}  // namespace udp

}  // namespace quipu::offload
