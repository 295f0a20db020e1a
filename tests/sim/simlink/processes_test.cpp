// SPDX-License-Identifier: Apache-2.0
// Two driver hosts, two quipu-driver processes with the simulated device, and the fibre between them on the loopback
// interface. The hosts' clock stands still; the devices' own goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <functional>
#include <set>

#include "driver/driver_host.h"

namespace quipu::driver {
namespace {

class Site final : public DriverEvents, public LogSink {
 public:
  explicit Site(Options options, bool acknowledges = true)
      : acknowledging(acknowledges), host(config_of(std::move(options)), *this, *this) {
    host.start(now);
  }

  void on_block(DriverBlock block) override {
    blocks.push_back(std::move(block));
    if (acknowledging) host.acknowledge();
  }

  void write(LogLevel /*level*/, std::string_view /*event*/, std::string_view /*message*/,
             std::span<const LogField> fields) override {
    constexpr std::string_view kListens = "the simulated fibre listens at ";
    for (const LogField& field : fields)
      if (field.name == "text" && field.value.starts_with(kListens)) listens_at = field.value.substr(kListens.size());
  }

  bool device_is(DeviceState state) const { return host.status().telemetry && host.status().telemetry->state == state; }

  TimePoint now{std::chrono::hours(1)};
  bool acknowledging;
  std::string listens_at;
  std::vector<DriverBlock> blocks;
  DriverHost host;

 private:
  static DriverHostConfig config_of(Options options) {
    DriverHostConfig config;
    config.program = QUIPU_BINARY_DIR "/bin/quipu-driver";
    config.plugin = QUIPU_BINARY_DIR "/drivers/sim.so";
    config.driver = "sim";
    config.link = "a-b";
    config.options = std::move(options);
    config.allow_simulated = true;
    return config;
  }
};

[[nodiscard]] bool run(const std::vector<Site*>& sites, const std::function<bool()>& until) {
  while (!until()) {
    std::vector<pollfd> waiting;
    waiting.reserve(sites.size());
    for (Site* site : sites)
      waiting.push_back({site->host.fd(), POLLIN, 0});
    if (::poll(waiting.data(), waiting.size(), -1) < 1) return false;  // however slow this machine is at the moment
    for (Site* site : sites) {
      site->host.handle_readable(site->now);
      if (site->host.status().state != HostState::backoff) continue;
      site->now = *site->host.next_deadline();
      site->host.handle_deadline(site->now);
    }
  }
  return true;
}

struct TwoSites {
  explicit TwoSites(const Options& figures = {{"skr_bit_s", "3000000"}}, bool bob_acknowledges = true) {
    Options options = {{"role", "alice"}, {"fibre", "127.0.0.1:0"}};
    options.insert(options.end(), figures.begin(), figures.end());
    alice = std::make_unique<Site>(options);
    EXPECT_TRUE(run({alice.get()}, [&] { return !alice->listens_at.empty(); }));
    options[0].second = "bob";
    options[1].second = alice->listens_at;
    bob = std::make_unique<Site>(options, bob_acknowledges);
    // Blocks may come before the word that a device is open.
    EXPECT_TRUE(until([&] {
      return alice->host.status().state == HostState::running && bob->host.status().state == HostState::running;
    }));
  }

  [[nodiscard]] bool until(const std::function<bool()>& condition) { return run({alice.get(), bob.get()}, condition); }

  [[nodiscard]] bool until_blocks(std::size_t count) {
    return until([&] { return alice->blocks.size() >= count && bob->blocks.size() >= count; });
  }

