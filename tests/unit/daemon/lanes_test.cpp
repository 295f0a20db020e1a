// SPDX-License-Identifier: Apache-2.0
// Engines whose lanes have threads of their own, over the sockets of this machine: for the thread sanitizer above all.
#include "daemon/lane_ports.h"
#include "socket_tun.h"
#include "support/handshakes.h"
#include "two_engines.h"

namespace quipu::daemon {
namespace {

constexpr std::size_t kLanes = 3;

struct LanesOfSite {
  LanesOfSite() : ports(*open_lane_ports(0, kLanes)) { QUIPU_ASSERT(ports.size() == kLanes); }

  Engine::Outside outside(const Engine::Outside& first) {
    Engine::Outside out{first.loop, tuns[0], *ports[0], {}, first.stamps, first.rng, first.log};
    for (std::size_t i = 1; i < kLanes; ++i)
      out.lanes.push_back({tuns[i], *ports[i]});
    return out;
  }

  std::array<tun::SocketTun, kLanes> tuns;
  std::vector<std::unique_ptr<net::UdpBind>> ports;
};

class LanesTest : public EngineTest {
 public:
  // Before the queues and ports that they use.
  ~LanesTest() override {
    m_a.engine.reset();
    m_b.engine.reset();
  }

 protected:
  LanesTest() {
    m_a.engine.reset();
    m_b.engine.reset();
    m_a.address = *Endpoint::parse("127.0.0.1:" + std::to_string(m_lanes_a.ports[0]->port()));
    m_b.address = *Endpoint::parse("127.0.0.1:" + std::to_string(m_lanes_b.ports[0]->port()));
    start(m_a, m_lanes_a);
    start(m_b, m_lanes_b);
  }

  void start(Site& site, LanesOfSite& lanes) {
    auto engine = Engine::create(lanes.outside(site.outside_parts), settings(site),
                                 [&site](const Error& error) { site.failure = error; });
    ASSERT_TRUE(engine.has_value()) << engine.error().text;
    site.engine = std::move(*engine);
    site.engine->start();
  }

  using Counts = std::array<std::array<std::size_t, kLanes>, 2>;

  // A packet each way into every queue; counts what has come out of them.
  void offer(Counts& arrived) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      m_lanes_a.tuns[lane].inject(packet("10.70.0.1", "10.70.0.2", "from a"));
      m_lanes_b.tuns[lane].inject(packet("10.70.0.2", "10.70.0.1", "from b"));
      while (!m_lanes_a.tuns[lane].take().empty())
        ++arrived[0][lane];
      while (!m_lanes_b.tuns[lane].take().empty())
        ++arrived[1][lane];
    }
  }

  // Until so many have arrived everywhere.
  void carry(std::size_t packets) {
    Counts arrived{};
    const auto enough = [packets](const auto& site) {
      return std::ranges::all_of(site, [packets](std::size_t count) { return count >= packets; });
    };
    run_until(
        m_loop,
        [&] {
          offer(arrived);
          return std::ranges::all_of(arrived, enough);
        },
        "packets by every lane");
  }

  void bring_up() {
    Counts arrived{};
    run_until(
        m_loop,
        [&] {
          offer(arrived);
          return tunnel(m_a).lanes_in_use == kLanes && tunnel(m_b).lanes_in_use == kLanes;
        },
        "all lanes in use");
  }

  LanesOfSite m_lanes_a;
  LanesOfSite m_lanes_b;
};

TEST_F(LanesTest, CarryOnTheirOwnThreadsThroughRekeys) {
  bring_up();
  const std::uint64_t epoch = tunnel(m_a).epoch;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(rekey(initiator()));
    carry(50);
  }
  EXPECT_GE(tunnel(m_a).epoch, epoch + 3);
  EXPECT_EQ(m_a.engine->status().lanes, kLanes);
  EXPECT_EQ(tunnel(m_a).drops["failed_open"] + tunnel(m_b).drops["failed_open"], 0U);
}

TEST_F(LanesTest, StopWhileTheyCarry) {
  bring_up();
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    for (int i = 0; i < 100; ++i)
      m_lanes_a.tuns[lane].inject(packet("10.70.0.1", "10.70.0.2", "from a"));
  m_a.engine->stop();
  m_a.engine.reset();
  EXPECT_FALSE(m_a.failure);
  start(m_a, m_lanes_a);
  carry(1);
}

TEST_F(LanesTest, CarryUnderNewKeysAfterAllWereErased) {
  bring_up();
  m_a.engine->erase_sessions();
  EXPECT_EQ(tunnel(m_a).lanes, 1U);
  EXPECT_EQ(tunnel(m_a).lanes_in_use, 1U);
  bring_up();
  carry(1);
}

TEST_F(LanesTest, APeerThatGoesAndComesIsKnownToEveryLane) {
  bring_up();
  Settings without = settings(m_a);
  without.peers.clear();
  without.config.peers.clear();
  ASSERT_TRUE(m_a.engine->reconfigure(std::move(without)));
  run_until(
      m_loop,
      [&] {
        m_lanes_a.tuns[1].inject(packet("10.70.0.1", "10.70.0.2", "for nobody"));
        return m_a.engine->status().drops["no_route"] > 0;
      },
      "packets of nobody's");
  ASSERT_TRUE(m_a.engine->reconfigure(settings(m_a)));
  bring_up();
}

