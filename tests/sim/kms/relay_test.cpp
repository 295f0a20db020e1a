// SPDX-License-Identifier: Apache-2.0
// Keys relayed over trusted nodes, in lines and rings of sites.
#include <gtest/gtest.h>

#include "kms/link_message.h"
#include "sim/kms/world.h"

namespace quipu::kms::sim {
namespace {

constexpr std::size_t kA = 0;
constexpr std::size_t kB = 1;
constexpr std::size_t kC = 2;
constexpr std::size_t kD = 3;
constexpr std::uint64_t kTarget = 16'384;

class Network {
 public:
  Network(std::uint64_t seed, unsigned sites, const Topology& topology)
      : m_topology(topology), m_world(seed, sites, {}, topology) {
    for (std::size_t i = 0; i < sites; ++i)
      m_world.start(i);
    m_world.meddle([this](std::size_t from, std::size_t to, SecretBytes message) {
      watch(from, to, message);
      return m_meddler ? m_meddler(from, to, std::move(message)) : one(std::move(message));
    });
  }

  static std::vector<SecretBytes> one(SecretBytes message) {
    std::vector<SecretBytes> out;
    out.push_back(std::move(message));
    return out;
  }

  // What a node does to the messages that it should pass as they are.
  void meddle(World::Meddler meddler) { m_meddler = std::move(meddler); }

  void connect_all() {
    for (const auto* pairs : {&m_topology.links, &m_topology.relayed})
      for (const auto& [a, b] : *pairs)
        if (!m_world.connected(a, b) && m_world.node(a).up() && m_world.node(b).up()) m_world.connect(a, b);
    m_world.settle();
  }

  // So many octets of fresh key for each QKD link.
  void feed(std::uint32_t octets = 65'536) {
    for (const auto& [a, b] : m_topology.links)
      m_world.make_block(a, b, octets, m_world.node(a).up(), m_world.node(b).up());
    m_world.settle();
  }

  void begin() {
    connect_all();
    feed();
    m_world.advance(seconds(3));
  }

  // A key from one end to the other, the same at both.
  void expect_key(std::size_t from, std::size_t to) {
    const auto enc = m_world.enc_keys(from, World::sae(from), World::sae(to));
    m_world.advance(milliseconds(600));
    ASSERT_TRUE(enc->ok()) << "no key from " << from << " to " << to << ": " << enc->error();
    const auto dec = m_world.dec_keys(to, World::sae(to), World::sae(from), enc->ids());
    m_world.advance(milliseconds(600));
    ASSERT_TRUE(dec->ok()) << "key of " << from << " not found at " << to << ": " << dec->error();
  }

  // So many that more have to be relayed.
  void take_keys(std::size_t from, std::size_t to) {
    etsi::KeyRequest many;
    many.number = 100;
    const auto taken = m_world.enc_keys(from, World::sae(from), World::sae(to), many);
    m_world.settle();
    ASSERT_TRUE(taken->ok()) << taken->error();
  }

  int reported(const std::string& event) const {
    const auto found = m_world.reports().find(event);
    return found == m_world.reports().end() ? 0 : found->second;
  }

  std::uint64_t stock(std::size_t at, std::size_t with) const { return m_world.pool(at, with).books.stock; }

  World& world() { return m_world; }

  std::size_t hops() const { return m_hops; }

 private:
  // Every slot of a link is used for one hop or one key, and for nothing else.
  void watch(std::size_t from, std::size_t to, const SecretBytes& octets) {
    const auto message = wire::decode(octets.view());
    if (!message) return;
    const auto use = [&](const LeaseId& lease, std::uint16_t slot, std::uint16_t slots, const std::string& what) {
      for (std::uint16_t i = 0; i < slots; ++i) {
        const auto [place, fresh] =
            m_used.emplace(std::tuple(from, to, lease, static_cast<std::uint16_t>(slot + i)), what);
        EXPECT_EQ(place->second, what) << "one slot was used twice";
      }
    };
    if (const auto* hop = std::get_if<wire::RelayHop>(&*message)) {
      ++m_hops;
      for (const wire::PadPart& part : hop->pad)
        use(part.lease, part.slot, part.slots, "hop " + hop->relay.value().text());
    } else if (const auto* binding = std::get_if<wire::Binding>(&*message)) {
      use(binding->lease, binding->slot, binding->slots, "binding " + std::to_string(binding->number.value()));
    }
  }

