// SPDX-License-Identifier: Apache-2.0
#include "offload/coalescer.h"

#include <gmock/gmock.h>

#include <random>

#include "offload/cutter.h"
#include "support/slow_segments.h"

namespace quipu::offload {
namespace {

using test::FlowPacket;
using testing::ElementsAre;

constexpr Offloads kAll{.checksum = true, .tcp4 = true, .tcp6 = true, .udp = true};

// A flow's packets one after the other.
class Flow {
 public:
  explicit Flow(FlowPacket like) : m_next(std::move(like)) {}

  FlowPacket next(std::size_t size) {
    FlowPacket out = m_next;
    for (std::size_t i = 0; i < size; ++i)
      out.payload.push_back(m_octet++);
    m_next.sequence += static_cast<std::uint32_t>(size);
    ++m_next.identification;
    return out;
  }

  void lose(std::size_t size) { (void)next(size); }

 private:
  FlowPacket m_next;
  std::uint8_t m_octet = 0;
};

// The packets that a batch is made of stay until it is gathered.
class Batch {
 public:
  explicit Batch(const Offloads& offloads = kAll) : m_coalescer(offloads) {}

  bool add(Bytes packet, bool partial) {
    m_packets.push_back(std::make_unique<Bytes>(std::move(packet)));
    return m_coalescer.add(*m_packets.back(), partial);
  }

  void add(const FlowPacket& packet) { EXPECT_TRUE(add(packet.bytes(true), true)); }

  struct Out {
    Bytes bytes;
    PacketHints hints;
  };

  std::vector<Out> gather() {
    std::vector<Out> out;
    for (const GatheredPacket& packet : m_coalescer.gather()) {
      Out& one = out.emplace_back(Bytes{}, packet.hints);
      for (const ByteView part : packet.parts)
        one.bytes.insert(one.bytes.end(), part.begin(), part.end());
    }
    m_coalescer.clear();
    EXPECT_TRUE(m_coalescer.gather().empty());
    return out;
  }

  // Of each packet that comes out, how many went in.
  std::vector<std::size_t> segments() {
    std::vector<std::size_t> out;
    for (const Out& packet : gather()) {
      const auto cutter = Cutter::create(packet.bytes, packet.hints);
      out.push_back(cutter ? cutter->segments() : 0);
    }
    return out;
  }

 private:
  std::vector<std::unique_ptr<Bytes>> m_packets;
  Coalescer m_coalescer;
};

std::vector<FlowPacket> kinds() {
  return {{.tcp_options = Bytes(12, 1)}, {.v6 = true}, {.tcp = false}, {.v6 = true, .tcp = false}};
}

TEST(Coalescer, MakesARunOfItsSegmentsAgain) {
  for (const FlowPacket& kind : kinds()) {
    FlowPacket run = kind;
    run.payload.resize(1000);
    for (std::size_t i = 0; i < run.payload.size(); ++i)
      run.payload[i] = static_cast<std::uint8_t>(i);
    const Bytes bytes = run.bytes(true);
    const auto cutter = Cutter::create(bytes, run.hints(300));
    ASSERT_TRUE(cutter);
    Batch batch;
    for (std::size_t i = 0; i < cutter->segments(); ++i) {
      Bytes segment(cutter->size(i));
      cutter->write(i, segment);
      EXPECT_TRUE(batch.add(std::move(segment), true));
    }
    const auto out = batch.gather();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0].bytes, bytes);
    EXPECT_EQ(out[0].hints, run.hints(300));
  }
}

TEST(Coalescer, TwoFlowsAreTwoRuns) {
  Flow one({.flow = 1});
  Flow two({.flow = 2});
  Batch batch;
  for (int i = 0; i < 3; ++i) {
    batch.add(one.next(100));
    batch.add(two.next(100));
  }
  EXPECT_THAT(batch.segments(), ElementsAre(3, 3));
}

TEST(Coalescer, AGapBeginsAnotherRun) {
  Flow flow({});
  Batch batch;
  batch.add(flow.next(100));
  batch.add(flow.next(100));
  flow.lose(100);
  batch.add(flow.next(100));
  batch.add(flow.next(100));
  batch.add(flow.next(100));
  EXPECT_THAT(batch.segments(), ElementsAre(2, 3));
}

