// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "offload/packet_hints.h"
#include "offload/transport.h"

namespace quipu::offload {

// A packet that the kernel gave us, as the packets that go over the wire: one, or the segments of a run of TCP or UDP
// that the kernel left for us to cut (segmentation offload). Payload is copied and never summed: where the kernel left
// the checksum to be completed, every segment says so, and the kernel at the far end completes it or knows that it need
// not. Headers change as RFC 9293 and Linux's own segmentation have it: lengths, IPv4 identification, sequence numbers;
// FIN and PSH on the last segment only, CWR on the first only.
class Cutter {
 public:
  // Of an honest run: Linux makes TCP segments of 48 octets at least, and runs of no more than 128 UDP datagrams. Each
  // segment costs as much as a packet, whoever says what their size is.
  static constexpr std::size_t kMostSegments = 65'535 / 48;

  // `packet` outlives the cutter. Errc::malformed: the hints do not fit the packet, or the packet is no such run.
  static Outcome<Cutter> create(ByteView packet, const PacketHints& hints);

  // 1 or more.
  std::size_t segments() const { return m_segments; }

  // Octets of segment `i`, below segments(). All but the last are as long as the first.
  std::size_t size(std::size_t i) const { return m_header_size + payload(i).size(); }

  // The transport checksum of each segment is the sum of its pseudo header, to be completed.
  bool checksum_partial() const { return m_checksum_partial; }

  // `out` is size(i) octets long and does not overlap the packet.
  void write(std::size_t i, MutableBytes out) const;

 private:
  explicit Cutter(ByteView packet) : m_packet(packet), m_segment_size(packet.size()) {}

  Outcome<void> take_whole(const PacketHints& hints);
  Outcome<void> take_run(const PacketHints& hints);
  ByteView payload(std::size_t i) const;
  void write_tcp_fields(std::size_t i, MutableBytes tcp_header) const;

  ByteView m_packet;
  Transport m_transport;          // of a run
  std::size_t m_header_size = 0;  // octets that every segment repeats: none of a whole packet
  std::size_t m_segment_size;     // octets of payload
  std::size_t m_segments = 1;
  bool m_checksum_partial = false;
  // A checksum that we complete, since the far end could not find it: from where, and the field's place from there.
  std::optional<std::size_t> m_complete_from;
  std::size_t m_complete_field = 0;
};

}  // namespace quipu::offload
