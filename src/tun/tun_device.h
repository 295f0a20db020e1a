// SPDX-License-Identifier: Apache-2.0
// The packet side of the outside world: whole IP packets (TUN) or Ethernet frames (TAP), in batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/tally.h"
#include "offload/gathered_packet.h"

namespace quipu::tun {

enum class TunMode : std::uint8_t {
  tun,  // layer 3: packets start with the IP header
  tap,  // layer 2: packets start with the Ethernet header
};

using offload::GatheredPacket;
using offload::Offloads;
using offload::PacketHints;

// Octets of the largest packet, and one more.
inline constexpr std::size_t kLargestRead = std::size_t{64} * 1024;

struct ReadPacket {
  std::size_t size = 0;
  PacketHints hints;
};

// From any thread.
struct TunCounters {
  Tally read_cut;       // packets that did not fit the buffer and were dropped
  Tally write_refused;  // packets that the kernel would not take (interface down, not IP), each of a run
};

// Non-blocking; one thread at a time. Errc::closed from read and write means that the interface was deleted under us,
// any other error that the device is unusable.
class TunDevice {
 public:
  virtual ~TunDevice() = default;

  // Fills buffers[i] and packets[i] from the first on and returns how many packets there were; 0 means that none waits.
  // packets.size() >= buffers.size(). A buffer is larger than the largest packet (kLargestRead where the kernel leaves
  // runs of segments to be cut): a packet that fills it cannot be told from one that was cut, so it is dropped and
  // counted.
  virtual Result<std::size_t> read(std::span<const MutableBytes> buffers, std::span<ReadPacket> packets) = 0;

  // Hands packets to the kernel and returns how many it took. Those that it refuses are dropped and counted, as a wire
  // would. Hints that say more than offloads() are refused.
  virtual Result<std::size_t> write(std::span<const GatheredPacket> packets) = 0;

  // What write() takes. read() may give out any hints.
  virtual Offloads offloads() const = 0;

  // Readable when read() has something to return. Stays the same for the device's life.
  virtual int fd() const = 0;

  // As the kernel knows the interface.
  virtual const std::string& name() const = 0;

  const TunCounters& counters() const { return m_counters; }

 protected:
  TunCounters m_counters;
};

}  // namespace quipu::tun
