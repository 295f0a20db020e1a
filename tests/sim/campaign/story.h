// SPDX-License-Identifier: Apache-2.0
// One random life of several sites, by seed: keys are asked for and fetched while links break, sites crash, one site is
// restored or cloned, and stored key material is damaged.
#pragma once

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "sim/campaign/tally.h"
#include "sim/kms/slot_watch.h"
#include "sim/kms/world.h"

namespace quipu::kms::sim {

// What may befall the sites of one run.
struct Menu {
  unsigned sites = 2;
  bool crashes = false;   // kill -9 and loss of power, at any site, also in the middle of a commit
  bool restores = false;  // an old copy of site a's disk is put back
  bool clones = false;    // a copy of site a runs beside it
  bool damage = false;    // stored material no longer opens, at any site
  unsigned devices = 1;   // of each link; each key has a part of every one
};

class Story {
 public:
  Story(std::uint64_t seed, const Menu& menu) : m_world(seed, menu.sites, limits()), m_menu(menu) {
    m_world.combine(menu.devices);
    m_world.on_sent = [this](std::size_t from, std::size_t to, const SecretBytes& message) {
      m_watch.sent(m_world.node(from).name, m_world.node(to).name, message);
    };
    for (std::size_t i = 0; i < menu.sites; ++i)
      m_world.start(i);
  }

  // Stops at the first failure.
  void disasters(int steps) {
    for (int i = 0; i < steps && !failed(); ++i)
      step();
  }

  bool failed() {
    return ::testing::Test::HasFailure() || !m_world.ledger().violations().empty() || !m_watch.violations().empty();
  }

  // Rules that were broken: of single use, by keys and by slots of them, and of the books.
  std::vector<std::string> take_violations() {
    std::vector<std::string> all = m_world.ledger().take_violations();
    std::ranges::move(m_watch.take_violations(), std::back_inserter(all));
    std::ranges::move(m_world.take_violations(), std::back_inserter(all));
    return all;
  }

  // Of the disasters.
  Tally tally() const;

  // Ends all faults but the damage that nobody has found, then wants keys in both directions of each pool.
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

  // Besides these two; none where there are two sites only.
  std::optional<std::size_t> third_site(std::size_t a, std::size_t b);

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
  void damage(std::size_t at);

  struct Issued {
    std::size_t from, to;
    bool second_master;
    std::shared_ptr<Outcome> outcome;
    bool multicast;                      // to the second SAE of that site too
    std::optional<std::size_t> further;  // and to the SAE of a third one
    bool connected;                      // with each of them
  };

  std::size_t damage_found() const;
  void connect_all();
  void go_on(Duration by);
  std::shared_ptr<Outcome> healed_keys(std::size_t from, std::size_t to, const etsi::KeyRequest& request = {});
  void fetch_as_stranger(const Issued& issued, std::vector<KeyId> ids);
  void check_multicasts();

  World m_world;
  SlotWatch m_watch;
  Menu m_menu;
  std::vector<Issued> m_issued;
  std::vector<std::shared_ptr<Outcome>> m_forbidden;  // answers that are never keys
  Tally m_disasters;
  std::optional<MemoryStore::Disk> m_backup;
  std::optional<std::size_t> m_clone;
  std::vector<std::tuple<std::size_t, std::size_t, BlockId>> m_late;  // (to, peer): a block that its driver still owes
};

}  // namespace quipu::kms::sim
