// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "fixture.h"
#include "net/fake_udp_bind.h"
#include "net/udp_bind.h"

namespace quipu::net {
namespace {

constexpr std::size_t kBufferSize = 2048;

// Buffers for a call of receive().
struct Inbox {
  explicit Inbox(std::size_t count, std::size_t size = kBufferSize) : storage(count, Bytes(size)), datagrams(count) {
    for (std::size_t i = 0; i < count; ++i)
      datagrams[i].buffer = storage[i];
  }

  std::vector<Bytes> storage;
  std::vector<InDatagram> datagrams;
};

Endpoint at(std::uint16_t port, std::string_view address = "127.0.0.1") {
  return {*IpAddress::parse(address), port, 0};
}

std::unique_ptr<UdpBind> open(const UdpOptions& options = {}) {
  auto bind = open_udp(options);
  EXPECT_TRUE(bind.has_value()) << (bind ? "" : bind.error().text);
  return bind ? std::move(*bind) : nullptr;
}

// Loopback delivers at once, so what was sent is there; nothing needs to be waited for.
std::vector<std::string> received(UdpBind& bind, std::size_t room = 200) {
  Inbox inbox(room);
  std::vector<std::string> out;
  while (const std::size_t n = bind.receive(inbox.datagrams)) {
    for (std::size_t i = 0; i < n; ++i)
      out.emplace_back(as_text(inbox.datagrams[i].payload()));
  }
  return out;
}

TEST(UdpBind, CarriesBatchesOfBothFamiliesThroughOnePort) {
  const auto a = open();
  const auto b = open();
  ASSERT_EQ(b->descriptors().size(), 2U);
  std::vector<std::string> payloads;
  payloads.reserve(150);
  for (int i = 0; i < 150; ++i)
    payloads.push_back("datagram " + std::to_string(i));
  std::vector<OutDatagram> batch;
  batch.reserve(payloads.size());
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    batch.push_back({.to = at(b->port(), i % 3 == 0 ? "::1" : "127.0.0.1"),
                     .payload = as_bytes(payloads[i]),
                     .segment_size = 0,
                     .may_fragment = i % 7 == 0});
  }
  EXPECT_EQ(a->send(batch), batch.size());
  std::vector<std::string> arrived = received(*b);
  std::ranges::sort(arrived);
  std::ranges::sort(payloads);
  EXPECT_EQ(arrived, payloads);
}

TEST(UdpBind, CarriesTheTrafficClassOfBothFamilies) {
  const auto a = open({.coalesce_received = true});
  const auto b = open({.coalesce_received = true});
  for (const std::string_view address : {"127.0.0.1", "::1"})
    for (const std::uint16_t segment_size : std::to_array<std::uint16_t>({0, 4})) {
      const std::array<OutDatagram, 2> batch = {
          OutDatagram{.to = at(b->port(), address),
                      .payload = as_bytes("12345678"),
                      .segment_size = segment_size,
                      .traffic_class = 0xba},
          OutDatagram{.to = at(b->port(), address), .payload = as_bytes("plain")}};
      ASSERT_EQ(a->send(batch), 2U);
      Inbox inbox(100);
      const std::size_t count = b->receive(inbox.datagrams);
      ASSERT_GE(count, 2U);
      for (const InDatagram& in : std::span(inbox.datagrams).first(count))
        EXPECT_EQ(in.traffic_class, as_text(in.payload()) == "plain" ? 0 : 0xba) << address;
    }
}

TEST(UdpBind, TellsTheSender) {
  const auto a = open();
  const auto b = open();
  const std::array<OutDatagram, 2> batch = {OutDatagram{.to = at(b->port()), .payload = as_bytes("4")},
                                            OutDatagram{.to = at(b->port(), "::1"), .payload = as_bytes("6")}};
  ASSERT_EQ(a->send(batch), 2U);
  Inbox inbox(4);
  ASSERT_EQ(b->receive(inbox.datagrams), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const InDatagram& in = inbox.datagrams[i];
    EXPECT_EQ(in.from, at(a->port(), as_text(in.payload()) == "4" ? "127.0.0.1" : "::1"));
  }
  EXPECT_EQ(b->receive(inbox.datagrams), 0U);
}

TEST(UdpBind, DropsWhatDoesNotFitAndKeepsTheRest) {
  const auto a = open();
  const auto b = open();
  const std::string large(100, 'x');
  const std::array<OutDatagram, 3> batch = {OutDatagram{.to = at(b->port()), .payload = as_bytes("one")},
                                            OutDatagram{.to = at(b->port()), .payload = as_bytes(large)},
                                            OutDatagram{.to = at(b->port()), .payload = as_bytes("three")}};
  ASSERT_EQ(a->send(batch), 3U);
  Inbox inbox(8, 50);
  ASSERT_EQ(b->receive(inbox.datagrams), 2U);
  EXPECT_EQ(as_text(inbox.datagrams[0].payload()), "one");
  EXPECT_EQ(as_text(inbox.datagrams[1].payload()), "three");
  EXPECT_EQ(b->stats().truncated, 1U);
}

TEST(UdpBind, OneRefusedDatagramDoesNotStopTheOthers) {
  const auto a = open();
  const auto b = open();
  const std::string too_large(70'000, 'x');
  const std::array<OutDatagram, 3> batch = {OutDatagram{.to = at(b->port()), .payload = as_bytes("one")},
                                            OutDatagram{.to = at(b->port()), .payload = as_bytes(too_large)},
                                            OutDatagram{.to = at(b->port()), .payload = as_bytes("three")}};
  EXPECT_EQ(a->send(batch), 3U);
  EXPECT_EQ(received(*b), (std::vector<std::string>{"one", "three"}));
  EXPECT_EQ(a->stats().send_failed, 1U);
}

TEST(UdpBind, CutsSegments) {
  const auto a = open();
  const auto b = open();
  const OutDatagram datagram{.to = at(b->port()), .payload = as_bytes("aaabbbcc"), .segment_size = 3};
  EXPECT_EQ(a->send({&datagram, 1}), 1U);
  EXPECT_EQ(received(*b), (std::vector<std::string>{"aaa", "bbb", "cc"}));
}

TEST(UdpBind, CountsEachSegmentThatTheKernelRefuses) {
  const auto a = open();
  // To everybody, without having asked for the right to.
  const OutDatagram datagram{.to = at(9, "255.255.255.255"), .payload = as_bytes("aaabbbcc"), .segment_size = 3};
  EXPECT_EQ(a->send({&datagram, 1}), 1U);
  EXPECT_EQ(a->stats().send_failed, 3U);
}

TEST(UdpBind, CountsEachSegmentOfAFamilyThatIsOff) {
  const auto a = open({.ipv6 = false});
  const OutDatagram datagram{.to = at(9, "::1"), .payload = as_bytes("aaabbbcc"), .segment_size = 3};
  EXPECT_EQ(a->send({&datagram, 1}), 1U);
  EXPECT_EQ(a->stats().send_failed, 3U);
}

TEST(UdpBind, OneFamilyOnly) {
  const auto a = open({.ipv6 = false});
  EXPECT_EQ(a->descriptors().size(), 1U);
  const OutDatagram datagram{.to = at(9, "::1"), .payload = as_bytes("x")};
  EXPECT_EQ(a->send({&datagram, 1}), 1U);
  EXPECT_EQ(a->stats().send_failed, 1U);
  EXPECT_FALSE(open_udp({.ipv4 = false, .ipv6 = false}).has_value());
}

TEST(UdpBind, APortInUseIsRefusedWithItsNumber) {
  const auto a = open();
  const auto b = open_udp({.port = a->port()});
  ASSERT_FALSE(b.has_value());
  EXPECT_NE(b.error().text.find(std::to_string(a->port())), std::string::npos);
}

TEST(UdpBind, WakesTheLoop) {
  Loop loop;
  const auto a = open();
  const auto b = open();
  std::string arrived;
  std::vector<std::unique_ptr<FdWatch>> watches;
  for (const int fd : b->descriptors()) {
    watches.push_back(std::make_unique<FdWatch>(loop, fd));
    watches.back()->on_readable([&] {
      for (const std::string& text : received(*b))
        arrived += text;
      if (arrived.size() == 2) loop.stop();
    });
  }
  const std::array<OutDatagram, 2> batch = {OutDatagram{.to = at(b->port()), .payload = as_bytes("x")},
                                            OutDatagram{.to = at(b->port(), "::1"), .payload = as_bytes("y")}};
  a->send(batch);
  loop.run();
  std::ranges::sort(arrived);
  EXPECT_EQ(arrived, "xy");
}

TEST(FakeUdpBind, DeliversDropsAndRoams) {
  FakeUdpNetwork network;
  FakeUdpBind a(network, at(1));
  FakeUdpBind b(network, at(2));
  const auto say = [&](std::string_view text) {
    const OutDatagram datagram{.to = at(2), .payload = as_bytes(text)};
    return a.send({&datagram, 1});
  };
  EXPECT_EQ(say("hello"), 1U);
  network.on_send = [](const FakeUdpNetwork::Packet& packet) { return as_text(packet.payload) != "lost"; };
  say("lost");
  a.move_to(at(3));
  say("moved");
  Inbox inbox(4);
  ASSERT_EQ(b.receive(inbox.datagrams), 2U);
  EXPECT_EQ(as_text(inbox.datagrams[0].payload()), "hello");
  EXPECT_EQ(inbox.datagrams[0].from, at(1));
  EXPECT_EQ(as_text(inbox.datagrams[1].payload()), "moved");
  EXPECT_EQ(inbox.datagrams[1].from, at(3));
  a.limit_sends(0);
  EXPECT_EQ(say("full"), 0U);
}

TEST(FakeUdpBind, RefusesAllSegmentsOfOne) {
  FakeUdpNetwork network;
  FakeUdpBind a(network, at(1));
  FakeUdpBind b(network, at(2));
  const std::array<OutDatagram, 2> batch = {
      OutDatagram{.to = at(2), .payload = as_bytes("aaabbbcc"), .segment_size = 3},
      OutDatagram{.to = at(2), .payload = as_bytes("next")}};
  a.refuse(1);
  EXPECT_EQ(a.send(batch), 2U);
  EXPECT_EQ(a.stats().send_failed, 3U);
  EXPECT_EQ(received(b), std::vector<std::string>{"next"});
}

TEST(FakeUdpBind, WakesARealLoop) {
  Loop loop;
  FakeUdpNetwork network;
  FakeUdpBind a(network, at(1));
  FakeUdpBind b(network, at(2));
  FdWatch watch(loop, b.descriptors()[0]);
  watch.on_readable([&] {
    EXPECT_EQ(received(b), (std::vector<std::string>{"ab", "c"}));
    loop.stop();
  });
  const OutDatagram datagram{.to = at(2), .payload = as_bytes("abc"), .segment_size = 2};
  a.send({&datagram, 1});
  loop.run();
}

}  // namespace
}  // namespace quipu::net
