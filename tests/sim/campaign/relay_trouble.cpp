// SPDX-License-Identifier: Apache-2.0
#include "sim/campaign/relay_trouble.h"

#include <utility>

namespace quipu::kms::sim {

Trouble::Trouble(std::uint64_t seed, unsigned sites, const Topology& topology)
    : m_topology(topology), m_net(seed, sites, topology), m_sites(sites) {
  m_net.meddle([this](std::size_t, std::size_t, SecretBytes octets) { return meddled(std::move(octets)); });
  m_net.connect_all();
  m_net.feed(16'384);
}

void Trouble::steps(int count) {
  for (int i = 0; i < count && !::testing::Test::HasFailure() && !m_net.is_violated(); ++i)
    step();
}

Tally Trouble::tally() {
  Tally all = m_tally;
  for (const auto& outcome : m_asked)
    all.keys.add(*outcome);
  all.masters = m_net.world().ledger().masters();
  return all;
}

void Trouble::heal_and_check() {
  m_hostile = false;
  if (m_clone) {
    // Two copies were refused: the operator stops one and restarts the other.
    m_net.world().kill(*m_clone);
    m_net.world().kill(kSource);
  }
  for (std::size_t i = 0; i < m_sites; ++i) {
    m_net.world().node(i).store.calm();
    if (!m_net.world().node(i).up()) m_net.world().start(i);
  }
  m_net.connect_all();
  m_net.feed();
  // A message that was lost before may still end a connection, which is dialled again.
  for (int i = 0; i < 20; ++i) {
    m_net.connect_all();
    m_net.world().advance(seconds(1));
  }
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

// A repeated hop has a number that its sender never gave; nobody gets the answer to it.
std::vector<SecretBytes> Trouble::meddled(SecretBytes octets) {
  constexpr std::uint8_t kRepeated = 0x80;  // in the first octet of a request's number
  if ((is<wire::Ack>(octets) || is<wire::Refused>(octets)) && (octets.view()[1] & kRepeated) != 0) return {};
  if (!m_hostile || !is<wire::RelayHop>(octets) || !rng().chance(25)) return Network::one(std::move(octets));
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

std::pair<std::size_t, std::size_t> Trouble::any_link() {
  return m_topology.links[rng().below(static_cast<std::uint32_t>(m_topology.links.size()))];
}

void Trouble::step() {
  World& world = m_net.world();
  const std::uint32_t dice = rng().below(100);
  if (dice < 8) {
    feed();
  } else if (dice < 20) {
    ask_for_keys();
  } else if (dice < 24) {
    cut_or_connect();
  } else if (dice < 27) {
    crash_or_start(rng().below(m_sites));
  } else if (dice < 30) {
    restore_or_clone();
  } else if (dice < 90) {
    for (std::uint32_t n = rng().below(30); n > 0; --n)
      world.carry_one();
  } else {
    world.advance(milliseconds(rng().below(rng().chance(5) ? 7'000 : 300)));
  }
  for (const std::size_t index : world.take_struck()) {
    ++m_tally.crashes;
    if (rng().chance(80)) world.start(index);
  }
}

void Trouble::feed() {
  const auto [a, b] = any_link();
  const std::size_t at = machine(a);
  World& world = m_net.world();
  world.make_block(at, b, 1'024 + 32 * rng().below(256), world.node(at).up(), world.node(b).up());
}

// Of the links, too, at either end: such keys and the pads of the relay come out of one stock.
void Trouble::ask_for_keys() {
  auto [a, b] = rng().chance(60) ? m_topology.relayed[0] : any_link();
  if (rng().chance(50)) std::swap(a, b);
  const std::size_t at = machine(a);
  const bool connected = m_net.world().connected(at, b);
  const auto asked = m_net.world().enc_keys(at, World::sae(a), World::sae(b));
  if (connected) m_asked.push_back(asked);
}

void Trouble::cut_or_connect() {
  const auto& pairs = rng().chance(70) ? m_topology.links : m_topology.relayed;
  const auto& [a, b] = pairs[rng().below(static_cast<std::uint32_t>(pairs.size()))];
  const std::size_t at = machine(a);
  World& world = m_net.world();
  if (world.connected(at, b) && rng().chance(50))
    world.disconnect(at, b, rng().below(5));
  else if (world.node(at).up() && world.node(b).up())
    world.connect(at, b);
}

void Trouble::crash_or_start(std::size_t at) {
  World& world = m_net.world();
  if (!world.node(at).up()) {
    world.start(at);
  } else if (rng().chance(50)) {
    ++m_tally.crashes;
    world.kill(at);
  } else {
    world.node(at).store.strike(1 + rng().below(4),
                                rng().chance(50) ? MemoryStore::Strike::before : MemoryStore::Strike::after);
  }
  m_net.connect_all();
}

// An old copy of the source's disk comes back, or runs beside it.
void Trouble::restore_or_clone() {
  World& world = m_net.world();
  if (!m_backup || rng().chance(25)) {
    m_backup = world.node(kSource).store.disk();
  } else if (!m_clone && rng().chance(25)) {
    ++m_tally.clones;
    m_clone = world.clone(kSource);
    world.start(*m_clone);
  } else {
    ++m_tally.restores;
    world.kill(kSource);
    world.node(kSource).store.restore(*m_backup);
    world.start(kSource);
    if (rng().chance(70)) m_net.connect_all();
  }
}

}  // namespace quipu::kms::sim
