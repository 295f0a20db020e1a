// SPDX-License-Identifier: Apache-2.0
// Who may draw how much of a pool: rates, the reserve, and the warning that the stock runs low.
#include <gtest/gtest.h>

#include "kms/delivery.h"
#include "kms/link_message.h"
#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

constexpr std::uint64_t kReserve = 4'096;

class Budget : public TwoSites {
 protected:
  Budget() : TwoSites(31) {
    world.configure = [](KmeConfig& config) {
      for (PeerConfig& peer : config.peers) {
        peer.reserve_octets = kReserve;
        peer.low_stock_octets = 2 * kReserve;
      }
      config.terms[SaeId("sae-a")] = {.max_rate_bit_s = std::nullopt, .uses_reserve = true};
      config.terms[SaeId("sae-b2")] = {.max_rate_bit_s = 256, .uses_reserve = false};
    };
    for (const std::size_t site : {kA, kB}) {
      world.kill(site);
      world.start(site);
    }
    contact();
  }

  // Keys that an SAE at that site gets until it is refused, one at a time.
  unsigned draw_all(std::size_t at, const std::string& master, const std::string& slave,
                    const etsi::KeyRequest& request = {}) {
    for (unsigned keys = 0;; ++keys) {
      const auto enc = world.enc_keys(at, master, slave, request);
      world.settle();
      if (!enc->ok()) return keys;
    }
  }

  std::uint64_t left(std::size_t at) {
    const PoolStatus pool = world.pool(at, 1 - at);
    return pool.books.stock + pool.leased_keys * kSlotSize;
  }
};

TEST_F(Budget, TheReserveIsForThoseThatMayUseIt) {
  stock(4);
  EXPECT_GT(draw_all(kA, "sae-a2", "sae-b"), 0U);
  EXPECT_GE(left(kA), kReserve);
  EXPECT_LT(left(kA), kReserve + kSlotSize);
  EXPECT_EQ(std::get<etsi::Status>(*world.status(kA, "sae-a2", "sae-b")->reply).stored_key_count, 0U);
  EXPECT_GT(std::get<etsi::Status>(*world.status(kA, "sae-a", "sae-b")->reply).stored_key_count, 0U);
  const auto refused = world.enc_keys(kA, "sae-a2", "sae-b");
  EXPECT_EQ(refused->error(), 503U);
  EXPECT_GT(draw_all(kA, "sae-a", "sae-b"), 0U);
}

TEST_F(Budget, ARateLimitsOneSaeAlone) {
  stock(8);
  EXPECT_EQ(draw_all(kB, "sae-b2", "sae-a"), 10U);
  // It may have what is stored, later.
  EXPECT_GT(std::get<etsi::Status>(*world.status(kB, "sae-b2", "sae-a")->reply).stored_key_count, 100U);
  EXPECT_TRUE(world.enc_keys(kB, "sae-b", "sae-a")->ok());
  world.advance(seconds(3));
  EXPECT_EQ(draw_all(kB, "sae-b2", "sae-a"), 3U);
  world.advance(seconds(3));
  EXPECT_EQ(draw_all(kB, "sae-b2", "sae-a", {.size_bits = 64}), 3U) << "a short key takes as much of the stock";
}

TEST_F(Budget, KeysThatNobodyFetchesAreLimited) {
  world.configure = [](KmeConfig& config) {
    config.terms[SaeId("sae-a")] = {.max_rate_bit_s = std::nullopt, .uses_reserve = false, .max_unfetched_keys = 3};
  };
  world.kill(kA);
  world.start(kA);
  contact();
  stock(8);
  const auto ask = [&](std::uint32_t number = 1) {
    const auto enc = world.enc_keys(kA, "sae-a", "sae-b", {.number = number});
    world.advance(milliseconds(100));
    return enc;
  };
  const auto fetch = [&](const std::vector<KeyId>& ids) {
    EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", ids)->ok());
    world.advance(milliseconds(100));
  };
  EXPECT_EQ(ask(4)->error(), 400U);
  const auto two = ask(2);
  const auto third = ask();
  EXPECT_EQ(ask()->error(), 503U);
  EXPECT_TRUE(world.enc_keys(kA, "sae-a2", "sae-b")->ok());
  fetch(third->ids());
  EXPECT_EQ(ask(2)->error(), 503U);
  EXPECT_TRUE(ask()->ok());
  // What is fetched without a link is told after contact.
  world.disconnect(kA, kB);
  fetch(two->ids());
  contact();
  world.advance(milliseconds(100));
  EXPECT_TRUE(ask(2)->ok());
  EXPECT_EQ(ask()->error(), 503U);
  // Too old to be fetched, or lost with the run that opened them.
  world.advance(std::chrono::minutes(61));
  EXPECT_TRUE(ask(3)->ok());
  world.kill(kB);
  world.start(kB);
  contact();
  stock(1);
  EXPECT_TRUE(ask(3)->ok());
}

// A peer that never says who it lets fetch fills no memory here, and all that it missed fits into one connection.
TEST(UnacknowledgedBindings, EndWhatIsHandedOut) {
  std::vector<SaeId> slaves;
  slaves.reserve(9);
  for (int i = 0; i < 9; ++i)
    slaves.emplace_back(std::string(250, 'x') + std::to_string(i));
  World world(32, 2);
  world.configure = [&](KmeConfig& config) {
    std::vector<SaeId>& saes = config.id == KmeId("b") ? config.saes : config.peers[0].saes;
    saes.insert(saes.end(), slaves.begin(), slaves.end());
  };
  world.start(kA);
  world.start(kB);
  std::size_t missed = 0;
  bool lost = true;
  world.meddle([&](std::size_t, std::size_t, SecretBytes message) {
    std::vector<SecretBytes> out;
    const auto type = static_cast<wire::MessageType>(message.view()[0]);
    if (type == wire::MessageType::binding) missed += message.size();
    // What follows a Close comes too late.
    const bool kept = lost && (type == wire::MessageType::binding || type == wire::MessageType::close);
    if (!kept) out.push_back(std::move(message));
    return out;
  });
  world.connect(kA, kB);
  for (int i = 0; i < 2; ++i)
    world.make_block(kA, kB, 65'536);
  world.settle();
  etsi::KeyRequest request;
  request.number = 128;
  request.additional_slave_sae_ids.assign(slaves.begin() + 1, slaves.end());
  const auto ask = [&] {
    auto enc = world.enc_keys(kA, "sae-a", slaves[0].value(), request);
    world.advance(milliseconds(100));
    return enc;
  };
  auto last = ask();
  for (auto enc = last; enc->ok(); enc = ask())
    last = enc;
  EXPECT_LE(missed, kMaxUnacknowledged);
  EXPECT_GT(missed, kMaxUnacknowledged / 8 * 7);
  lost = false;
  world.disconnect(kA, kB);
  world.connect(kA, kB);
  world.advance(milliseconds(100));
  EXPECT_TRUE(world.dec_keys(kB, slaves[0].value(), "sae-a", last->ids())->ok());
  EXPECT_TRUE(ask()->ok());
}

TEST_F(Budget, ALowStockIsToldOnceUntilItHasRecovered) {
  EXPECT_EQ(reported("stock_low"), 2);  // an empty pool, at both sites
  stock(1);
  EXPECT_EQ(reported("stock_recovered"), 0);
  stock(8);
  EXPECT_EQ(reported("stock_recovered"), 2);
  EXPECT_EQ(reported("stock_low"), 2);
  draw_all(kA, "sae-a", "sae-b");
  EXPECT_EQ(reported("stock_low"), 4);
}

}  // namespace
}  // namespace quipu::kms::sim
