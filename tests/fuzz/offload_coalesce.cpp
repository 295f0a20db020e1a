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

// What came and goes, by flow: addresses, protocol and ports; nothing for what is of none.
using Packets = std::map<Bytes, std::vector<Bytes>>;

Bytes flow_of(ByteView packet) {
  const auto transport = offload::find_transport(packet);
  if (!transport) return {};
  const ByteView addresses = transport->addresses(packet);
  const ByteView ports = packet.subspan(transport->start, 4);
  Bytes out(addresses.begin(), addresses.end());
  out.push_back(transport->protocol);
  out.insert(out.end(), ports.begin(), ports.end());
  return out;
}

// Without the identification where it means nothing (RFC 6864), and with the checksums that it should have.
Bytes normal(Bytes packet, bool partial) {
  const auto transport = offload::find_transport(packet);
  if (!transport) return packet;
  if (transport->family == IpFamily::v4) {
    if ((packet[6] & 0x40) != 0) packet[4] = packet[5] = 0;
    packet[10] = packet[11] = 0;
  }
  return partial ? test::with_whole_checksum(std::move(packet)) : packet;
}

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
    packet.hops = (kind & 32U) != 0 ? input.u8() : std::uint8_t{64};
    if ((kind & 4U) != 0) packet.flags = input.u8();
    if ((kind & 8U) != 0) packet.sequence += input.u8();
    packet.payload = Bytes((kind & 16U) != 0 ? input.u8() : 100, kind);
    m_sequence[kind & 0xc3U] = static_cast<std::uint32_t>(packet.sequence + packet.payload.size());
    require(add(packet.bytes(true), true));
    const Bytes bytes = packet.bytes(true);
    m_came[flow_of(bytes)].push_back(normal(bytes, true));
  }

  void add_anything(ByteReader& input) {
    const ByteView octets = input.prefixed8();
    const bool partial = input.u8() % 2 == 1;
    Bytes packet(octets.begin(), octets.end());
    // Whoever says that a checksum is partial has made it so.
    if (const auto transport = offload::find_transport(packet); transport && partial)
      offload::finish_headers(MutableBytes(packet).first(transport->header_size), *transport, packet.size());
    if (add(packet, partial)) m_came[flow_of(packet)].push_back(normal(std::move(packet), partial));
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
        const bool partial = cutter->checksum_partial();
        went[flow_of(segment)].push_back(normal(std::move(segment), partial));
      }
    }
    require(went == m_came);
  }

 private:
  bool add(Bytes packet, bool partial) {
    m_packets.push_back(std::make_unique<Bytes>(std::move(packet)));
    return m_coalescer.add(*m_packets.back(), partial);
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
