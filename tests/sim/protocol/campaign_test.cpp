// SPDX-License-Identifier: Apache-2.0
// Random faults, one kind after another and several at once; then peace. Within 10 s both ends carry data under one
// keypair, whatever came before. QUIPU_SIM_SEEDS sets the length of the campaign, QUIPU_SIM_SEED picks one world of it.
#include <gtest/gtest.h>

#include <cstdlib>

#include "world.h"

namespace quipu::sim {
namespace {

using namespace protocol;

// What a fault does, and what undoes it.
struct Fault {
  const char* name;
  std::function<void(World&, int end)> begin;
  std::function<void(World&, int end)> finish;
};

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all = {
      {"loss", [](World& w, int i) { w.links[i].loss = 0.4; }, [](World& w, int i) { w.links[i].loss = 0; }},
      {"cut", [](World& w, int i) { w.links[i].cut = true; }, [](World& w, int i) { w.links[i].cut = false; }},
      {"partition", [](World& w, int) { w.links[0].cut = w.links[1].cut = true; },
       [](World& w, int) { w.links[0].cut = w.links[1].cut = false; }},
      {"duplication", [](World& w, int i) { w.links[i].duplication = 0.5; },
       [](World& w, int i) { w.links[i].duplication = 0; }},
      {"reordering", [](World& w, int i) { w.links[i].jitter = 700ms; },
       [](World& w, int i) { w.links[i].jitter = {}; }},
      {"slow link", [](World& w, int i) { w.links[i].delay = 400ms; }, [](World& w, int i) { w.links[i].delay = 5ms; }},
      {"KMS down", [](World& w, int i) { w.kms.ends[i].available = false; },
       [](World& w, int i) { w.kms.ends[i].available = true; }},
      {"KMS silent", [](World& w, int i) { w.kms.ends[i].silent = true; },
       [](World& w, int i) { w.kms.ends[i].silent = false; }},
      {"KMS slow", [](World& w, int i) { w.kms.ends[i].latency = 2500ms; },
       [](World& w, int i) { w.kms.ends[i].latency = 2ms; }},
      {"KMS starved", [](World& w, int) { w.kms.ends[0].starved = w.kms.ends[1].starved = true; },
       [](World& w, int) { w.kms.ends[0].starved = w.kms.ends[1].starved = false; }},
      {"wrong keys", [](World& w, int i) { w.kms.ends[i].wrong_keys = true; },
       [](World& w, int i) { w.kms.ends[i].wrong_keys = false; }},
      {"keys late at the far end", [](World& w, int) { w.kms.synchronised_after = 1s; },
       [](World& w, int) { w.kms.synchronised_after = {}; }},
      {"restart", [](World& w, int i) { w.node(i).restart(); }, [](World&, int) {}},
      {"restart without endpoint", [](World& w, int i) { w.node(i).restart(false); }, [](World&, int) {}},
      {"stamps rolled back", [](World& w, int i) { w.node(i).restart_with_stamps(0); }, [](World&, int) {}},
      {"handshakes lost", [](World& w, int i) { w.links[i].lose = [](ByteView d) { return !Device::is_data(d); }; },
       [](World& w, int i) { w.links[i].lose = {}; }},
      {"data lost", [](World& w, int i) { w.links[i].lose = [](ByteView d) { return Device::is_data(d); }; },
       [](World& w, int i) { w.links[i].lose = {}; }},
      {"roaming",
       [](World& w, int i) { w.node(i).endpoint.port = static_cast<std::uint16_t>(w.node(i).endpoint.port + 1); },
       [](World&, int) {}},
  };
  return all;
}

// No key vanishes: whatever its KMSs delivered to an end since it started has entered an epoch, was burnt, or is held.
// That none is used twice is for the watch to see.
void expect_key_economy(const Node& node) {
  const PeerStatus status = node.status();
  const PeerStatistics& statistics = status.statistics;
  EXPECT_EQ(node.keys_delivered, statistics.keys_used + statistics.keys_burnt + status.keys_held) << node.number();
  EXPECT_EQ(node.keys_burnt, statistics.keys_burnt) << node.number();
}

// After which an end is not where the other one thinks, or no longer knows where the other one is. Two of these at once
// can part the ends for good, and with traffic from one end only nobody may speak up before the epoch is over.
bool parts(const Fault& fault) {
  return std::string_view(fault.name) == "restart without endpoint" || std::string_view(fault.name) == "roaming";
}

void trouble(World& world, bool one_way) {
  const auto some = 1 + world.rng.below(4);
  bool may_part = !one_way;
  for (std::uint64_t i = 0; i < some; ++i) {
    const Fault& fault = faults()[world.rng.below(faults().size())];
    if (parts(fault) && !std::exchange(may_part, false)) continue;
    const int end = static_cast<int>(world.rng.below(2));
    const Duration begins = Duration(1ms) * static_cast<int>(world.rng.below(20000));
    const Duration lasts = Duration(1ms) * static_cast<int>(100 + world.rng.below(15000));
    world.after(begins, [&world, &fault, end] {
      if (std::getenv("QUIPU_SIM_LOG") != nullptr) std::fprintf(stderr, "-- %s at %d\n", fault.name, end);
      fault.begin(world, end);
    });
    world.after(begins + lasts, [&world, &fault, end] {
      if (std::getenv("QUIPU_SIM_LOG") != nullptr) std::fprintf(stderr, "-- end of %s at %d\n", fault.name, end);
      fault.finish(world, end);
    });
  }
}

void one_world(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  SeededRng choice(seed * 7919);
  Options options;
  options.seed = seed;
  constexpr Duration kIntervals[] = {1s, 2s, 5s, 10s, 60s, 3600s};
  options.interval = kIntervals[choice.below(std::size(kIntervals))];
  options.sources = 1 + choice.below(2);
  options.min_sources = static_cast<std::uint8_t>(choice.below(options.sources + 1));
  World world(options);
  for (Link& link : world.links)
    link.delay = Duration(1ms) * static_cast<int>(1 + world.rng.below(40));
  world.kms.hands_out_again = world.rng.chance(0.3);
  constexpr Duration kBatches[] = {Duration{}, 1ms, 20ms};
  for (int i = 0; i < 2; ++i)
    world.node(i).batch = kBatches[world.rng.below(3)];
  world.start();
  const bool one_way = choice.chance(0.2);
  trouble(world, one_way);
  world.traffic(50ms, 45s, true, !one_way);
  world.run(35s);
  // Faults end after 35 s at the latest.
  const TimePoint limit = world.now() + 10s;
  bool healed = false;
  while (!healed && world.now() < limit)
    healed = world.healthy();
  EXPECT_TRUE(healed);
  EXPECT_EQ(world.a().duplicates + world.b().duplicates, 0U);
  for (int i = 0; i < 2; ++i)
    expect_key_economy(world.node(i));
}

TEST(Campaign, HealsWithinTenSeconds) {
  if (const char* one = std::getenv("QUIPU_SIM_SEED")) {
    one_world(std::strtoull(one, nullptr, 10));
    return;
  }
  for (std::uint64_t seed = 1; seed <= seeds(kCampaignSeeds) && !HasFailure(); ++seed)
    one_world(seed);
}

}  // namespace
}  // namespace quipu::sim