TEST(Coalescer, AShortOrPushedSegmentEndsARun) {
  Flow flow({});
  Batch batch;
  batch.add(flow.next(100));
  batch.add(flow.next(99));
  batch.add(flow.next(100));
  FlowPacket pushed = flow.next(100);
  pushed.flags |= 0x08;
  batch.add(pushed);
  batch.add(flow.next(100));
  EXPECT_THAT(batch.segments(), ElementsAre(2, 2, 1));
}

using Changes = std::initializer_list<void (*)(FlowPacket&)>;

// Of two packets in a row, of which one of the changes befell the second.
void expect_apart(const FlowPacket& kind, Changes changes) {
  for (const auto& change : changes) {
    Flow flow(kind);
    Batch batch;
    batch.add(flow.next(100));
    FlowPacket other = flow.next(100);
    change(other);
    batch.add(other);
    EXPECT_THAT(batch.gather(), testing::SizeIs(2)) << "change " << &change - changes.begin();
  }
}

TEST(Coalescer, WhatDiffersInMoreThanItsPlaceStandsAlone) {
  expect_apart({}, {
                       [](FlowPacket& packet) { packet.flags |= 0x01; },
                       [](FlowPacket& packet) { packet.flags |= 0x40; },
                       [](FlowPacket& packet) { packet.traffic_class = 3; },
                       [](FlowPacket& packet) { packet.hops = 63; },
                       [](FlowPacket& packet) { packet.ip_options = Bytes(4, 1); },
                       [](FlowPacket& packet) { packet.acknowledgment = 7778; },
                       [](FlowPacket& packet) { packet.reserved = 1; },
                       [](FlowPacket& packet) { packet.window = 502; },
                       [](FlowPacket& packet) { packet.tcp_options = Bytes(4, 1); },
                       [](FlowPacket& packet) { packet.payload.clear(); },
                       [](FlowPacket& packet) { packet.may_fragment = true; },
                       [](FlowPacket& packet) { packet.payload.push_back(1); },
                   });
}

TEST(Coalescer, AnotherFlowLabelOrHopLimitOfIpv6StandsAlone) {
  expect_apart({.v6 = true, .tcp = false}, {
                                               [](FlowPacket& packet) { packet.flow_label = 1; },
                                               [](FlowPacket& packet) { packet.hops = 63; },
                                               [](FlowPacket& packet) { packet.traffic_class = 1; },
                                           });
}

TEST(Coalescer, MakesARunOfPacketsWithTheSameIpOptions) {
  Flow flow({.ip_options = Bytes(8, 1)});
  Batch batch;
  batch.add(flow.next(100));
  batch.add(flow.next(100));
  EXPECT_THAT(batch.segments(), ElementsAre(2));
}

