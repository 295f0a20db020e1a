// SPDX-License-Identifier: Apache-2.0
// The campaign of the relay, by seed: then all works again by itself.
#pragma once

#include "sim/kms/relay_network.h"

namespace quipu::kms::sim {

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

  int repeated() const { return m_repeated; }

  std::size_t keys() { return m_net.world().ledger().masters(); }

 private:
  SeededRng& rng() { return m_net.world().rng(); }

  // A repeated hop has a number that its sender never gave; nobody gets the answer to it.
  std::vector<SecretBytes> meddled(SecretBytes octets) {
    constexpr std::uint8_t kRepeated = 0x80;  // in the first octet of a request's number
    if ((is<wire::Ack>(octets) || is<wire::Refused>(octets)) && (octets.view()[1] & kRepeated) != 0) return {};
    if (!m_hostile || !is<wire::RelayHop>(octets) || !rng().chance(15)) return Network::one(std::move(octets));
    if (rng().chance(33)) return {};
    if (rng().chance(50)) {
      octets.mutable_view()[octets.size() - 1 - rng().below(64)] ^= 1;
      return Network::one(std::move(octets));
    }
    ++m_repeated;
    std::vector<SecretBytes> both = Network::one(octets.clone());
    octets.mutable_view()[1] |= kRepeated;
    both.push_back(std::move(octets));
    return both;
  }

  void step() {
    World& world = m_net.world();
    const std::uint32_t dice = rng().below(100);
    const std::size_t at = rng().below(m_sites);
    if (dice < 8) {
      const auto& [a, b] = m_topology.links[rng().below(static_cast<std::uint32_t>(m_topology.links.size()))];
      world.make_block(a, b, 1'024 + 32 * rng().below(256), world.node(a).up(), world.node(b).up());
    } else if (dice < 20) {
      // Of the links, too, at either end: such keys and the pads of the relay come out of one stock.
      auto [a, b] = rng().chance(60)
                        ? m_topology.relayed[0]
                        : m_topology.links[rng().below(static_cast<std::uint32_t>(m_topology.links.size()))];
      if (rng().chance(50)) std::swap(a, b);
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
  int m_repeated = 0;
  std::map<std::size_t, MemoryStore::Disk> m_backup;
};

}  // namespace quipu::kms::sim