// However many updates it has not seen.
TEST(LaneWorker, HoldsNoKeyOnceItHasStopped) {
  tun::SocketTun tun;
  const auto ports = *open_lane_ports(0, 1);
  LaneWorker worker(protocol::Lane(1), {tun, *ports[0]}, {.mtu = 1400}, {});
  worker.start();
  protocol::PeerView view;
  view.keys[0] = {std::make_shared<protocol::Keypair>(std::move(test::run(test::Scenario())->initiator)),
                  TimePoint::max()};
  view.tallies = std::make_shared<protocol::LaneTallies>(1U);
  const std::weak_ptr<protocol::Keypair> keypair = view.keys[0].keypair;
  for (int i = 0; i < 1000; ++i)
    worker.apply(view);
  worker.stop();
  view = {};
  EXPECT_TRUE(keypair.expired());
}

// To which only what has no way here is a stranger: 10.9.9.99.
struct OneWay final : protocol::PacketPath {
  Outcome<protocol::Route> route(ByteView packet, TimePoint) override {
    if (packet[19] == 99) return std::unexpected(Errc::unavailable);
    return protocol::Route(&target);
  }

  std::size_t packet_limit(const protocol::Route&) const override { return 1400; }

  Outcome<protocol::Sealed> seal(const protocol::Route&, const protocol::InnerPacket& packet, MutableBytes,
                                 TimePoint) override {
    return protocol::Sealed{protocol::PeerId{1}, *Endpoint::parse("192.0.2.2:51901"),
                            packet.octets.size() + protocol::kMaxOverhead};
  }

  Outcome<protocol::Opened> open(MutableBytes, const Endpoint&, TimePoint) override {
    return std::unexpected(Errc::malformed);
  }

  void discard(const protocol::Opened&, protocol::DropReason) override {}

  void receive(MutableBytes, const Endpoint&, TimePoint, protocol::Actions&) override {}

  protocol::RouteTarget target;
};

class HandOverTest : public testing::Test {
 protected:
  void inject_strangers(int count, std::size_t size) {
    for (int i = 0; i < count; ++i)
      m_tun.inject(packet("10.70.0.1", "10.9.9.99", std::string(size, 'x')));
  }

  void inject_runs(int count) {
    const TcpRun run = run_of_tcp(60'000, 1360);
    for (int i = 0; i < count; ++i)
      m_tun.inject(run.bytes, run.hints);
  }

  net::FakeUdpNetwork m_network;
  net::FakeUdpBind m_udp{m_network, *Endpoint::parse("192.0.2.1:51901")};
  tun::FakeTun m_tun{"fake0", {.checksum = true, .tcp4 = true, .tcp6 = true, .udp = true}};
  OneWay m_path;
  std::vector<DataPlane::Parcel> m_handed;
  DataPlane m_plane{
      m_path, m_tun, m_udp, {.mtu = 1400}, [this](DataPlane::Parcel parcel) { m_handed.push_back(std::move(parcel)); }};
};

TEST_F(HandOverTest, AFullSocketKeepsNobodyWaiting) {
  std::size_t sent = 0;
  m_network.on_send = [&sent](const net::FakeUdpNetwork::Packet&) {
    ++sent;
    return false;
  };
  inject_strangers(1, 10);
  inject_runs(12);
  m_udp.limit_sends(0);
  ASSERT_TRUE(m_plane.from_tun(TimePoint(1s)));
  EXPECT_TRUE(m_plane.waits_for());
  ASSERT_EQ(m_handed.size(), 1U);
  EXPECT_EQ(m_handed[0].packets().size(), 1U);
  m_udp.limit_sends(std::nullopt);
  for (int i = 0; i < 10; ++i) {
    m_plane.resume();
    ASSERT_TRUE(m_plane.from_tun(TimePoint(2s)));
  }
  EXPECT_EQ(sent, std::size_t{12} * ((60'000 + 1359) / 1360));
}

TEST_F(HandOverTest, WhatIsTooMuchIsDropped) {
  constexpr std::size_t kEach = 32'000;
  constexpr auto kFitting = static_cast<int>(DataPlane::kMostOnTheWay / (kEach + 20));
  inject_strangers(kFitting + 5, kEach);
  ASSERT_TRUE(m_plane.from_tun(TimePoint(1s)));
  ASSERT_TRUE(m_plane.from_tun(TimePoint(1s)));
  EXPECT_EQ(m_plane.drops().send_queue, 5U);
  m_handed.clear();  // carried
  inject_strangers(1, kEach);
  ASSERT_TRUE(m_plane.from_tun(TimePoint(1s)));
  EXPECT_EQ(m_handed.size(), 1U);
  EXPECT_EQ(m_plane.drops().send_queue, 5U);
}

}  // namespace
}  // namespace quipu::daemon
