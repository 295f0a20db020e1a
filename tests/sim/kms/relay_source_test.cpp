// SPDX-License-Identifier: Apache-2.0
// What the source of relayed blocks waits for: key of its links, and octets of its entropy source.
#include <gmock/gmock.h>

#include "kms/relay/health_tests.h"
#include "sim/kms/relay_network.h"

namespace quipu::kms::sim {
namespace {

TEST(RelaySource, WaitsForKeyAndGoesOnWhenThereIsSome) {
  Network net(2, 4, Topology::line(4, kTarget));
  net.connect_all();
  net.world().make_block(kA, kB, 65'536);
  net.world().make_block(kC, kD, 65'536);
  net.world().advance(seconds(5));
  EXPECT_EQ(net.stock(kA, kD), 0U);
  EXPECT_TRUE(net.world().relay(kA).routes[0].links.empty());
  net.world().make_block(kB, kC, 65'536);
  net.world().advance(seconds(3));
  EXPECT_GE(net.stock(kA, kD), kTarget / 2);
}

// While it has nobody to send to, it asks the link for no key, and so learns nothing of it.
TEST(RelaySource, AWaitForKeyEndsWithWhatInterruptsIt) {
  Network net(5, 3, Topology::line(3, kTarget));
  net.begin();
  bool hold = true;
  std::vector<SecretBytes> leases;  // of a's key with b, on their way
  net.meddle([&](std::size_t from, std::size_t to, SecretBytes message) {
    if (from != kA || to != kB || (hold && !is<wire::Lease>(message))) return Network::one(std::move(message));
    leases.push_back(std::move(message));
    return hold ? std::vector<SecretBytes>() : std::exchange(leases, {});
  });
  for (int i = 0; i < 4; ++i)
    net.take_keys(kA, kC);
  net.world().advance(milliseconds(500));
  ASSERT_FALSE(leases.empty());
  ASSERT_LT(net.stock(kA, kC), kTarget / 2) << "it waits for key";
  net.world().disconnect(kA, kC);
  net.world().advance(seconds(1));
  net.world().connect(kA, kC);
  net.world().settle();
  hold = false;
  net.feed(1'024);  // so that it speaks
  net.world().advance(seconds(2));
  EXPECT_EQ(net.reported("relay_failed"), 0);
  EXPECT_GE(net.stock(kA, kC), kTarget / 2);
}

// Over two paths each block takes as many octets of the source for each share.
TEST(RelaySource, WithoutOctetsOfItsEntropySourceNoBlockIsMade) {
  Topology ring = Topology::ring(5, {{kA, kC}}, kTarget);
  ring.paths = 2;
  Network net(17, 5, ring);
  net.world().kill(kA);
  net.world().configure = [](KmeConfig& config) { config.relay.entropy_source = config.id == KmeId("a"); };
  net.world().start(kA);
  net.begin();
  EXPECT_EQ(net.hops(), 0U);
  EXPECT_EQ(net.world().relay(kA).routes[0].last_failure, "") << "no link is to blame";
  Bytes octets(kStartUpSamples + 3 * kTarget);
  net.world().rng().fill(octets);
  net.world().feed_entropy(kA, octets);
  net.world().advance(seconds(3));
  const RelayStatus status = net.world().relay(kA);
  EXPECT_GT(status.routes[0].relayed, 0U);
  EXPECT_EQ(status.entropy->used_octets, 2 * (net.stock(kA, kC) + net.world().pool(kA, kC).books.leased));
  EXPECT_FALSE(net.world().relay(kC).entropy);
  net.expect_key(kA, kC);
  // What is left is not used either, once the source is stuck.
  net.world().feed_entropy(kA, Bytes(100, 1));
  EXPECT_EQ(net.reported("relay_entropy_failed"), 1);
  const std::size_t hops = net.hops();
  net.take_keys(kA, kC);
  net.world().advance(seconds(20));
  EXPECT_EQ(net.hops(), hops);
}

// Blocks to c are short, for the link b-c has little key. Of a slow source they must not take all that those to d need.
TEST(RelaySource, EachPoolHasItsShareOfTheEntropySource) {
  Network net(18, 5, Topology::ring(5, {{kA, kC}, {kA, kD}}, 4 * kTarget));
  World& world = net.world();
  world.kill(kA);
  world.configure = [](KmeConfig& config) { config.relay.entropy_source = config.id == KmeId("a"); };
  world.start(kA);
  net.connect_all();
  world.make_block(kA, kB, 65'536);
  world.make_block(kB, kC, 8'192);
  for (int i = 0; i < 3; ++i) {
    world.make_block(kA, kE, 65'536);
    world.make_block(kE, kD, 65'536);
  }
  Bytes octets(kStartUpSamples);
  world.rng().fill(octets);
  world.feed_entropy(kA, octets);
  octets.resize(1'024);
  for (int i = 0; i < 40; ++i) {
    world.advance(milliseconds(200));
    world.rng().fill(octets);
    world.feed_entropy(kA, octets);
    world.make_block(kB, kC, 1'056);
  }
  world.advance(seconds(1));
  const RelayStatus status = world.relay(kA);
  EXPECT_GT(status.routes[0].relayed, 0U);
  EXPECT_GT(status.routes[1].relayed, 0U);
  EXPECT_EQ(status.routes[0].failed + status.routes[1].failed, 0U);
}

// Rests of large keys are no leases that a block's pad could wait for.
TEST(RelaySource, IsNotStarvedByRestsOfLargeKeys) {
  Network net(11, 3, Topology::line(3, 4 * kTarget));
  net.begin();
  etsi::KeyRequest large;
  large.size_bits = 8 * 25 * kSlotSize;
  for (int i = 0; i < 400; ++i) {
    const auto taken = net.world().enc_keys(kB, World::sae(kB), World::sae(kC), large);
    net.world().settle();
    if (i % 20 == 0) net.feed();
  }
  const std::uint64_t before = net.world().relay(kA).routes[0].relayed;
  net.take_keys(kA, kC);
  net.take_keys(kA, kC);
  net.world().advance(seconds(5));
  EXPECT_GT(net.world().relay(kA).routes[0].relayed, before);
  EXPECT_EQ(net.world().relay(kA).routes[0].failed, 0U);
}

}  // namespace
}  // namespace quipu::kms::sim
