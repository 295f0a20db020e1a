// SPDX-License-Identifier: Apache-2.0
// Keys relayed over trusted nodes, in lines and rings of sites.
#include <gmock/gmock.h>

#include <algorithm>

#include "sim/kms/relay_network.h"

namespace quipu::kms::sim {
namespace {

TEST(Relay, FillsThePoolOfTwoEndsOverTwoTrustedNodes) {
  Network net(1, 4, Topology::line(4, kTarget));
  net.begin();
  EXPECT_GE(net.stock(kA, kD) + net.world().pool(kA, kD).books.leased, kTarget);
  EXPECT_EQ(net.stock(kA, kD), net.stock(kD, kA));
  net.expect_key(kA, kD);
  net.expect_key(kD, kA);
  const RelayStatus status = net.world().relay(kA);
  ASSERT_EQ(status.routes.size(), 1U);
  EXPECT_EQ(status.routes[0].links.size(), 3U);
  EXPECT_EQ(status.routes[0].failed + status.routes[0].voided, 0U);
  EXPECT_EQ(net.world().relay(kB).forwarded, status.routes[0].relayed);
  EXPECT_TRUE(net.world().pool(kA, kD).simulated) << "key of a simulated device passed for real";
  EXPECT_TRUE(net.world().pool(kD, kA).simulated);
  // It is kept at its target, and no fuller.
  const std::size_t hops = net.hops();
  net.world().advance(seconds(10));
  EXPECT_EQ(net.hops(), hops);
}

// a-b-c and a-e-d-c lead from a to c.
TEST(Relay, GoesAnotherWayWithinTwoSecondsAfterANodeHasDied) {
  Network net(3, 5, Topology::ring(5, {{kA, kC}}, kTarget));
  net.begin();
  ASSERT_EQ(net.world().relay(kA).routes[0].links.size(), 2U);
  net.world().kill(kB);
  const std::uint64_t before = net.world().relay(kA).routes[0].relayed;
  net.take_keys(kA, kC);
  net.world().advance(seconds(2));
  const RelayRouteStatus route = net.world().relay(kA).routes[0];
  EXPECT_EQ(route.links.size(), 3U);
  EXPECT_GT(route.relayed, before);
  net.expect_key(kA, kC);
}

// Its connections stand, but it answers nothing.
TEST(Relay, GoesAnotherWayWithinTwoSecondsAroundANodeThatIsSilent) {
  Network net(4, 5, Topology::ring(5, {{kA, kC}}, kTarget));
  net.begin();
  const std::uint64_t before = net.world().relay(kA).routes[0].relayed;
  net.meddle([](std::size_t from, std::size_t, SecretBytes message) {
    return from == kB ? std::vector<SecretBytes>() : Network::one(std::move(message));
  });
  net.take_keys(kA, kC);
  net.world().advance(seconds(2));
  EXPECT_GT(net.world().relay(kA).routes[0].relayed, before);
}

TEST(Relay, AConfiguredPathIsTaken) {
  Topology topology = Topology::ring(5, {{kA, kC}}, kTarget);
  topology.routes[kA] = {{KmeId("c"), {KmeId("e"), KmeId("d")}}};
  Network net(5, 5, topology);
  net.begin();
  EXPECT_TRUE(net.world().relay(kA).routes[0].configured);
  EXPECT_GT(net.stock(kA, kC), 0U);
  EXPECT_EQ(net.world().relay(kB).forwarded, 0U);
  EXPECT_GT(net.world().relay(kD).forwarded, 0U);
}

Topology two_paths() {
  Topology ring = Topology::ring(5, {{kA, kC}}, kTarget);
  ring.paths = 2;
  return ring;
}

TEST(Relay, EachBlockComesOverTwoPathsWithoutANodeInCommon) {
  Network net(13, 5, two_paths());
  net.begin();
  EXPECT_GE(net.stock(kA, kC) + net.world().pool(kA, kC).books.leased, kTarget);
  EXPECT_EQ(net.stock(kA, kC), net.stock(kC, kA));
  const RelayRouteStatus route = net.world().relay(kA).routes[0];
  EXPECT_EQ(route.paths_found, 2U);
  EXPECT_EQ(route.failed + route.voided, 0U);
  std::vector<std::string> links;
  links.reserve(route.links.size());
  for (const RelayLinkStatus& link : route.links)
    links.push_back(std::to_string(link.path) + link.from.value() + link.to.value());
  EXPECT_EQ(links, (std::vector<std::string>{"1ab", "1bc", "2ae", "2ed", "2dc"}));
  for (const std::size_t node : {kB, kD, kE})
    EXPECT_EQ(net.world().relay(node).forwarded, route.relayed);
  net.expect_key(kA, kC);
  net.expect_key(kC, kA);
}

TEST(Relay, NothingGoesOverFewerPathsThanThereShallBe) {
  Network net(14, 5, two_paths());
  net.begin();
  net.world().kill(kB);
  net.world().advance(seconds(2));
  const std::size_t hops = net.hops();
  const std::uint64_t before = net.world().relay(kA).routes[0].relayed;
  net.take_keys(kA, kC);
  net.world().advance(seconds(20));
  EXPECT_EQ(net.hops(), hops);
  EXPECT_EQ(net.world().relay(kA).routes[0].paths_found, 1U);
  EXPECT_TRUE(net.world().relay(kA).routes[0].links.empty());
  net.world().start(kB);
  net.connect_all();
  net.feed();
  net.world().advance(seconds(5));
  EXPECT_GT(net.world().relay(kA).routes[0].relayed, before);
  net.expect_key(kA, kC);
}

// One share is as good as none; the other one is erased at the destination.
TEST(Relay, ABlockOfWhichAShareFailsIsNeitherHereNorThere) {
  Network net(15, 5, two_paths());
  net.meddle([](std::size_t from, std::size_t, SecretBytes octets) {
    if (from == kE && is<wire::RelayHop>(octets)) octets.mutable_view()[octets.size() / 2] ^= 1;
    return Network::one(std::move(octets));
  });
  net.begin();
  net.world().advance(seconds(10));
  const RelayRouteStatus route = net.world().relay(kA).routes[0];
  EXPECT_GT(route.failed, 0U);
  EXPECT_EQ(route.relayed, 0U);
  EXPECT_GT(net.reported("relay_incomplete"), 0);
  EXPECT_EQ(net.stock(kA, kC) + net.stock(kC, kA) + net.world().pool(kC, kA).books.held, 0U);
  net.meddle({});
  net.world().advance(seconds(12));
  EXPECT_EQ(net.stock(kA, kC), net.stock(kC, kA));
  net.expect_key(kA, kC);
}

// Who holds the source's configuration can make it send everything over one node; the destination does not take it.
TEST(Relay, BothEndsHaveToBeConfiguredForAsManyPaths) {
  Network net(16, 5, Topology::ring(5, {{kA, kC}}, kTarget));
  net.world().kill(kC);
  net.world().configure = [](KmeConfig& config) {
    for (PeerConfig& peer : config.peers)
      if (config.id == KmeId("c") && peer.id == KmeId("a")) peer.relay_paths = 2;
  };
  net.world().start(kC);
  net.begin();
  EXPECT_EQ(net.stock(kC, kA) + net.world().pool(kC, kA).books.held, 0U);
  const RelayRouteStatus route = net.world().relay(kA).routes[0];
  EXPECT_GT(route.failed, 0U);
  EXPECT_THAT(route.last_failure, testing::StartsWith("paths from "));
  EXPECT_TRUE(route.failing);
  EXPECT_FALSE(route.starved);
  net.world().advance(seconds(10));
  EXPECT_TRUE(net.world().relay(kA).routes[0].starved);
  EXPECT_TRUE(net.world().relay(kC).routes[0].starved);
}

// b has relayed key of its own, so its links are known: nobody else's key goes over it.
TEST(Relay, GoesOverTrustedNodesOnly) {
  Topology topology = Topology::ring(5, {{kA, kC}, {kB, kD}}, kTarget);
  topology.trusted.erase(kB);
  Network net(6, 5, topology);
  net.begin();
  EXPECT_GT(net.stock(kA, kC), 0U);
  EXPECT_EQ(net.world().relay(kB).forwarded, 0U);
  EXPECT_EQ(net.world().relay(kA).routes[0].links.size(), 3U);
}

// A pad out of it could be key that e, d and c know.
TEST(Relay, GoesOverNoLinkWhosePoolIsFedByRelayToo) {
  for (const bool combined : {false, true}) {
    Topology topology = Topology::ring(5, {{kA, kC}, {kA, kB}}, kTarget);
    Network net(21, 5, topology);
    World& world = net.world();
    for (const std::size_t site : {kA, kB})
      world.kill(site);
    world.configure = [&](KmeConfig& config) {
      for (PeerConfig& peer : config.peers)
        if (peer.relay_target_octets != 0 && (config.id == KmeId("b") || peer.id == KmeId("b")))
          peer.min_sources = combined ? 2 : 1;
    };
    for (const std::size_t site : {kA, kB})
      world.start(site);
    net.begin();
    const RelayStatus status = world.relay(kA);
    const auto route = std::ranges::find(status.routes, KmeId("c"), &RelayRouteStatus::peer);
    ASSERT_NE(route, status.routes.end());
    EXPECT_EQ(route->links.size(), combined ? 2U : 3U);
    EXPECT_GT(net.stock(kA, kC), 0U);
  }
}

// What of it is in stock stays relayed key when nothing more is relayed into that pool.
TEST(Relay, GoesOverNoLinkWhosePoolWasFedByRelayBefore) {
  Network net(21, 5, Topology::ring(5, {{kA, kC}, {kA, kB}}, kTarget));
  World& world = net.world();
  net.begin();
  while (net.stock(kA, kB) >= kTarget)  // of the link's key there is more
    net.take_keys(kA, kB);
  const auto links = [&] {
    const RelayStatus status = world.relay(kA);
    return std::ranges::find(status.routes, KmeId("c"), &RelayRouteStatus::peer)->links.size();
  };
  world.advance(seconds(3));
  ASSERT_EQ(links(), 3U);
  world.configure = [](KmeConfig& config) {
    for (PeerConfig& peer : config.peers)
      if (config.id == KmeId("b") || peer.id == KmeId("b")) peer.relay_target_octets = 0;
  };
  const auto restart = [&] {
    for (const std::size_t site : {kA, kB})
      world.kill(site);
    for (const std::size_t site : {kA, kB})
      world.start(site);
    net.connect_all();
    net.feed();
    world.advance(seconds(5));
  };
  restart();
  EXPECT_EQ(links(), 3U);
  world.void_pool(kA, kB);
  net.connect_all();  // voiding ends the connection, and the next contact tells the other end
  restart();
  EXPECT_EQ(links(), 2U);
}

World::Meddler speaking_for_b(std::size_t liar, std::size_t to_whom) {
  return [liar, to_whom](std::size_t from, std::size_t to, SecretBytes octets) {
    std::vector<SecretBytes> out = Network::one(std::move(octets));
    if (from == liar && to == to_whom)
      out.push_back(wire::encode(wire::LinkState{KmeId("b"), wire::kMaxSequence, 0, true, {}}));
    return out;
  };
}

TEST(Relay, WhoSharesNoQkdLinkSpeaksForNobody) {
  Network net(17, 4, Topology::line(4, kTarget));
  net.begin();
  net.meddle(speaking_for_b(kD, kA));
  net.take_keys(kA, kD);
  net.world().advance(seconds(5));
  EXPECT_EQ(net.world().relay(kA).routes[0].links.size(), 3U);
  net.expect_key(kA, kD);
}

TEST(Relay, WhoIsSpokenForSaysSo) {
  Network net(17, 4, Topology::line(4, kTarget));
  net.begin();
  net.meddle(speaking_for_b(kC, kB));
  net.take_keys(kA, kD);
  net.world().advance(seconds(5));
  EXPECT_EQ(net.reported("link_state_forged"), 1);
}

// At the hop where it was altered it fails; the key of that hop is burnt, and others are sent.
TEST(Relay, AnAlteredHopIsRefusedAndTold) {
  Network net(7, 4, Topology::line(4, kTarget));
  net.meddle([](std::size_t from, std::size_t, SecretBytes octets) {
    if (from == kB && is<wire::RelayHop>(octets)) octets.mutable_view()[octets.size() / 2] ^= 1;
    return Network::one(std::move(octets));
  });
  net.begin();
  EXPECT_GT(net.reported("relay_forged"), 0);
  EXPECT_EQ(net.stock(kA, kD), 0U);
  const RelayStatus told = net.world().relay(kA);
  EXPECT_GT(told.routes[0].failed, 0U);
  EXPECT_EQ(told.routes[0].in_flight, 0U);
  EXPECT_LT(told.routes[0].failed, 100U) << "a path that fails at once burns key without end";
  net.meddle({});
  net.world().advance(seconds(12));
  EXPECT_GT(net.stock(kA, kD), 0U);
  net.expect_key(kA, kD);
}

// A trusted node that alters what it has in clear, and seals that well: the ends find it out.
TEST(Relay, OtherOctetsAtTheFarEndAreVoidAtBoth) {
  Network net(8, 4, Topology::line(4, kTarget));
  net.meddle([](std::size_t from, std::size_t to, SecretBytes octets) {
    auto message = wire::decode(octets.view());
    auto* held = from == kD && to == kA && message ? std::get_if<wire::VoidRequest>(&*message) : nullptr;
    if (held == nullptr) return Network::one(std::move(octets));
    for (wire::OfferedBlock& block : held->blocks)
      block.digest[0] ^= 1;
    return Network::one(wire::encode(*message));
  });
  net.begin();
  EXPECT_GT(net.reported("relay_differs"), 0);
  EXPECT_GT(net.world().relay(kA).routes[0].voided, 0U);
  EXPECT_EQ(net.stock(kA, kD), 0U);
  EXPECT_EQ(net.stock(kD, kA), 0U);
  EXPECT_EQ(net.world().pool(kD, kA).books.held, 0U);
  EXPECT_GT(net.world().pool(kD, kA).books.voided, 0U);
}

// What arrives after the source has given it up is void at both ends.
TEST(Relay, ABlockThatComesTooLateIsVoid) {
  Network net(9, 4, Topology::line(4, kTarget));
  net.connect_all();
  net.world().disconnect(kA, kD);
  net.connect_all();
  bool hold_offers = true;
  net.meddle([&](std::size_t from, std::size_t to, SecretBytes octets) {
    const bool lost = hold_offers && from == kD && to == kA && is<wire::VoidRequest>(octets);
    return lost ? std::vector<SecretBytes>() : Network::one(std::move(octets));
  });
  net.feed();
  // The stocks are told after a second; the path is searched for as soon as the last of them may be looked at.
  net.world().advance(milliseconds(5'500));
  EXPECT_GT(net.world().relay(kA).routes[0].failed, 0U);
  EXPECT_GT(net.world().pool(kD, kA).books.held, 0U);
  hold_offers = false;
  net.world().disconnect(kA, kD);
  net.connect_all();
  net.world().advance(seconds(3));
  EXPECT_GT(net.world().pool(kD, kA).books.voided, 0U);
  EXPECT_EQ(net.world().pool(kD, kA).books.held, 0U);
  EXPECT_EQ(net.stock(kA, kD), net.stock(kD, kA));
  net.expect_key(kA, kD);
}

// The leases die with the run that took them, and no pad came out of what was not acknowledged.
TEST(Relay, ARestoredSourceUsesNoSlotTwice) {
  Network net(12, 3, Topology::line(3, kTarget));
  net.restore_source_after_lost_leases();
  EXPECT_GT(net.world().relay(kA).routes[0].relayed, 0U);
}

// a says more of itself than it should: d hears no more than one state a second of it.
TEST(Relay, AFloodOfLinkStatesGoesNoFurther) {
  Network net(10, 4, Topology::line(4, kTarget));
  int told = 0;
  int passed_on = 0;
  net.meddle([&](std::size_t from, std::size_t to, SecretBytes octets) {
    auto message = wire::decode(octets.view());
    auto* state = message ? std::get_if<wire::LinkState>(&*message) : nullptr;
    if (state == nullptr || state->origin != KmeId("a") || from > to) return Network::one(std::move(octets));
    passed_on += from == kC ? 1 : 0;
    std::vector<SecretBytes> out;
    for (std::uint64_t base = 100 * state->sequence; from == kA && out.size() < 100; ++told) {
      state->sequence = base + out.size();
      out.push_back(wire::encode(*message));
    }
    return out.empty() ? Network::one(std::move(octets)) : std::move(out);
  });
  net.begin();
  net.world().advance(seconds(7));
  EXPECT_GT(told, 200);
  EXPECT_GT(passed_on, 0);
  EXPECT_LE(passed_on, 11);
}

// At 10 Mbit/s there are 40 of them a second, which would fill the disk in the month that others are kept.
TEST(Relay, RecordsOfUsedBlocksAreDroppedAfterAnHour) {
  Network net(12, 3, Topology::line(3, kTarget));
  net.begin();
  const auto use_blocks = [&] {
    for (int i = 0; i < 30; ++i) {
      net.feed();
      net.take_keys(kA, kC);
      net.world().advance(seconds(1));
    }
  };
  use_blocks();
  const auto ended = [&](std::size_t at, const char* with) {
    const MemoryStore::Disk disk = net.world().node(at).store.disk();
    return std::ranges::count_if(disk.at(KmeId(with)).blocks, [](const auto& entry) {
      return entry.second.source == kRelaySource && entry.second.state == BlockState::used;
    });
  };
  net.world().advance(std::chrono::minutes(61));
  const auto of_source = ended(kA, "c");
  const auto of_destination = ended(kC, "a");
  use_blocks();
  EXPECT_LT(ended(kA, "c"), of_source);
  EXPECT_LT(ended(kC, "a"), of_destination);
  net.expect_key(kA, kC);
}

TEST(RelayConfiguration, TakesNoMorePathsThanThereCanBe) {
  MemoryStore store;
  SeededRng rng(1);
  KmeConfig config{.id = KmeId("a"), .saes = {}, .peers = {}, .sources = {}, .limits = {}};
  config.peers.push_back({.id = KmeId("b"), .saes = {}, .relay_target_octets = kTarget});
  const auto starts = [&](std::uint32_t paths) {
    config.peers[0].relay_paths = paths;
    return Kme::start(config, store, rng, {}, {}).has_value();
  };
  EXPECT_FALSE(starts(0));
  EXPECT_TRUE(starts(wire::kMaxRelayPaths));
  EXPECT_FALSE(starts(wire::kMaxRelayPaths + 1));
  config.relay.routes = {{KmeId("b"), {KmeId("c")}}};
  EXPECT_TRUE(starts(1));
  EXPECT_FALSE(starts(2)) << "a static route is one path";
}

}  // namespace
}  // namespace quipu::kms::sim
