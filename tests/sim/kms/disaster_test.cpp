// SPDX-License-Identifier: Apache-2.0
// Sites under random disasters, by seed. The ledger sees every key that any copy of any site hands out; the stores
// check their books against their rows; afterwards everything must work again by itself.
//
// QUIPU_SIM_SEEDS: how many seeds of each kind (default 40; 10 under sanitizers). QUIPU_SIM_SEED: one seed only, to
// look at a failure.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/kms/world.h"

namespace quipu::kms::sim {
namespace {

#ifdef QUIPU_SANITIZED
constexpr std::uint64_t kSeeds = 10;
#else
constexpr std::uint64_t kSeeds = 40;
#endif

// What may befall the sites of one run.
struct Menu {
  unsigned sites = 2;
  bool crashes = false;   // kill -9 and loss of power, at any site, also in the middle of a commit
  bool restores = false;  // an old copy of site a's disk is put back
  bool clones = false;    // a copy of site a runs beside it
};

class Story {
 public:
  Story(std::uint64_t seed, const Menu& menu) : m_world(seed, menu.sites, limits()), m_menu(menu) {
    for (std::size_t i = 0; i < menu.sites; ++i)
      m_world.start(i);
  }

  void disasters(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i)
      step();
  }

  // Ends all faults, then wants keys in both directions of each pool.
  void heal_and_check();

  void expect_no_half_closed_lease(std::size_t site) {
    for (const auto& [pool, disk] : m_world.node(site).store.disk())
      for (const auto& [id, lease] : disk.leases)
        EXPECT_FALSE(lease.closed_here) << "a lease that was closed at both ends was not ended";
  }

  World& world() { return m_world; }

 private:
  static Limits limits() {
    Limits limits;
    limits.undelivered_ttl = std::chrono::minutes(10);
    return limits;
  }

  SeededRng& rng() { return m_world.rng(); }

  std::size_t any_site() { return rng().below(m_menu.sites); }

  std::size_t other_site(std::size_t site) { return (site + 1 + rng().below(m_menu.sites - 1)) % m_menu.sites; }

  // The machine that plays a site now: site a may have a clone.
  std::size_t machine(std::size_t site) { return site == 0 && m_clone && rng().chance(50) ? *m_clone : site; }

  void step();
  void feed();
  void ask_for_keys();
  void fetch_keys();
  void touch_link();
  void disaster();
  void power_loss(std::size_t at);
  void restore();
  void clone();

  struct Issued {
    std::size_t from, to;
    bool second_master;
    std::shared_ptr<Outcome> outcome;
    bool multicast;
  };

  World m_world;
  Menu m_menu;
  std::vector<Issued> m_issued;
  std::optional<MemoryStore::Disk> m_backup;
  std::optional<std::size_t> m_clone;
  std::vector<std::tuple<std::size_t, std::size_t, BlockId>> m_late;  // (to, peer): a block that its driver still owes
};

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
  for (const std::size_t index : m_world.take_struck())
    if (rng().chance(80)) m_world.start(index);
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
  const BlockId id = m_world.make_block(machine(a), machine(b), size, true, !lame);
  if (lame && rng().chance(70)) m_late.emplace_back(b, a, id);
  if (rng().chance(5)) m_world.deliver_block(machine(a), b, id, m_world.octets_of(id));  // again
  if (rng().chance(2)) {
    Bytes wrong = m_world.octets_of(id);
    wrong[rng().below(static_cast<std::uint32_t>(wrong.size()))] ^= 1;
    m_world.deliver_block(machine(b), a, id, wrong);
  }
}

