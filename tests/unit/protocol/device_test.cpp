// SPDX-License-Identifier: Apache-2.0
// Configuration of a Device and the borders of its data path. Its life with a peer is simulated in tests/sim/protocol.
#include "protocol/device.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/cookie.h"
#include "protocol/macs.h"
#include "protocol/sender_limits.h"

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

// Messages of strangers who know the device's public key: mac1 is right, nothing else is, and each costs an X25519 once
// it is opened.
struct FloodTest : DeviceTest {
  Bytes forged(MessageType type, std::size_t size) {
    Bytes message(size);
    rng.fill(message);
    ByteWriter(message).u8(static_cast<std::uint8_t>(type)).u8(kWireVersion).u16(0);
    return message;
  }

  Bytes forged_initiation() {
    Bytes message = forged(MessageType::initiation, kInitiationSize);
    write_macs(message, device.public_key());
    return message;
  }

  // Whoever asks gets a cookie for the address that is his own.
  CookieGenerator proven(const Endpoint& from, TimePoint now) {
    CookieGenerator cookies(device.public_key());
    Bytes message = forged_initiation();
    cookies.add_mac2(message, now);
    Actions actions;
    device.receive(message, from, now, actions);
    const auto* reply = actions.empty() ? nullptr : std::get_if<SendDatagram>(&actions.back());
    EXPECT_TRUE(reply != nullptr && cookies.consume_reply(reply->bytes, now)) << from.text();
    return cookies;
  }

  // How many of so many were opened.
  std::uint64_t flood(int count, const Endpoint& from, CookieGenerator* cookies, TimePoint now) {
    const std::uint64_t before = device.statistics().unknown_peer;
    for (int i = 0; i < count; ++i) {
      Bytes message = forged_initiation();
      if (cookies != nullptr) cookies->add_mac2(message, now);
      Actions actions;
      device.receive(message, from, now, actions);
    }
    return device.statistics().unknown_peer - before;
  }
};

Outcome<Sealed> seal(Device& device, ByteView packet, MutableBytes out, TimePoint now) {
  QUIPU_TRY_ASSIGN(const Route route, device.route(packet, now));
  return device.seal(route, {packet}, out, now);
}

Bytes packet_to(std::uint8_t last) {
  Bytes packet(28);
  packet[0] = 0x45;
  packet[3] = 28;
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
  EXPECT_EQ(seal(device, packet_to(2), out, kNow).error(), Errc::not_found);
  EXPECT_EQ(seal(device, packet_to(1), out, kNow).error(), Errc::unavailable);
  EXPECT_EQ(seal(device, Bytes{0x45, 0}, out, kNow).error(), Errc::malformed);
  EXPECT_EQ(seal(device, {}, out, kNow).error(), Errc::malformed);
  EXPECT_EQ(device.status(kNow).front().queued_packets, 1U);
  EXPECT_EQ(device.statistics().no_route, 1U);
}

TEST_F(DeviceTest, UpdatesKeepTheSessionUnlessItsBasisChanged) {
  PeerConfig config = peer(1, "10.0.0.1/32");
  const auto key = config.public_key;
  ASSERT_TRUE(device.add_peer(std::move(config), kNow));
  Bytes out(200);
  EXPECT_FALSE(seal(device, packet_to(1), out, kNow));
  Actions actions;
  PeerConfig moved = peer(1, "10.0.0.9/32");
  moved.public_key = key;
  moved.endpoint = Endpoint::parse("192.0.2.9:1");
  ASSERT_TRUE(device.update_peer(std::move(moved), kNow, actions));
  EXPECT_EQ(device.status(kNow).front().queued_packets, 1U);
  EXPECT_EQ(device.status(kNow).front().endpoint, Endpoint::parse("192.0.2.9:1"));
  EXPECT_EQ(seal(device, packet_to(1), out, kNow).error(), Errc::not_found);
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
  EXPECT_EQ(seal(device, packet_to(2), out, kNow).error(), Errc::unavailable);
}

