// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "offload/gathered_packet.h"
#include "offload/transport.h"

namespace quipu::offload {

// Opened packets, as fewer and larger ones for the kernel: consecutive segments of one flow, whose checksums are left
// to be completed, become a run again. Cutting it again would give the same packets (but for the identification of
// IPv4 packets that must not be fragmented, which means nothing: RFC 6864). Packets of one flow keep their order; what
// is of no flow keeps its place among all. Copies no payload; headers are changed where they stand. Allocates nothing
// once it has seen the largest batch.
class Coalescer {
 public:
  // What the device understands: the rest is made here (checksums) or not at all (runs).
  explicit Coalescer(const Offloads& offloads) : m_offloads(offloads) {}

  // The packet stays where it is, and nobody else writes to it, until clear(). False: `checksum_partial` without a
  // checksum that could be, or headers that lie; nothing was added.
  bool add(MutableBytes packet, bool checksum_partial);

  // All packets that were added, in order; asked for once. Valid until clear().
  std::span<const GatheredPacket> gather();

  void clear();

 private:
  static constexpr std::size_t kOpenRuns = 8;
  // Linux takes twice as many of UDP; of TCP as many as fit.
  static constexpr std::size_t kMaxSegments = 64;
  static constexpr std::size_t kMaxPacket = 65'535;

  struct Run {
    MutableBytes first;   // with its headers
    Transport transport;  // unless it stands alone
    bool checksum_partial = false;
    bool open = false;     // the next segment may be added
    std::size_t size = 0;  // octets of all parts
    std::size_t segment_size = 0;
    std::vector<ByteView> parts;
  };

  Run& begin(MutableBytes packet, bool checksum_partial);
  Run* find_open(const Transport& transport, ByteView packet);
  bool may_begin(const Transport& transport, ByteView packet) const;
  static bool may_follow(const Run& run, const Transport& transport, ByteView packet);
  static void append(Run& run, MutableBytes packet);
  void remember(std::size_t run);
  void close_all();
  GatheredPacket finish(Run& run) const;

  Offloads m_offloads;
  std::vector<Run> m_runs;  // the first m_used of them
  std::size_t m_used = 0;
  // Newest last: where a further segment may belong.
  std::array<std::size_t, kOpenRuns> m_open{};
  std::size_t m_open_count = 0;
  std::vector<GatheredPacket> m_gathered;
};

}  // namespace quipu::offload