void Story::ask_for_keys() {
  const std::size_t from = any_site();
  const std::size_t to = other_site(from);
  etsi::KeyRequest request;
  if (rng().chance(30)) request.number = 1 + rng().below(6);
  if (rng().chance(20)) request.size_bits = 8 * (8 + rng().below(120));
  const bool multicast = rng().chance(15);
  if (multicast) request.additional_slave_sae_ids = {SaeId(World::sae(to, true))};
  const bool second = rng().chance(30);
  const std::size_t at = machine(from);
  m_issued.push_back(
      {from, to, second, m_world.enc_keys(at, World::sae(from, second), World::sae(to), request), multicast});
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
  if (rng().chance(5)) {
    // Not named, or another master: never a key.
    const auto refused =
        rng().chance(50)
            ? m_world.dec_keys(machine(issued.to), World::sae(issued.to),
                               World::sae(issued.from, !issued.second_master), ids)
            : m_world.dec_keys(machine(issued.to), World::sae(issued.to, !issued.multicast && !second), master, ids);
    EXPECT_TRUE(issued.multicast || !refused->ok());
    return;
  }
  m_world.dec_keys(machine(issued.to), World::sae(issued.to, second), master, ids);
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
  const std::size_t at = machine(any_site());
  if (!m_world.node(at).up()) {
    m_world.start(at);
  } else if (m_menu.restores && rng().chance(25)) {
    restore();
  } else if (m_menu.clones && !m_clone && rng().chance(30)) {
    clone();
  } else if (m_menu.crashes) {
    power_loss(at);
  }
  if (rng().chance(20)) m_backup = m_world.node(0).store.disk();
}

void Story::power_loss(std::size_t at) {
  if (rng().chance(50)) {
    m_world.kill(at);
    if (rng().chance(70)) m_world.start(at);
  } else {
    m_world.node(at).store.strike(1 + rng().below(4),
                                  rng().chance(50) ? MemoryStore::Strike::before : MemoryStore::Strike::after);
  }
}

void Story::restore() {
  if (!m_backup) return;
  m_world.kill(0);
  m_world.node(0).store.restore(*m_backup);
  m_world.start(0);
}

void Story::clone() {
  m_clone = m_world.clone(0);
  m_world.start(*m_clone);
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
      for (int n = 0; n < 4; ++n)
        m_world.make_block(i, j, 1024);
    }
  m_world.advance(seconds(2));
  for (std::size_t i = 0; i < m_menu.sites; ++i)
    for (std::size_t j = 0; j < m_menu.sites; ++j) {
      if (i == j) continue;
      const auto enc = m_world.enc_keys(i, World::sae(i), World::sae(j));
      m_world.advance(seconds(1));
      ASSERT_TRUE(enc->ok()) << "no key from " << i << " to " << j << ": " << enc->error();
      const auto dec = m_world.dec_keys(j, World::sae(j), World::sae(i), enc->ids());
      m_world.advance(seconds(1));
      ASSERT_TRUE(dec->ok()) << "key of " << i << " not found at " << j << ": " << dec->error();
    }
  // The ends agree on what is left, once offers that the other end never gets, and keys that nobody fetches, have been
  // given up.
  m_world.advance(std::chrono::minutes(13));
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

void run_all(const Menu& menu, std::uint64_t salt) {
  const char* one = std::getenv("QUIPU_SIM_SEED");
  const char* many = std::getenv("QUIPU_SIM_SEEDS");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr ? 1 : many != nullptr ? std::strtoull(many, nullptr, 10) : kSeeds;
  std::size_t masters = 0;
  std::size_t slaves = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("QUIPU_SIM_SEED=" + std::to_string(seed));
    Story story(seed ^ salt << 32, menu);
    story.disasters(300);
    if (!::testing::Test::HasFailure()) story.heal_and_check();
    masters += story.world().ledger().masters();
    slaves += story.world().ledger().slaves();
    if (::testing::Test::HasFailure()) return;
  }
  // A run in which hardly a key was handed out proves nothing.
  EXPECT_GT(masters, 10 * count);
  EXPECT_GT(slaves, 4 * count);
}

TEST(Disasters, LinksBreak) {
  run_all({.sites = 2}, 1);
}

TEST(Disasters, SitesCrash) {
  run_all({.sites = 2, .crashes = true}, 2);
}

TEST(Disasters, OneSiteIsRestored) {
  run_all({.sites = 2, .crashes = true, .restores = true}, 3);
}

TEST(Disasters, OneSiteIsCloned) {
  run_all({.sites = 2, .crashes = true, .clones = true}, 4);
}

TEST(Disasters, RestoredAndCloned) {
  run_all({.sites = 2, .crashes = true, .restores = true, .clones = true}, 5);
}

TEST(Disasters, ThreeSites) {
  run_all({.sites = 3, .crashes = true, .restores = true, .clones = true}, 6);
}

}  // namespace
}  // namespace quipu::kms::sim