// Each of many peers may start a handshake; their keys are asked for at most 64 at a time.
TEST_F(DeviceTest, AsksForTheKeysOfSoManyHandshakesAtATime) {
  constexpr std::size_t kPeers = kMaxRequestsInAll + 2;
  Actions actions;
  for (std::uint32_t i = 0; i < kPeers; ++i) {
    Identity identity{crypto::generate_x25519(rng), {}};
    identity.public_key = crypto::x25519_public_key(identity.private_key);
    PeerConfig config = peer(i, ("10.0.1." + std::to_string(i) + "/32").c_str());
    config.public_key = identity.public_key;
    config.policy.qkd = QkdUse::required;
    config.policy.sources = {{"kms", SaeId("sae-own"), SaeId("sae-peer"), KeyKind::etsi014, false}};
    InitiationPayload payload;
    payload.stamp = Stamp(1);
    payload.policy = policy_on_wire(config.policy.canonical(device.public_key(), identity.public_key));
    payload.keys = {{0, KeyKind::etsi014, KeyId("key-" + std::to_string(i)), {}, 0}};
    const auto initiation =
        Initiation::create(identity, device.public_key(), config.psk, SessionIndex(i), payload, rng);
    ASSERT_TRUE(initiation);
    ASSERT_TRUE(device.add_peer(std::move(config), kNow));
    Bytes message = initiation->message();
    // Slowly enough that no cookie is asked for.
    device.receive(message, *Endpoint::parse("192.0.2.1:51900"), kNow + Duration(20ms) * static_cast<int>(i), actions);
  }
  const auto asks = [](const Action& action) { return std::holds_alternative<RequestKey>(action); };
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count_if(actions, asks)), kMaxRequestsInAll);
  std::uint64_t refused = 0;
  for (const PeerStatus& status : device.status(kNow))
    refused += status.statistics.rejects_sent;
  EXPECT_EQ(refused, kPeers - kMaxRequestsInAll);
}

TEST_F(DeviceTest, RemovedPeersAreGone) {
  ASSERT_TRUE(device.add_peer(peer(1, "10.0.0.1/32"), kNow));
  Actions actions;
  ASSERT_TRUE(device.remove_peer(PeerId(1), kNow, actions));
  EXPECT_EQ(device.remove_peer(PeerId(1), kNow, actions).error().code, Errc::not_found);
  Bytes out(200);
  EXPECT_EQ(seal(device, packet_to(1), out, kNow).error(), Errc::not_found);
  // An answer that comes for a request of the past is nobody's.
  device.key_fetched(KeyRequestId(1), KeyId("late"), Secret<32>{}, kNow, actions);
}

// Whoever has nothing to do costs nothing; whoever has, is found.
TEST_F(DeviceTest, OnlyPeersWithSomethingToDoHaveADeadline) {
  constexpr std::uint8_t kPeers = 100;
  for (std::uint8_t i = 1; i <= kPeers; ++i) {
    PeerConfig config = peer(i, ("10.0.0." + std::to_string(i) + "/32").c_str());
    config.endpoint = Endpoint::parse("192.0.2.1:51900");
    ASSERT_TRUE(device.add_peer(std::move(config), kNow));
  }
  Actions actions;
  device.advance(kNow, actions);
  EXPECT_FALSE(device.next_deadline().has_value());
  actions.clear();
  Bytes out(200);
  EXPECT_EQ(seal(device, packet_to(7), out, kNow).error(), Errc::unavailable);
  EXPECT_EQ(device.next_deadline(), kNow);
  ASSERT_TRUE(device.remove_peer(PeerId(8), kNow, actions));
  device.advance(kNow, actions);
  for (const PeerStatus& status : device.status(kNow))
    EXPECT_EQ(status.queued_packets, status.id == PeerId(7) ? 1U : 0U);
  // Removed while it has something to do, it is no longer asked.
  EXPECT_EQ(seal(device, packet_to(9), out, kNow).error(), Errc::unavailable);
  ASSERT_TRUE(device.remove_peer(PeerId(9), kNow, actions));
  ASSERT_TRUE(device.remove_peer(PeerId(7), kNow, actions));
  EXPECT_FALSE(device.next_deadline().has_value());
}

TEST_F(DeviceTest, WhatAHostSaysToItsOwnLinkIsNoMissingRoute) {
  Bytes out(200);
  const auto expect_no_route = [&](const char* to) {
    const auto address = IpAddress::parse(to);
    const bool v4 = address->family == IpFamily::v4;
    Bytes packet(60);
    packet[0] = v4 ? 0x45 : 0x60;
    packet[v4 ? 3 : 5] = v4 ? 60 : 20;
    std::ranges::copy(address->view(), packet.begin() + (v4 ? 16 : 24));
    EXPECT_EQ(seal(device, packet, out, kNow).error(), Errc::not_found) << to;
  };
  for (const char* to : {"ff02::2", "ff02::16", "ff12::1", "224.0.0.22", "224.0.0.251"})
    expect_no_route(to);
  EXPECT_EQ(device.statistics().no_route, 0U);
  for (const char* to : {"ff05::2", "2001:db8::1", "224.0.1.1", "192.0.2.1"})
    expect_no_route(to);
  EXPECT_EQ(device.statistics().no_route, 4U);
}

TEST_F(FloodTest, ACookieBuysNoMoreThanItsShare) {
  const Endpoint attacker = *Endpoint::parse("203.0.113.9:4000");
  EXPECT_EQ(flood(1000, attacker, nullptr, kNow), kLoadThreshold);
  EXPECT_EQ(device.statistics().cookies_sent, 1000U - kLoadThreshold);
  CookieGenerator cookies = proven(attacker, kNow);
  EXPECT_EQ(flood(1000, attacker, &cookies, kNow), static_cast<std::uint64_t>(kSenderBurst));
  EXPECT_EQ(device.statistics().rate_limited, 1000U - kSenderBurst);
  EXPECT_EQ(flood(1000, attacker, &cookies, kNow + 10 * kSenderInterval), 10U);
  // Another port is the same machine.
  const Endpoint elsewhere{attacker.address, 4001, 0};
  CookieGenerator more = proven(elsewhere, kNow);
  EXPECT_EQ(flood(100, elsewhere, &more, kNow + 10 * kSenderInterval), 0U);
}

