// SPDX-License-Identifier: Apache-2.0
// The campaign of the relay, by seed: then all works again by itself.
#pragma once

#include <map>
#include <optional>

#include "sim/campaign/tally.h"
#include "sim/kms/relay_network.h"

namespace quipu::kms::sim {

// Nodes die and come back, links break, the source returns with an old disk or runs twice, messages of relayed blocks
// are altered, dropped, repeated.
class Trouble {
 public:
  Trouble(std::uint64_t seed, unsigned sites, const Topology& topology);

  // Stops at the first failure.
  void steps(int count);

  void heal_and_check();

  int repeated() const { return m_repeated; }

  std::size_t compared_blocks() const { return m_net.compared_blocks(); }

  // Of the steps.
  Tally tally();

  // Rules that were broken: of single use, by keys and by slots of them, of shares, and of the books.
  std::vector<std::string> take_violations() { return m_net.take_violations(); }

 private:
  SeededRng& rng() { return m_net.world().rng(); }

  // The machine that plays a site now: the source may have a clone.
  std::size_t machine(std::size_t site) { return site == kSource && m_clone && rng().chance(50) ? *m_clone : site; }

  std::vector<SecretBytes> meddled(SecretBytes octets);
  std::pair<std::size_t, std::size_t> any_link();
  void step();
  void feed();
  void ask_for_keys();
  void cut_or_connect();
  void crash_or_start(std::size_t at);
  void restore_or_clone();

  static constexpr std::size_t kSource = 0;

  Topology m_topology;
  Network m_net;
  unsigned m_sites;
  bool m_hostile = true;
  int m_repeated = 0;
  Tally m_tally;
  std::vector<std::shared_ptr<Outcome>> m_asked;  // while the two KMEs were connected
  std::optional<MemoryStore::Disk> m_backup;      // of the source
  std::optional<std::size_t> m_clone;
};

}  // namespace quipu::kms::sim