// IP options make no other flow: what comes behind a packet that has some does not overtake it.
TEST(Coalescer, KeepsTheOrderOfAFlowWhateverIpOptionsThereAre) {
  Flow flow({.tcp = false});
  Batch batch;
  std::vector<Bytes> sent;
  for (int i = 0; i < 3; ++i) {
    FlowPacket packet = flow.next(100);
    if (i == 1) packet.ip_options = Bytes(4, 1);
    batch.add(packet);
    sent.push_back(packet.bytes(true));
  }
  const auto out = batch.gather();
  ASSERT_EQ(out.size(), 3U);
  for (std::size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(out[i].bytes, sent[i]);
}

// RFC 6864: the identification matters where the packet may be fragmented.
TEST(Coalescer, KeepsTheIdentificationOfWhatMayBeFragmented) {
  for (const bool may_fragment : {false, true}) {
    Flow flow({.identification = 0xffff, .may_fragment = may_fragment});
    Batch batch;
    batch.add(flow.next(100));
    batch.add(flow.next(100));
    FlowPacket other = flow.next(100);
    other.identification += 5;
    batch.add(other);
    EXPECT_EQ(batch.segments().size(), may_fragment ? 2U : 1U);
  }
}

TEST(Coalescer, ARunIsNoLongerThanAPacketMayBe) {
  Flow flow({.tcp = false});
  Batch batch;
  for (int i = 0; i < 70; ++i)
    batch.add(flow.next(10));
  EXPECT_THAT(batch.segments(), ElementsAre(64, 6));
  for (int i = 0; i < 50; ++i)
    batch.add(flow.next(1400));
  for (const Batch::Out& out : batch.gather())
    EXPECT_LE(out.bytes.size(), 65'535U);
}

TEST(Coalescer, KeepsThePlaceOfWhatIsOfNoFlow) {
  Flow flow({});
  Batch batch;
  batch.add(flow.next(100));
  FlowPacket fragment = flow.next(100);
  Bytes bytes = fragment.bytes(false);
  bytes[6] = 0x20;
  EXPECT_TRUE(batch.add(bytes, false));
  batch.add(flow.next(100));
  const auto out = batch.gather();
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out[1].bytes, bytes);
  EXPECT_EQ(out[1].hints, PacketHints());
}

TEST(Coalescer, TakesNoPacketThatLies) {
  Batch batch;
  const Bytes good = FlowPacket{.payload = Bytes(10)}.bytes(true);
  using Change = void (*)(Bytes&);
  for (const Change change : std::initializer_list<Change>{
           [](Bytes& packet) { packet.clear(); },
           [](Bytes& packet) { packet.push_back(0); },
           [](Bytes& packet) { packet.pop_back(); },
           [](Bytes& packet) { packet[0] = 0x4f; },
           [](Bytes& packet) { packet[9] = 1; },
           [](Bytes& packet) { packet[7] = 1; },
           [](Bytes& packet) { packet[32] = 0xf0; },
       }) {
    Bytes packet = good;
    change(packet);
    EXPECT_FALSE(batch.add(packet, true));
  }
  EXPECT_TRUE(batch.gather().empty());
}

TEST(Coalescer, DoesWhatTheDeviceCannot) {
  for (const FlowPacket& kind : kinds()) {
    Flow flow(kind);
    const FlowPacket first = flow.next(100);
    const FlowPacket second = flow.next(100);
    Batch plain(Offloads{});
    plain.add(first);
    plain.add(second);
    const auto out = plain.gather();
    ASSERT_EQ(out.size(), 2U);
    EXPECT_EQ(out[0].bytes, first.bytes(false));
    EXPECT_EQ(out[1].bytes, second.bytes(false));
    EXPECT_EQ(out[0].hints, PacketHints());
  }
  Flow udp({.tcp = false});
  Batch without_udp(Offloads{.checksum = true, .tcp4 = true, .tcp6 = true, .udp = false});
  without_udp.add(udp.next(100));
  without_udp.add(udp.next(100));
  EXPECT_THAT(without_udp.segments(), ElementsAre(1, 1));
}

// Whatever is lost, repeated or mixed: cut again, each flow has the packets that came, in their order.
TEST(Coalescer, LosesNothingAndKeepsEachFlowsOrder) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::vector<Flow> flows;
    for (std::uint8_t flow = 0; flow < 12; ++flow) {
      FlowPacket like = kinds()[flow % 4U];
      like.flow = flow;
      like.may_fragment = true;  // so that all identifications have to be right
      flows.emplace_back(like);
    }
    Batch batch;
    std::map<std::uint8_t, std::vector<Bytes>> sent;
    std::map<std::uint8_t, std::vector<Bytes>> out;
    FlowPacket before;
    for (int i = 0; i < 300; ++i) {
      FlowPacket packet = flows[random() % flows.size()].next(random() % 8 == 0 ? random() % 100 : 100U);
      if (random() % 8 == 0) continue;
      if (random() % 8 == 0) packet = before;
      if (random() % 8 == 0) packet.flags |= 0x08;
      batch.add(packet);
      sent[packet.flow].push_back(packet.bytes(false));
      before = packet;
    }
    std::size_t runs = 0;
    for (const Batch::Out& packet : batch.gather()) {
      const auto cutter = Cutter::create(packet.bytes, packet.hints);
      ASSERT_TRUE(cutter);
      runs += cutter->segments() > 1 ? 1U : 0U;
      const std::uint8_t flow = packet.bytes[packet.bytes[0] >> 4 == 4 ? 14U : 22U];
      for (std::size_t i = 0; i < cutter->segments(); ++i) {
        Bytes segment(cutter->size(i));
        cutter->write(i, segment);
        out[flow].push_back(test::with_whole_checksum(std::move(segment)));
      }
    }
    EXPECT_EQ(out, sent) << seed;
    EXPECT_GT(runs, 0U);
  }
}

}  // namespace
}  // namespace quipu::offload
