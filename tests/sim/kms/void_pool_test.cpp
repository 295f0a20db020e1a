// SPDX-License-Identifier: Apache-2.0
// A stock that is burnt by hand at one site.
#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

class VoidPool : public TwoSites {
 protected:
  VoidPool() : TwoSites(81) {
    contact();
    stock();
  }

  std::shared_ptr<Outcome> key_for_b() {
    const auto enc = world.enc_keys(kA, World::sae(kA), World::sae(kB));
    world.settle();
    EXPECT_TRUE(enc->ok());
    return enc;
  }

  std::shared_ptr<Outcome> fetch(const Outcome& issued) {
    const auto dec = world.dec_keys(kB, World::sae(kB), World::sae(kA), issued.ids());
    world.advance(seconds(1));
    return dec;
  }

  // Nothing is left that either end could use, and every octet is accounted for.
  void expect_burnt(std::size_t at, std::size_t peer, std::uint64_t received) {
    const Books books = world.pool(at, peer).books;
    EXPECT_EQ(books.received, received);
    EXPECT_EQ(books.held + books.stock + books.leased, 0U) << "at " << at;
    EXPECT_TRUE(books.balanced());
  }

  void expect_no_leases() {
    EXPECT_TRUE(world.node(kA).store.disk().at(KmeId("b")).leases.empty());
    EXPECT_TRUE(world.node(kB).store.disk().at(KmeId("a")).leases.empty());
  }
};

TEST_F(VoidPool, IsBurntAtBothEndsAndFillsAgain) {
  const BlockId again = world.make_block(kA, kB, 4'096);
  world.settle();
  const auto issued = key_for_b();
  world.void_pool(kB, kA);
  world.settle();
  EXPECT_EQ(fetch(*issued)->error(), 400U) << "a key that had been announced";
  contact();
  world.advance(seconds(1));
  expect_burnt(kA, kB, 5 * 4'096);
  expect_burnt(kB, kA, 5 * 4'096);
  expect_no_leases();
  world.deliver_block(kA, kB, again, world.octets_of(again));
  EXPECT_EQ(reported("block_repeated"), 1);
  stock(2);
  EXPECT_TRUE(fetch(*key_for_b())->ok());
}

TEST_F(VoidPool, WithThePeerAwayTheNextContactTellsIt) {
  const auto issued = key_for_b();
  world.disconnect(kA, kB);
  const BlockId offered_later = world.make_block(kA, kB, 4'096);
  world.void_pool(kA, kB);
  world.settle();
  expect_burnt(kA, kB, 5 * 4'096);
  EXPECT_NE(world.pool(kB, kA).books.stock, 0U);
  world.kill(kA);
  world.start(kA);
  contact();
  world.advance(std::chrono::minutes(2));
  expect_burnt(kB, kA, 5 * 4'096);
  expect_no_leases();
  EXPECT_EQ(fetch(*issued)->error(), 400U);
  EXPECT_EQ(world.node(kB).store.disk().at(KmeId("a")).blocks.at(offered_later).state, BlockState::voided);
  stock(2);
  EXPECT_TRUE(fetch(*key_for_b())->ok());
}

}  // namespace
}  // namespace quipu::kms::sim
