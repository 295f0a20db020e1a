// SPDX-License-Identifier: Apache-2.0
// Packets that a peer sent, with any headers and any flags, gathered for the kernel. Cut again, each flow has what
// came, in its order.
#include <cstdlib>
#include <map>
#include <memory>

#include "offload/coalescer.h"
#include "offload/cutter.h"
#include "support/slow_segments.h"

namespace quipu {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// What came and goes, by flow: 0 for what is of none.
using Packets = std::map<std::size_t, std::vector<Bytes>>;

class Batch {
 public:
  explicit Batch(std::uint8_t offloads)
      : m_coalescer({.checksum = (offloads & 1U) != 0,
                     .tcp4 = (offloads & 3U) == 3,
                     .tcp6 = (offloads & 5U) == 5,
                     .udp = (offloads & 9U) == 9}) {}

  void add_flow(ByteReader& input) {
    const std::uint8_t kind = input.u8();
    test::FlowPacket packet{
        .v6 = (kind & 1U) != 0, .tcp = (kind & 2U) != 0, .flow = static_cast<std::uint8_t>(kind >> 6U)};
    packet.may_fragment = true;  // so that no identification is lost
    packet.sequence = m_sequence[kind & 0xc3U];
    packet.identification = m_identification[kind & 0xc3U]++;
    if ((kind & 4U) != 0) packet.flags = input.u8();
    if ((kind & 8U) != 0) packet.sequence += input.u8();
    packet.payload = Bytes((kind & 16U) != 0 ? input.u8() : 100, kind);
    m_sequence[kind & 0xc3U] = static_cast<std::uint32_t>(packet.sequence + packet.payload.size());
    require(add(packet.bytes(true), true));
    const Bytes whole = packet.bytes(false);
    m_came[flow_of(whole)].push_back(whole);
  }

  void add_anything(ByteReader& input) {
    const ByteView octets = input.prefixed8();
    const bool partial = input.u8() % 2 == 1;
    if (flow_of(octets) != 0) return;
    const auto transport = offload::find_transport(octets);
    require(add(Bytes(octets.begin(), octets.end()), partial) == (transport.has_value() || !partial));
  }

  void check() {
    Packets went;
    for (const offload::GatheredPacket& gathered : m_coalescer.gather()) {
      Bytes packet;
      for (const ByteView part : gathered.parts)
        packet.insert(packet.end(), part.begin(), part.end());
      require(packet.size() <= 65'535);
      const auto cutter = offload::Cutter::create(packet, gathered.hints);
      require(cutter.has_value());
      for (std::size_t i = 0; i < cutter->segments(); ++i) {
        Bytes segment(cutter->size(i));
        cutter->write(i, segment);
        if (cutter->checksum_partial()) segment = test::with_whole_checksum(std::move(segment));
        if (const std::size_t flow = flow_of(segment); flow != 0) went[flow].push_back(std::move(segment));
      }
    }
    require(went == m_came);
  }

 private:
  bool add(Bytes packet, bool partial) {
    m_packets.push_back(std::make_unique<Bytes>(std::move(packet)));
    return m_coalescer.add(*m_packets.back(), partial);
  }

  // Of ours, by its ports.
  static std::size_t flow_of(ByteView packet) {
    const auto transport = offload::find_transport(packet);
    if (!transport) return 0;
    const std::size_t flow = ByteReader(packet.subspan(transport->start)).u16() - 40'000U;
    if (flow >= 4) return 0;
    return 1 + flow * 4 + (transport->is_tcp() ? 2 : 0) + (transport->family == IpFamily::v6 ? 1 : 0);
  }

  offload::Coalescer m_coalescer;
  std::vector<std::unique_ptr<Bytes>> m_packets;
  std::map<unsigned, std::uint32_t> m_sequence;
  std::map<unsigned, std::uint16_t> m_identification;
  Packets m_came;
};

}  // namespace
}  // namespace quipu

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  quipu::ByteReader input({data, size});
  quipu::Batch batch(input.u8());
  for (int packets = 0; input.remaining() > 0 && packets < 500; ++packets)
    if (input.u8() % 4 == 0)
      batch.add_anything(input);
    else
      batch.add_flow(input);
  batch.check();
  return 0;
}