  std::unique_ptr<Site> alice;
  std::unique_ptr<Site> bob;
};

const DriverBlock* find(const Site& site, const BlockId& id) {
  for (const DriverBlock& block : site.blocks)
    if (block.id == id) return &block;
  return nullptr;
}

std::size_t expect_same_blocks(const TwoSites& sites) {
  std::set<BlockId> ids;
  std::size_t common = 0;
  for (const DriverBlock& block : sites.alice->blocks) {
    EXPECT_TRUE(ids.insert(block.id).second) << "delivered twice";
    const DriverBlock* other = find(*sites.bob, block.id);
    if (other == nullptr) continue;
    ++common;
    EXPECT_EQ(block.sequence, other->sequence);
    EXPECT_TRUE(block.key == other->key);
    EXPECT_TRUE(block.simulated && other->simulated);
    EXPECT_EQ(block.key.size(), 4096U);
  }
  ids.clear();
  for (const DriverBlock& block : sites.bob->blocks)
    EXPECT_TRUE(ids.insert(block.id).second) << "delivered twice";
  return common;
}

TEST(SimulatedLink, DeliversTheSameBlocksAtBothEnds) {
  TwoSites sites;
  ASSERT_TRUE(sites.until_blocks(20));
  EXPECT_GE(expect_same_blocks(sites), 20U);
  EXPECT_TRUE(sites.alice->host.status().identity->simulated);
}

TEST(SimulatedLink, TellsItsFiguresAndThatItIsSimulated) {
  TwoSites sites;
  ASSERT_TRUE(sites.until(
      [&] { return sites.alice->device_is(DeviceState::running) && sites.bob->device_is(DeviceState::running); }));
  const DriverTelemetry& telemetry = *sites.bob->host.status().telemetry;
  EXPECT_NEAR(*telemetry.qber, 0.019, 0.001);
  EXPECT_NEAR(*telemetry.skr_bit_s, 3e6, 3e5);
  EXPECT_EQ(*telemetry.loss_db, 4.0);
  EXPECT_FALSE(telemetry.visibility);
  EXPECT_EQ(telemetry.detail, "SIMULATED");
}

TEST(SimulatedLink, HealsAfterTheDeathOfEitherEnd) {
  TwoSites sites;
  for (Site* victim : {sites.bob.get(), sites.alice.get()}) {
    const std::size_t before = sites.bob->blocks.size();
    ASSERT_TRUE(sites.until_blocks(before + 3));
    ASSERT_EQ(::kill(*victim->host.pid(), SIGKILL), 0);
    ASSERT_TRUE(sites.until([&] { return victim->host.status().restarts == 1; }));
    if (victim == sites.alice.get()) break;  // her port was the system's choice, so her successor has another
    const std::size_t after = std::max(sites.alice->blocks.size(), sites.bob->blocks.size());
    ASSERT_TRUE(sites.until_blocks(after + 3));
  }
  EXPECT_GE(expect_same_blocks(sites), 6U);
}

// The stock of one end is full: neither end may run ahead of it by more than what it holds back itself.
TEST(SimulatedLink, AFullStoreAtOneEndHoldsBackBoth) {
  TwoSites sites({{"skr_bit_s", "1000000000"}, {"initial_bits", "0"}}, false);
  constexpr std::size_t kWindow = 16;  // of the host
  const auto held_back = [](const Site& site) {
    return site.host.status().telemetry && site.host.status().telemetry->stored_bits == std::uint64_t{8} * 4096 * 8;
  };
  ASSERT_TRUE(sites.until([&] { return sites.bob->blocks.size() == kWindow && held_back(*sites.bob); }));
  EXPECT_LE(sites.alice->blocks.size(), kWindow + 8 + 1);
  sites.bob->acknowledging = true;
  sites.bob->host.acknowledge(kWindow);
  ASSERT_TRUE(sites.until_blocks(kWindow + 20));
  EXPECT_GE(expect_same_blocks(sites), kWindow + 20);
}

TEST(SimulatedLink, StopsCleanly) {
  TwoSites sites;
  ASSERT_TRUE(sites.until_blocks(1));
  for (Site* site : {sites.alice.get(), sites.bob.get()})
    site->host.stop(site->now);
  ASSERT_TRUE(sites.until([&] {
    return sites.alice->host.status().state == HostState::stopped &&
           sites.bob->host.status().state == HostState::stopped;
  }));
  EXPECT_EQ(sites.alice->host.status().problem, "");
}

TEST(SimulatedLink, WrongOptionsAreExplainedOnce) {
  Site site({{"role", "carol"}, {"fibre", "127.0.0.1:0"}});
  ASSERT_TRUE(run({&site}, [&] { return site.host.status().state == HostState::failed; }));
  EXPECT_EQ(site.host.status().restarts, 0U);
}

}  // namespace
}  // namespace quipu::driver
