// SPDX-License-Identifier: Apache-2.0
// The packet side of the outside world: whole IP packets (TUN) or Ethernet frames (TAP), in batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace quipu::tun {

enum class TunMode : std::uint8_t {
  tun,  // layer 3: packets start with the IP header
  tap,  // layer 2: packets start with the Ethernet header
};

// What the kernel may say about a packet that stands for several (segmentation offload) or whose checksum is still to
// be filled in; the fields of struct virtio_net_hdr. A default-constructed value is an ordinary, complete packet, which
// is all that is produced and accepted as long as a device does not offer offload.
struct PacketHints {
  enum class Segmentation : std::uint8_t { none, tcp4, tcp6, udp };

  Segmentation segmentation = Segmentation::none;
  bool checksum_wanted = false;
  std::uint16_t checksum_start = 0;   // octets from the packet's first to where the checksum begins
  std::uint16_t checksum_offset = 0;  // octets from checksum_start to the checksum field
  std::uint16_t header_size = 0;      // octets of all headers
  std::uint16_t segment_size = 0;     // octets of payload per segment

  bool operator==(const PacketHints&) const = default;
};

struct ReadPacket {
  std::size_t size = 0;
  PacketHints hints;
};

struct WritePacket {
  ByteView bytes;
  PacketHints hints;
};

struct TunCounters {
  std::uint64_t read_cut = 0;       // packets that did not fit the buffer and were dropped
  std::uint64_t write_refused = 0;  // packets that the kernel would not take (interface down, not IP)
};

// Non-blocking; one thread at a time. Errc::closed from read and write means that the interface was deleted under us,
// any other error that the device is unusable.
class TunDevice {
 public:
  virtual ~TunDevice() = default;

  // Fills buffers[i] and packets[i] from the first on and returns how many packets there were; 0 means that none waits.
  // packets.size() >= buffers.size(). A buffer is larger than the largest packet (MTU and link-layer header): a packet
  // that fills it cannot be told from one that was cut, so it is dropped and counted.
  virtual Result<std::size_t> read(std::span<const MutableBytes> buffers, std::span<ReadPacket> packets) = 0;

  // Hands packets to the kernel and returns how many it took. Those that it refuses are dropped and counted, as a wire
  // would.
  virtual Result<std::size_t> write(std::span<const WritePacket> packets) = 0;

  // Readable when read() has something to return. Stays the same for the device's life.
  virtual int fd() const = 0;

  // As the kernel knows the interface.
  virtual const std::string& name() const = 0;

  const TunCounters& counters() const { return m_counters; }

 protected:
  TunCounters m_counters;
};

}  // namespace quipu::tun
