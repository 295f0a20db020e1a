// SPDX-License-Identifier: Apache-2.0
#include "sim/campaign/story.h"

#include <algorithm>
#include <utility>

namespace quipu::kms::sim {

namespace {

// As `quipu keys backup` has it.
MemoryStore::Disk without_material(MemoryStore::Disk disk) {
  for (auto& [id, pool] : disk) {
    for (auto& [block, record] : pool.blocks)
      if (record.state == BlockState::held || record.state == BlockState::usable) record.state = BlockState::voided;
    pool.material.clear();
    pool.leases.clear();
    Books& books = pool.books;
    books.voided += std::exchange(books.held, 0) + std::exchange(books.stock, 0);
    books.burnt += std::exchange(books.leased, 0);
  }
  return disk;
}

}  // namespace

void Story::step() {
  const std::uint32_t dice = rng().below(100);
  if (dice < 12)
    feed();
  else if (dice < 40)
    ask_for_keys();
  else if (dice < 60)
    fetch_keys();
  else if (dice < 70)
    touch_link();
  else if (dice < 75)
    disaster();
  else if (dice < 97)
    for (std::uint32_t n = rng().below(12); n > 0; --n)
      m_world.carry_one();
  else
    m_world.advance(milliseconds(rng().below(rng().chance(10) ? 90'000 : 900)));
  if (rng().chance(30)) m_world.advance(milliseconds(rng().below(3)));
  for (const std::size_t index : m_world.take_struck()) {
    ++m_disasters.crashes;
    if (rng().chance(80)) m_world.start(index);
  }
}

Tally Story::tally() const {
  Tally all = m_disasters;
  for (const Issued& each : m_issued) {
    if (!each.connected) continue;
    all.keys.add(*each.outcome);
    if (each.further) all.multicasts.add(*each.outcome);
  }
  all.masters = m_world.ledger().masters();
  all.slaves = m_world.ledger().slaves();
  all.damaged = damage_found();
  return all;
}

std::size_t Story::damage_found() const {
  const auto found = m_world.reports().find("block_damaged");
  return found == m_world.reports().end() ? 0 : static_cast<std::size_t>(found->second);
}

void Story::feed() {
  const std::size_t a = any_site();
  const std::size_t b = other_site(a);
  if (!m_late.empty() && rng().chance(40)) {
    const auto [to, peer, id] = m_late.back();
    m_late.pop_back();
    m_world.deliver_block(machine(to), peer, id, m_world.octets_of(id));
    return;
  }
  const std::uint32_t size = 32 + rng().below(rng().chance(20) ? 9000 : 600);
  const bool lame = rng().chance(25);
  const BlockId id = m_world.make_block(machine(a), machine(b), size, true, !lame,
                                        m_menu.devices > 1 ? rng().below(m_menu.devices) : 0);
  if (lame && rng().chance(70)) m_late.emplace_back(b, a, id);
  if (rng().chance(5)) m_world.deliver_block(machine(a), b, id, m_world.octets_of(id));  // again
  if (rng().chance(2)) {
    Bytes wrong = m_world.octets_of(id);
    wrong[rng().below(static_cast<std::uint32_t>(wrong.size()))] ^= 1;
    m_world.deliver_block(machine(b), a, id, wrong);
  }
}

std::optional<std::size_t> Story::third_site(std::size_t a, std::size_t b) {
  if (m_menu.sites < 3 || !rng().chance(30)) return std::nullopt;
  std::size_t site = other_site(a);
  while (site == b)
    site = other_site(a);
  return site;
}

void Story::ask_for_keys() {
  const std::size_t from = any_site();
  const std::size_t to = other_site(from);
  etsi::KeyRequest request;
  if (rng().chance(30)) request.number = 1 + rng().below(6);
  if (rng().chance(20)) request.size_bits = 8 * (8 + rng().below(120));
  const bool multicast = rng().chance(15);
  if (multicast) request.additional_slave_sae_ids = {SaeId(World::sae(to, true))};
  const auto further = third_site(from, to);
  if (further) request.additional_slave_sae_ids.emplace_back(World::sae(*further));
  const bool second = rng().chance(30);
  const std::size_t at = machine(from);
  const bool connected = m_world.connected(at, to) && (!further || m_world.connected(at, *further));
  m_issued.push_back({from, to, second, m_world.enc_keys(at, World::sae(from, second), World::sae(to), request),
                      multicast, further, connected});
}

void Story::fetch_keys() {
  if (m_issued.empty()) return;
  const Issued& issued =
      m_issued[m_issued.size() - 1 -
               rng().below(std::min<std::uint32_t>(static_cast<std::uint32_t>(m_issued.size()), 30))];
  if (!issued.outcome->ok()) return;
  const bool second = issued.multicast && rng().chance(50);
  const std::string master = World::sae(issued.from, issued.second_master);
  std::vector<KeyId> ids = issued.outcome->ids();
  if (rng().chance(40)) ids.resize(1 + rng().below(static_cast<std::uint32_t>(ids.size())));
  if (rng().chance(5)) return fetch_as_stranger(issued, std::move(ids));
  if (issued.further && rng().chance(40))
    m_world.dec_keys(machine(*issued.further), World::sae(*issued.further), master, ids);
  else
    m_world.dec_keys(machine(issued.to), World::sae(issued.to, second), master, ids);
}

// Not named, or naming another master: never a key, however late the answer comes.
void Story::fetch_as_stranger(const Issued& issued, std::vector<KeyId> ids) {
  const bool unnamed = !issued.multicast && rng().chance(50);
  const bool second_master = issued.second_master == unnamed;
  m_forbidden.push_back(m_world.dec_keys(machine(issued.to), World::sae(issued.to, unnamed),
                                         World::sae(issued.from, second_master), std::move(ids)));
}

void Story::touch_link() {
  const std::size_t a = any_site();
  const std::size_t b = other_site(a);
  const std::size_t at = machine(std::min(a, b));
  const std::size_t to = std::max(a, b);
  if (m_world.connected(at, to) && rng().chance(40))
    m_world.disconnect(at, to, rng().below(5));
  else if (m_world.node(at).up() && m_world.node(to).up())
    m_world.connect(at, to);
}

void Story::disaster() {
  const std::size_t site = any_site();
  const std::size_t at = machine(site);
  if (!m_world.node(at).up()) {
    m_world.start(at);
  } else if (rng().chance(5)) {
    m_world.void_pool(at, other_site(site));
  } else if (m_menu.restores && rng().chance(25)) {
    restore();
  } else if (m_menu.clones && !m_clone && rng().chance(30)) {
    clone();
  } else if (m_menu.damage && rng().chance(40)) {
    damage(at);
  } else if (m_menu.crashes) {
    power_loss(at);
  }
  if (rng().chance(20)) m_backup = m_world.node(0).store.disk();
}

void Story::power_loss(std::size_t at) {
  if (rng().chance(50)) {
    ++m_disasters.crashes;
    if (rng().chance(20))
      m_world.end(at);
    else
      m_world.kill(at);
    if (rng().chance(70)) m_world.start(at);
  } else {
    m_world.node(at).store.strike(1 + rng().below(4),
                                  rng().chance(50) ? MemoryStore::Strike::before : MemoryStore::Strike::after);
  }
}

void Story::restore() {
  if (!m_backup) return;
  ++m_disasters.restores;
  m_world.kill(0);
  m_world.node(0).store.restore(rng().chance(50) ? *m_backup : without_material(*m_backup));
  m_world.start(0);
}

void Story::clone() {
  ++m_disasters.clones;
  m_clone = m_world.clone(0);
  m_world.start(*m_clone);
}

void Story::damage(std::size_t at) {
  MemoryStore& store = m_world.node(at).store;
  for (const auto& [pool, disk] : store.disk())
    for (const auto& [id, material] : disk.material)
      if (rng().chance(20)) store.alter(pool, id);
}

void Story::connect_all() {
  for (std::size_t i = 0; i < m_menu.sites; ++i)
    for (std::size_t j = i + 1; j < m_menu.sites; ++j)
      if (!m_world.connected(i, j)) m_world.connect(i, j);
}

// A site that finds damage ends the connection; it is dialled again.
void Story::go_on(Duration by) {
  std::size_t before = 0;
  do {
    before = damage_found();
    connect_all();
    m_world.advance(by);
  } while (damage_found() != before);
}

// An order that finds damage in place of a lease may be refused.
std::shared_ptr<Outcome> Story::healed_keys(std::size_t from, std::size_t to, const etsi::KeyRequest& request) {
  for (;;) {
    const std::size_t before = damage_found();
    auto outcome = m_world.enc_keys(from, World::sae(from), World::sae(to), request);
    go_on(seconds(1));
    if (outcome->ok() || damage_found() == before) return outcome;
  }
}

void Story::heal_and_check() {
  if (m_clone) m_world.kill(*m_clone);
  for (std::size_t i = 0; i < m_menu.sites; ++i) {
    // Two copies were refused: the operator stops one and restarts the other.
    if (m_clone && i == 0) m_world.kill(i);
    m_world.node(i).store.calm();
    if (!m_world.node(i).up()) m_world.start(i);
  }
  for (std::size_t i = 0; i < m_menu.sites; ++i)
    for (std::size_t j = i + 1; j < m_menu.sites; ++j) {
      m_world.connect(i, j);
      for (unsigned n = 0; n < 4 * m_menu.devices; ++n)
        m_world.make_block(i, j, 1024, true, true, n % m_menu.devices);
    }
  go_on(seconds(2));
  for (std::size_t i = 0; i < m_menu.sites; ++i)
    for (std::size_t j = 0; j < m_menu.sites; ++j) {
      if (i == j) continue;
      const auto enc = healed_keys(i, j);
      ASSERT_TRUE(enc->ok()) << "no key from " << i << " to " << j << ": " << enc->error();
      const auto dec = m_world.dec_keys(j, World::sae(j), World::sae(i), enc->ids());
      go_on(seconds(1));
      ASSERT_TRUE(dec->ok()) << "key of " << i << " not found at " << j << ": " << dec->error();
    }
  check_multicasts();
  for (const auto& outcome : m_forbidden)
    EXPECT_FALSE(outcome->ok()) << "a key for an SAE that was not named, or under another master";
  // The ends agree on what is left, once offers that the other end never gets, and keys that nobody fetches, have been
  // given up.
  go_on(std::chrono::minutes(13));
  for (std::size_t i = 0; i < m_menu.sites; ++i)
    for (std::size_t j = i + 1; j < m_menu.sites; ++j) {
      const PoolStatus here = m_world.pool(i, j);
      const PoolStatus there = m_world.pool(j, i);
      EXPECT_EQ(here.link, LinkState::up);
      EXPECT_EQ(here.books.held, 0U);
      EXPECT_EQ(there.books.held, 0U);
      EXPECT_EQ(here.books.stock, there.books.stock);
      expect_no_half_closed_lease(i);
      expect_no_half_closed_lease(j);
    }
}

// From each site to all others, over the pools with them.
void Story::check_multicasts() {
  if (m_menu.sites < 3) return;
  for (std::size_t i = 0; i < m_menu.sites; ++i) {
    const std::size_t to = (i + 1) % m_menu.sites;
    const std::size_t further = (i + 2) % m_menu.sites;
    etsi::KeyRequest request;
    request.additional_slave_sae_ids = {SaeId(World::sae(further))};
    const auto enc = healed_keys(i, to, request);
    ASSERT_TRUE(enc->ok()) << "no key from " << i << " to both others: " << enc->error();
    for (const std::size_t at : {to, further}) {
      const auto dec = m_world.dec_keys(at, World::sae(at), World::sae(i), enc->ids());
      go_on(seconds(1));
      ASSERT_TRUE(dec->ok()) << "key of " << i << " for both others not found at " << at << ": " << dec->error();
    }
  }
}

}  // namespace quipu::kms::sim