TEST_F(FloodTest, ManyAddressesShareALimitAndAPeerHasItsOwn) {
  const Endpoint known = *Endpoint::parse("192.0.2.9:51900");
  PeerConfig config = peer(1, "10.0.0.1/32");
  config.endpoint = known;
  ASSERT_TRUE(device.add_peer(std::move(config), kNow));
  flood(1000, *Endpoint::parse("203.0.113.9:4000"), nullptr, kNow);
  std::uint64_t opened = 0;
  for (int i = 0; i < 100; ++i) {
    // Half of them are one host with a /64 of its own.
    const Endpoint from = *Endpoint::parse(
        (i % 2 == 0 ? "198.51.100." + std::to_string(i) : "[2001:db8::" + std::to_string(i) + "]") + ":1");
    CookieGenerator cookies = proven(from, kNow);
    const std::uint64_t here = flood(20, from, &cookies, kNow);
    EXPECT_LE(here, static_cast<std::uint64_t>(kSenderBurst));
    opened += here;
  }
  EXPECT_EQ(opened, static_cast<std::uint64_t>(kStrangersBurst));
  CookieGenerator cookies = proven(known, kNow);
  EXPECT_EQ(flood(20, known, &cookies, kNow), static_cast<std::uint64_t>(kSenderBurst));
}

TEST_F(FloodTest, OneIpv6NetworkIsOneSender) {
  flood(1000, *Endpoint::parse("203.0.113.9:4000"), nullptr, kNow);
  std::uint64_t opened = 0;
  for (int i = 1; i <= 20; ++i) {
    const Endpoint from = *Endpoint::parse("[2001:db8:0:7::" + std::to_string(i) + "]:1");
    CookieGenerator cookies = proven(from, kNow);
    opened += flood(5, from, &cookies, kNow);
  }
  EXPECT_EQ(opened, static_cast<std::uint64_t>(kSenderBurst));
}

// The table is full of senders that are active: the rest wait until some are not.
TEST(SenderLimits, KeepsSoManyApart) {
  SenderLimits limits;
  const auto address = [](std::size_t i) {
    return IpAddress::from_octets(Bytes{10, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)});
  };
  for (std::size_t i = 0; i < kMaxStrangers; ++i)
    limits.take(address(i), kNow);
  EXPECT_FALSE(limits.take(address(kMaxStrangers), kNow + kSenderInterval / 2));
  EXPECT_TRUE(limits.take(address(0), kNow + kSenderInterval / 2));
  EXPECT_TRUE(limits.take(address(kMaxStrangers), kNow + 2s));
}

TEST_F(FloodTest, ForgedAnswersAreLimitedAsWell) {
  PeerConfig config = peer(1, "10.0.0.1/32");
  config.endpoint = Endpoint::parse("192.0.2.9:51900");
  ASSERT_TRUE(device.add_peer(std::move(config), kNow));
  Bytes out(200);
  EXPECT_FALSE(seal(device, packet_to(1), out, kNow));
  Actions actions;
  device.advance(kNow, actions);
  device.stamps_reserved(Stamp(kStampRange), kNow, actions);
  const auto* sent = std::get_if<SendDatagram>(&actions.back());
  ASSERT_TRUE(sent != nullptr && message_type(sent->bytes) == MessageType::initiation);
  const std::uint32_t index = ByteReader(ByteView(sent->bytes).subspan(4)).u32();
  actions.clear();
  const Endpoint attacker = *Endpoint::parse("203.0.113.9:4000");
  for (int i = 0; i < 1000; ++i) {
    Bytes message = forged(MessageType::response, kResponseSize);
    ByteWriter(MutableBytes(message).subspan(8)).u32(index);
    write_macs(message, device.public_key());
    device.receive(message, attacker, kNow, actions);
  }
  const auto opened = device.status(kNow).front().statistics.drops[static_cast<std::size_t>(DropReason::failed_open)];
  EXPECT_EQ(opened, kLoadThreshold);
  EXPECT_EQ(device.statistics().cookies_sent, 1000U - kLoadThreshold);
}

TEST_F(DeviceTest, LooksUpANameWhenAPacketWaits) {
  PeerConfig config = peer(1, "10.0.0.1/32");
  config.endpoint_name = "gateway.example:51900";
  ASSERT_TRUE(device.add_peer(std::move(config), kNow));
  Bytes out(200);
  EXPECT_FALSE(seal(device, packet_to(1), out, kNow));
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
