// SPDX-License-Identifier: Apache-2.0
// Configuration of a Device and the borders of its data path. Its life with a peer is simulated in tests/sim/protocol.
#include "protocol/device.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace quipu::protocol {
namespace {

constexpr TimePoint kNow{1000s};

struct DeviceTest : testing::Test {
  crypto::SystemRng rng;
  Device device = *Device::create({crypto::generate_x25519(rng), Stamp(0)}, rng);

  PeerConfig peer(std::uint32_t id, const char* prefix) {
    PeerConfig config;
    config.id = PeerId(id);
    config.name = "peer" + std::to_string(id);
    config.public_key = crypto::x25519_public_key(crypto::generate_x25519(rng));
    config.allowed_ips = {*IpPrefix::parse(prefix)};
    config.policy.qkd = QkdUse::off;
    return config;
  }
};

Bytes packet_to(std::uint8_t last) {
  Bytes packet(28);
  packet[0] = 0x45;
  packet[16] = 10;
  packet[19] = last;
  return packet;
}

TEST_F(DeviceTest, RefusesItsOwnKeyAndDuplicates) {
  PeerConfig own = peer(1, "10.0.0.1/32");
  own.public_key = device.public_key();
  EXPECT_EQ(device.add_peer(std::move(own), kNow).error().code, Errc::refused);
  PeerConfig first = peer(1, "10.0.0.1/32");
  PeerConfig twin = peer(2, "10.0.0.2/32");
  twin.public_key = first.public_key;
  ASSERT_TRUE(device.add_peer(std::move(first), kNow));
  EXPECT_EQ(device.add_peer(std::move(twin), kNow).error().code, Errc::duplicate);
  EXPECT_EQ(device.add_peer(peer(1, "10.0.0.3/32"), kNow).error().code, Errc::duplicate);
  EXPECT_EQ(device.add_peer(peer(3, "10.0.0.1/32"), kNow).error().code, Errc::duplicate);
  EXPECT_EQ(device.status(kNow).size(), 1U);
  EXPECT_TRUE(device.add_peer(peer(3, "10.0.0.3/32"), kNow)) << "a refused peer leaves nothing behind";
}

TEST_F(DeviceTest, SaysWhichIntervalIsWrong) {
  PeerConfig config = peer(1, "10.0.0.1/32");
  config.rekey_interval = 500ms;
  const auto added = device.add_peer(std::move(config), kNow);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, Errc::out_of_range);
  EXPECT_NE(added.error().text.find("peer1: rekey_interval_s"), std::string::npos);
}

TEST_F(DeviceTest, PacketsGoToTheOwnerOfTheirDestination) {
  ASSERT_TRUE(device.add_peer(peer(1, "10.0.0.1/32"), kNow));
  Bytes out(200);
  EXPECT_EQ(device.seal(packet_to(2), out, kNow).error(), Errc::not_found);
  EXPECT_EQ(device.seal(packet_to(1), out, kNow).error(), Errc::unavailable);
  EXPECT_EQ(device.seal(Bytes{0x45, 0}, out, kNow).error(), Errc::malformed);
  EXPECT_EQ(device.seal({}, out, kNow).error(), Errc::malformed);
  EXPECT_EQ(device.status(kNow).front().queued_packets, 1U);
  EXPECT_EQ(device.statistics().no_route, 1U);
}

TEST_F(DeviceTest, UpdatesKeepTheSessionUnlessItsBasisChanged) {
  PeerConfig config = peer(1, "10.0.0.1/32");
  const auto key = config.public_key;
  ASSERT_TRUE(device.add_peer(std::move(config), kNow));
  Bytes out(200);
  static_cast<void>(device.seal(packet_to(1), out, kNow));
  Actions actions;
  PeerConfig moved = peer(1, "10.0.0.9/32");
  moved.public_key = key;
  moved.endpoint = Endpoint::parse("192.0.2.9:1");
  ASSERT_TRUE(device.update_peer(std::move(moved), kNow, actions));
  EXPECT_EQ(device.status(kNow).front().queued_packets, 1U);
  EXPECT_EQ(device.status(kNow).front().endpoint, Endpoint::parse("192.0.2.9:1"));
  EXPECT_EQ(device.seal(packet_to(1), out, kNow).error(), Errc::not_found);
  PeerConfig other = peer(1, "10.0.0.9/32");
  ASSERT_TRUE(device.update_peer(std::move(other), kNow, actions));
  EXPECT_EQ(device.status(kNow).front().queued_packets, 0U);
}

TEST_F(DeviceTest, AnUpdateThatFailsChangesNothing) {
  ASSERT_TRUE(device.add_peer(peer(1, "10.0.0.1/32"), kNow));
  ASSERT_TRUE(device.add_peer(peer(2, "10.0.0.2/32"), kNow));
  Actions actions;
  EXPECT_EQ(device.update_peer(peer(2, "10.0.0.1/32"), kNow, actions).error().code, Errc::duplicate);
  Bytes out(200);
  EXPECT_EQ(device.seal(packet_to(2), out, kNow).error(), Errc::unavailable);
}

TEST_F(DeviceTest, RemovedPeersAreGone) {
  ASSERT_TRUE(device.add_peer(peer(1, "10.0.0.1/32"), kNow));
  Actions actions;
  ASSERT_TRUE(device.remove_peer(PeerId(1), kNow, actions));
  EXPECT_EQ(device.remove_peer(PeerId(1), kNow, actions).error().code, Errc::not_found);
  Bytes out(200);
  EXPECT_EQ(device.seal(packet_to(1), out, kNow).error(), Errc::not_found);
  // An answer that comes for a request of the past is nobody's.
  device.key_fetched(KeyRequestId(1), KeyId("late"), Secret<32>{}, kNow, actions);
}

TEST_F(DeviceTest, LooksUpANameWhenAPacketWaits) {
  PeerConfig config = peer(1, "10.0.0.1/32");
  config.endpoint_name = "gateway.example:51900";
  ASSERT_TRUE(device.add_peer(std::move(config), kNow));
  Bytes out(200);
  static_cast<void>(device.seal(packet_to(1), out, kNow));
  Actions actions;
  device.advance(kNow, actions);
  const auto is_resolve = [](const Action& action) { return std::holds_alternative<ResolveEndpoint>(action); };
  EXPECT_EQ(std::ranges::count_if(actions, is_resolve), 1);
  actions.clear();
  device.advance(kNow + 1s, actions);
  EXPECT_EQ(std::ranges::count_if(actions, is_resolve), 0);
  device.stamps_reserved(Stamp(kStampRange), kNow + 1s, actions);
  device.endpoint_resolved(PeerId(1), *Endpoint::parse("192.0.2.1:51900"), kNow + 1s, actions);
  const auto sends = [](const Action& action) { return std::holds_alternative<SendDatagram>(action); };
  EXPECT_EQ(std::ranges::count_if(actions, sends), 1);
}

}  // namespace
}  // namespace quipu::protocol