  Topology m_topology;
  World m_world;
  World::Meddler m_meddler;
  std::map<std::tuple<std::size_t, std::size_t, LeaseId, std::uint16_t>, std::string> m_used;
  std::size_t m_hops = 0;
};

template <class M>
bool is(const SecretBytes& octets) {
  const auto message = wire::decode(octets.view());
  return message && std::holds_alternative<M>(*message);
}

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

TEST(Relay, WaitsForKeyAndGoesOnWhenThereIsSome) {
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
  net.world().advance(seconds(5));
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

// Rests of large keys are no leases that a block's pad could wait for.
TEST(Relay, IsNotStarvedByRestsOfLargeKeys) {
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

// Nodes die and come back, links break, old copies return, messages of relayed blocks are altered, dropped, repeated.
class Trouble {
 public:
  Trouble(std::uint64_t seed, unsigned sites, const Topology& topology)
      : m_topology(topology), m_net(seed, sites, topology), m_sites(sites) {
    m_net.meddle([this](std::size_t, std::size_t, SecretBytes octets) { return meddled(std::move(octets)); });
    m_net.connect_all();
    m_net.feed(16'384);
  }

  void steps(int count) {
    for (int i = 0; i < count && !::testing::Test::HasFailure(); ++i)
      step();
  }

  void heal_and_check() {
    m_hostile = false;
    for (std::size_t i = 0; i < m_sites; ++i) {
      m_net.world().node(i).store.calm();
      if (!m_net.world().node(i).up()) m_net.world().start(i);
    }
    m_net.connect_all();
    m_net.feed();
    m_net.world().advance(seconds(20));
    for (const auto& [a, b] : m_topology.relayed) {
      m_net.expect_key(a, b);
      m_net.expect_key(b, a);
    }
    m_net.world().advance(std::chrono::minutes(2));
    for (const auto& [a, b] : m_topology.relayed) {
      EXPECT_EQ(m_net.stock(a, b), m_net.stock(b, a));
      EXPECT_EQ(m_net.world().pool(b, a).books.held, 0U);
      EXPECT_EQ(m_net.world().relay(a).routes[0].in_flight, 0U) << "a relayed block was never ended";
    }
  }

  std::size_t keys() { return m_net.world().ledger().masters(); }

 private:
  SeededRng& rng() { return m_net.world().rng(); }

  std::vector<SecretBytes> meddled(SecretBytes octets) {
    if (!m_hostile || !is<wire::RelayHop>(octets) || !rng().chance(10)) return Network::one(std::move(octets));
    if (rng().chance(50)) return {};
    octets.mutable_view()[octets.size() - 1 - rng().below(64)] ^= 1;
    return Network::one(std::move(octets));
  }

  void step() {
    World& world = m_net.world();
    const std::uint32_t dice = rng().below(100);
    const std::size_t at = rng().below(m_sites);
    if (dice < 8) {
      const auto& [a, b] = m_topology.links[rng().below(static_cast<std::uint32_t>(m_topology.links.size()))];
      world.make_block(a, b, 1'024 + 32 * rng().below(256), world.node(a).up(), world.node(b).up());
    } else if (dice < 20) {
      const auto& [a, b] = m_topology.relayed[0];
      world.enc_keys(a, World::sae(a), World::sae(b));
    } else if (dice < 24) {
      cut_or_connect();
    } else if (dice < 28) {
      crash_or_start(at);
    } else if (dice < 29) {
      m_backup[at] = world.node(at).store.disk();
    } else if (dice < 30 && at == 0 && m_backup.contains(at)) {
      world.kill(at);
      world.node(at).store.restore(m_backup[at]);
      world.start(at);
    } else if (dice < 90) {
      for (std::uint32_t n = rng().below(30); n > 0; --n)
        world.carry_one();
    } else {
      world.advance(milliseconds(rng().below(rng().chance(5) ? 7'000 : 300)));
    }
    for (const std::size_t index : world.take_struck())
      if (rng().chance(80)) world.start(index);
  }

  void cut_or_connect() {
    const auto& pairs = rng().chance(70) ? m_topology.links : m_topology.relayed;
    const auto& [a, b] = pairs[rng().below(static_cast<std::uint32_t>(pairs.size()))];
    if (m_net.world().connected(a, b) && rng().chance(50))
      m_net.world().disconnect(a, b, rng().below(5));
    else if (m_net.world().node(a).up() && m_net.world().node(b).up())
      m_net.world().connect(a, b);
  }

  void crash_or_start(std::size_t at) {
    World& world = m_net.world();
    if (!world.node(at).up())
      world.start(at);
    else if (rng().chance(50))
      world.kill(at);
    else
      world.node(at).store.strike(1 + rng().below(4),
                                  rng().chance(50) ? MemoryStore::Strike::before : MemoryStore::Strike::after);
    m_net.connect_all();
  }

  Topology m_topology;
  Network m_net;
  unsigned m_sites;
  bool m_hostile = true;
  std::map<std::size_t, MemoryStore::Disk> m_backup;
};

#ifdef QUIPU_SANITIZED
constexpr std::uint64_t kSeeds = 5;
#else
constexpr std::uint64_t kSeeds = 20;
#endif

// QUIPU_SIM_SEED and QUIPU_SIM_SEEDS as in disaster_test.cpp.
void run_all(unsigned sites, const Topology& topology) {
  const char* one = std::getenv("QUIPU_SIM_SEED");
  const char* many = std::getenv("QUIPU_SIM_SEEDS");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr ? 1 : many != nullptr ? std::strtoull(many, nullptr, 10) : kSeeds;
  std::size_t keys = 0;
  for (std::uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("QUIPU_SIM_SEED=" + std::to_string(seed));
    Trouble trouble(seed, sites, topology);
    trouble.steps(300);
    if (!::testing::Test::HasFailure()) trouble.heal_and_check();
    keys += trouble.keys();
  }
  EXPECT_GT(keys, 4 * count) << "hardly a key was handed out: that proves nothing";
}

TEST(RelayTrouble, InALine) {
  run_all(4, Topology::line(4, kTarget));
}

TEST(RelayTrouble, InARing) {
  run_all(5, Topology::ring(5, {{kA, kC}}, kTarget));
}

}  // namespace
}  // namespace quipu::kms::sim
