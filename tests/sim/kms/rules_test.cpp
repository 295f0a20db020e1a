// SPDX-License-Identifier: Apache-2.0
// One rule each, between two sites: what is refused, what waits, what ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kms/delivery.h"
#include "sim/kms/two_sites.h"

namespace quipu::kms::sim {
namespace {

class Rules : public TwoSites {
 protected:
  Rules() : TwoSites(11) {}

  std::vector<KeyId> fetch(etsi::KeyRequest request = {}) {
    const auto enc = world.enc_keys(kA, "sae-a", "sae-b", std::move(request));
    EXPECT_TRUE(enc->ok());
    world.settle();
    return enc->ids();
  }

  unsigned dec_error(const std::string& slave, const std::string& master, std::vector<KeyId> ids) {
    const auto dec = world.dec_keys(kB, slave, master, std::move(ids));
    world.advance(seconds(1));
    return dec->error();
  }
};

// --- who may have what ---

TEST_F(Rules, AnSaeThatIsNotServedHereGets401) {
  contact();
  stock();
  EXPECT_EQ(world.enc_keys(kA, "sae-b", "sae-b")->error(), 401U);
  EXPECT_EQ(world.status(kA, "mallory", "sae-b")->error(), 401U);
  EXPECT_EQ(world.dec_keys(kA, "mallory", "sae-b", {KeyId("x")})->error(), 401U);
}

TEST_F(Rules, AnSaeThatWasNotNamedGets401AndTheKeyStays) {
  contact();
  stock();
  const auto ids = fetch();
  EXPECT_EQ(dec_error("sae-b2", "sae-a", ids), 401U);
  EXPECT_EQ(dec_error("sae-b", "sae-a2", ids), 401U);
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", ids)->ok());
}

// One that is served here, and one that nobody knows. Of a key that there is not, neither learns more.
TEST_F(Rules, WhoNamesAMasterOfNoOtherKmeGets401AndTheKeyStays) {
  contact();
  stock();
  const auto ids = fetch();
  for (const std::string master : {"sae-b2", "sae-z"}) {
    EXPECT_EQ(dec_error("sae-b", master, ids), 401U) << master;
    EXPECT_EQ(dec_error("sae-b", master, {KeyId("0a0b0c0d-1111-4222-8333-444455556666")}), 400U) << master;
  }
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", ids)->ok());
  EXPECT_EQ(dec_error("sae-b", "sae-z", ids), 400U) << "is not known any more";
}

TEST_F(Rules, OneKeyOfAnotherSlaveIs401ForAllAndNoneIsConsumed) {
  contact();
  stock();
  const auto own = fetch();
  const auto foreign = world.enc_keys(kA, "sae-a", "sae-b2")->ids();
  ASSERT_EQ(foreign.size(), 1U);
  world.settle();
  EXPECT_EQ(dec_error("sae-b", "sae-a", {own.front(), foreign.front()}), 401U);
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", own)->ok());
  EXPECT_TRUE(world.dec_keys(kB, "sae-b2", "sae-a", foreign)->ok());
}

TEST_F(Rules, DecKeysIsAllOrNothing) {
  contact();
  stock();
  auto ids = fetch();
  const auto all = ids;
  ids.emplace_back("0a0b0c0d-1111-4222-8333-444455556666");
  EXPECT_EQ(dec_error("sae-b", "sae-a", ids), 400U);
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", all)->ok());
}

TEST_F(Rules, EachNamedSlaveFetchesOnce) {
  contact();
  stock();
  etsi::KeyRequest request;
  request.additional_slave_sae_ids = {SaeId("sae-b2")};
  const auto ids = fetch(request);
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", ids)->ok());
  EXPECT_EQ(dec_error("sae-b", "sae-a", ids), 400U);
  EXPECT_TRUE(world.dec_keys(kB, "sae-b2", "sae-a", ids)->ok());
  EXPECT_EQ(dec_error("sae-b2", "sae-a", ids), 400U);
}

TEST_F(Rules, SlavesThatNobodyServesAreRefused) {
  contact();
  stock();
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-z")->error(), 400U);
  EXPECT_EQ(world.dec_keys(kB, "sae-b", "sae-z", {KeyId("x")})->error(), 400U);
  EXPECT_EQ(world.status(kA, "sae-a", "sae-a2")->error(), 400U);
}

TEST_F(Rules, KeysHaveTheSizeAskedForAndTheirOwnOctets) {
  contact();
  stock();
  for (const std::uint32_t bits : {64U, 256U, 264U, 8192U}) {
    etsi::KeyRequest request;
    request.size_bits = bits;
    request.number = 3;
    const auto enc = world.enc_keys(kA, "sae-a", "sae-b", request);
    world.advance(seconds(1));
    ASSERT_TRUE(enc->ok()) << bits;
    const auto& keys = std::get<etsi::KeyContainer>(*enc->reply).keys;
    ASSERT_EQ(keys.size(), 3U);
    for (const etsi::Key& key : keys)
      EXPECT_EQ(key.bytes.size() * 8, bits);
    EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", enc->ids())->ok());
  }
}

// --- when keys are handed out ---

TEST_F(Rules, NothingIsServedBeforeTheFirstContactOfARun) {
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
  contact();
  stock();
  const auto ids = fetch();
  world.kill(kB);
  world.start(kB);
  EXPECT_EQ(world.enc_keys(kB, "sae-b", "sae-a")->error(), 503U);
  EXPECT_EQ(dec_error("sae-b", "sae-a", ids), 503U);
}

TEST_F(Rules, WithoutTheLinkLeasesServeForHalfAMinute) {
  contact();
  stock();
  world.disconnect(kA, kB);
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-b")->ok());
  world.advance(kServeWithoutLink - milliseconds(1));
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-b")->ok());
  world.advance(milliseconds(1));
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
  EXPECT_EQ(reported("pool_stopped"), 2);
  EXPECT_FALSE(world.pool(kA, kB).serving);
  contact();
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-b")->ok());
}

// A connection that stands but carries nothing is no contact: the half minute counts from the last message.
TEST_F(Rules, ASilentLinkServesForHalfAMinuteToo) {
  contact();
  stock();
  world.hold_messages(true);
  world.advance(kServeWithoutLink - milliseconds(1));
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-b")->ok());
  world.advance(milliseconds(1));
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
}

TEST_F(Rules, WithoutTheLinkEncKeysEndsWithTheLeases) {
  contact();
  stock();
  world.disconnect(kA, kB);
  const std::uint64_t ready = world.pool(kA, kB).leased_keys;
  ASSERT_GT(ready, 0U);
  std::uint64_t got = 0;
  while (world.enc_keys(kA, "sae-a", "sae-b")->ok())
    ++got;
  EXPECT_EQ(got, ready);
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
}

TEST_F(Rules, BindingsOfTheTimeWithoutTheLinkFollowOnContact) {
  contact();
  stock();
  world.disconnect(kA, kB);
  const auto ids = world.enc_keys(kA, "sae-a", "sae-b")->ids();
  EXPECT_EQ(world.dec_keys(kB, "sae-b", "sae-a", ids)->error(), 503U);
  contact();
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", ids)->ok());
}

TEST_F(Rules, DecKeysWaitsForItsBindingAndNoLonger) {
  contact();
  stock();
  const auto enc = world.enc_keys(kA, "sae-a", "sae-b");  // its binding is on the way
  const auto dec = world.dec_keys(kB, "sae-b", "sae-a", enc->ids());
  EXPECT_FALSE(dec->reply);
  world.settle();
  EXPECT_TRUE(dec->ok());
  const auto second = world.enc_keys(kA, "sae-a", "sae-b");
  const auto late = world.dec_keys(kB, "sae-b", "sae-a", second->ids());
  world.hold_messages(true);
  world.advance(kMaxWait);
  EXPECT_EQ(late->error(), 400U);
  world.hold_messages(false);
  world.settle();
  EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", second->ids())->ok());
}

TEST_F(Rules, ACancelledRequestCostsNoKey) {
  contact();
  stock();
  etsi::KeyRequest many;
  many.number = 128;
  const auto enc = world.enc_keys(kA, "sae-a", "sae-b", many);  // more than is leased ahead
  ASSERT_FALSE(enc->reply);
  world.cancel(kA, enc->id);
  world.advance(seconds(1));
  EXPECT_FALSE(enc->reply);
  EXPECT_EQ(world.ledger().masters(), 0U);
}

// Leases of eight slots serve small keys; a large one that is asked for and not taken must not cost them.
TEST_F(Rules, ARequestThatIsCancelledBurnsNoReadySlots) {
  contact();
  world.make_block(kA, kB, 4096);
  world.settle();
  const Books before = world.pool(kA, kB).books;
  const std::uint64_t ready = world.pool(kA, kB).leased_keys;
  ASSERT_GT(ready, 0U);
  ASSERT_LT(ready, 32U);
  etsi::KeyRequest large;
  large.size_bits = 8'192;
  const auto enc = world.enc_keys(kA, "sae-a", "sae-b", large);
  ASSERT_FALSE(enc->reply);
  world.cancel(kA, enc->id);
  world.advance(seconds(1));
  EXPECT_EQ(world.pool(kA, kB).books.burnt, before.burnt);
  EXPECT_GE(world.pool(kA, kB).leased_keys, ready);
}

// Each large key leaves a rest in its lease: they are kept for small keys, but not without limit.
TEST_F(Rules, RestsOfLargeKeysStayWithinALimit) {
  contact();
  stock(32);
  etsi::KeyRequest large;
  large.size_bits = 5 * 8 * kSlotSize;
  unsigned got = 0;
  for (; got < 400; ++got) {
    const auto enc = world.enc_keys(kA, "sae-a", "sae-b", large);
    world.settle();
    if (!enc->ok()) break;
    ASSERT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", enc->ids())->ok());
  }
  EXPECT_GT(got, 300U);
}

TEST_F(Rules, ALargeRequestGetsItsKeysFromASmallStock) {
  contact();
  stock(2);
  etsi::KeyRequest many;
  many.number = 128;
  const auto enc = world.enc_keys(kA, "sae-a", "sae-b", many);
  world.settle();
  ASSERT_TRUE(enc->ok());
  EXPECT_EQ(enc->ids().size(), 128U);
}

TEST_F(Rules, AKeyThatNobodyFetchesIsBurnt) {
  contact();
  stock();
  const auto ids = fetch();
  world.advance(std::chrono::minutes(61));
  EXPECT_EQ(dec_error("sae-b", "sae-a", ids), 400U);
}

TEST_F(Rules, WhatWasDeliveredBeforeAnOrderlyEndIsNotBurnt) {
  contact();
  stock();
  const auto ids = fetch();
  ASSERT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", ids)->ok());
  for (const std::size_t site : {kA, kB}) {
    const std::uint64_t delivered = world.pool(site, 1 - site).books.delivered;
    EXPECT_EQ(delivered, 0U) << "it is in an open lease";
    world.end(site);
    world.start(site);
    EXPECT_EQ(world.pool(site, 1 - site).books.delivered, ids.size() * kSlotSize);
  }
}

// --- what comes in ---

TEST_F(Rules, ABlockIsStockOnlyWhenBothEndsHaveIt) {
  contact();
  const BlockId id = world.make_block(kA, kB, 1024, true, false);
  world.settle();
  EXPECT_EQ(world.pool(kA, kB).books.held, 1024U);
  EXPECT_EQ(world.pool(kA, kB).books.stock, 0U);
  world.deliver_block(kB, kA, id, world.octets_of(id));
  world.settle();
  EXPECT_EQ(world.pool(kA, kB).books.held, 0U);
  EXPECT_EQ(world.pool(kA, kB).books, world.pool(kB, kA).books);
}

TEST_F(Rules, ABlockThatTheOtherEndNeverGetsIsVoidAtBoth) {
  contact();
  const BlockId id = world.make_block(kA, kB, 1024, true, false);
  world.advance(seconds(59));
  EXPECT_EQ(world.pool(kA, kB).books.held, 1024U);
  world.advance(seconds(2));
  EXPECT_EQ(world.pool(kA, kB).books.voided, 1024U);
  world.deliver_block(kB, kA, id, world.octets_of(id));
  EXPECT_EQ(world.pool(kB, kA).refused_blocks, 1U);
  EXPECT_EQ(reported("block_late"), 1);
}

TEST_F(Rules, UnequalOctetsUnderOneIdAreVoidAtBoth) {
  contact();
  const BlockId id = world.make_block(kA, kB, 1024, true, false);
  Bytes wrong = world.octets_of(id);
  wrong[100] ^= 1;
  world.deliver_block(kB, kA, id, wrong);
  world.settle();
  EXPECT_EQ(world.pool(kA, kB).books.voided, 1024U);
  EXPECT_EQ(world.pool(kB, kA).books.voided, 1024U);
  EXPECT_GE(reported("block_differs"), 1);
}

TEST_F(Rules, RepeatedZeroShortAndEqualBlocksAreRefusedAndAlarmed) {
  const BlockId id = world.make_block(kA, kB, 1024, true, false);
  world.deliver_block(kA, kB, id, world.octets_of(id));
  EXPECT_EQ(reported("block_repeated"), 1);
  world.deliver_block(kA, kB, BlockId(Uuid{{1}}), Bytes(64));
  EXPECT_EQ(reported("block_zero"), 1);
  world.deliver_block(kA, kB, BlockId(Uuid{{2}}), Bytes(31, 7));
  EXPECT_EQ(reported("block_size"), 1);
  world.deliver_block(kA, kB, BlockId(Uuid{{3}}), Bytes(kMaxBlockSize + 1, 7));
  EXPECT_EQ(reported("block_size"), 2);
  world.deliver_block(kA, kB, BlockId(Uuid{{4}}), world.octets_of(id));
  EXPECT_EQ(reported("block_equal"), 1);
  EXPECT_EQ(world.pool(kA, kB).books.received, 1024U);
  EXPECT_EQ(world.pool(kA, kB).refused_blocks, 5U);
}

TEST_F(Rules, ABlockThatItsSourceHasLongPassedIsRefused) {
  contact();
  Bytes octets(32);
  for (std::uint32_t n = 0; n < 2'000; ++n) {
    world.rng().fill(octets);
    world.deliver_block(kA, kB, BlockId(world.random_uuid()), octets, n);
  }
  world.rng().fill(octets);
  world.deliver_block(kA, kB, BlockId(world.random_uuid()), octets, 5);
  EXPECT_EQ(reported("block_stale"), 1);
}

// --- copies ---

TEST_F(Rules, ACloneIsNoticedAndBothCopiesRefused) {
  contact();
  stock();
  const std::size_t copy = world.clone(kA);
  world.start(copy);
  world.connect(copy, kB);  // as after a restart: the run before is retired
  world.settle();
  EXPECT_EQ(reported("peer_cloned"), 0);
  world.connect(kA, kB);  // and here it is again
  world.settle();
  EXPECT_EQ(reported("peer_cloned"), 1);
  EXPECT_EQ(reported("this_kme_cloned"), 1);
  EXPECT_EQ(world.pool(kA, kB).link, LinkState::refused);
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
  world.connect(copy, kB);
  world.settle();
  EXPECT_EQ(reported("this_kme_cloned"), 2);
  // A refused copy that calls again takes nothing back of what its site and the one that refused it say.
  world.connect(kA, kB);
  world.settle();
  EXPECT_EQ(world.pool(kB, kA).link, LinkState::refused);
  EXPECT_THAT(world.pool(kB, kA).link_reason, testing::HasSubstr("two copies of the peer KME"));
  EXPECT_THAT(world.pool(kA, kB).link_reason, testing::HasSubstr("two copies of this KME"));
  EXPECT_EQ(world.enc_keys(copy, "sae-a", "sae-b")->error(), 503U);
  // That says it: what the refused do not serve for half a minute is no further alarm.
  EXPECT_EQ(reported("pool_stopped"), 0);
  world.advance(kServeWithoutLink + seconds(1));
  EXPECT_EQ(reported("pool_stopped"), 1);  // of the site that refused them
  // One copy is stopped for good, the other restarted.
  world.kill(copy);
  world.kill(kA);
  world.start(kA);
  contact();
  EXPECT_EQ(world.pool(kB, kA).link, LinkState::up);
  EXPECT_EQ(world.pool(kB, kA).link_reason, "");
  EXPECT_TRUE(world.enc_keys(kA, "sae-a", "sae-b")->ok());
}

TEST_F(Rules, ARestartBurnsWhatWasOpen) {
  contact();
  stock();
  const Books before = world.pool(kA, kB).books;
  ASSERT_GT(before.leased, 0U);
  world.kill(kA);
  world.start(kA);
  const Books after = world.pool(kA, kB).books;
  EXPECT_EQ(after.leased, 0U);
  EXPECT_EQ(after.burnt, before.leased);
  EXPECT_EQ(after.received, before.received);
}

// --- the store ---

TEST_F(Rules, AFailedStoreEndsTheRun) {
  contact();
  stock();
  world.node(kA).store.fail_with(Error{Errc::storage, "disk on fire"});
  auto& kme = *world.node(kA).kme;
  std::vector<SourceBlock> blocks;
  blocks.push_back({"a-b", BlockId(world.random_uuid()), SecretBytes::copy_of(Bytes(64, 9)), true, {}});
  const Actions actions = kme.blocks_received(std::move(blocks), WallTime{}, world.now());
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<Fatal>(actions[0]));
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
  EXPECT_FALSE(kme.next_deadline());
}

// A start believes its store only when the books and the rows agree: a stock that is not there would be leased for
// ever.
TEST_F(Rules, BooksThatContradictTheRowsEndTheStart) {
  contact();
  stock();
  world.kill(kA);
  MemoryStore& store = world.node(kA).store;
  const MemoryStore::Disk good = store.disk();
  const auto start_error = [&](const std::function<void(MemoryStore::PoolDisk&)>& spoil) {
    MemoryStore::Disk disk = good;
    spoil(disk.at(KmeId("b")));
    store.restore(std::move(disk));
    KmeConfig config{.id = KmeId("a"), .saes = {}, .peers = {{KmeId("b"), {}}}, .sources = {}, .limits = {}};
    const auto started = Kme::start(std::move(config), store, world.rng(), {}, world.now());
    return started ? Errc{} : started.error().code;
  };
  const auto move = [](std::uint64_t Books::* from, std::uint64_t Books::* to) {
    return [from, to](MemoryStore::PoolDisk& disk) {
      disk.books.*from -= 32;
      disk.books.*to += 32;
    };
  };
  EXPECT_EQ(start_error(move(&Books::leased, &Books::stock)), Errc::storage);
  EXPECT_EQ(start_error(move(&Books::stock, &Books::burnt)), Errc::storage);
  EXPECT_EQ(start_error(move(&Books::stock, &Books::held)), Errc::storage);
  EXPECT_EQ(start_error(move(&Books::leased, &Books::burnt)), Errc::storage);
  EXPECT_EQ(start_error([](MemoryStore::PoolDisk& disk) {
              LeaseRecord twice = disk.leases.begin()->second;
              twice.id = LeaseId(Uuid{{1}});
              twice.closed_here = true;
              disk.leases[twice.id] = twice;
            }),
            Errc::storage);
  EXPECT_EQ(start_error([](MemoryStore::PoolDisk&) {}), Errc{});
}

TEST_F(Rules, ALeaseLostOnTheWayIsAskedForAgainAndNothingBurnt) {
  contact();
  world.hold_timers(true);
  stock();
  world.hold_messages(true);
  world.hold_timers(false);
  world.settle();  // both have asked
  world.disconnect(kA, kB);
  world.hold_messages(false);
  contact();
  for (const std::size_t at : {kA, kB}) {
    const PoolStatus pool = world.pool(at, 1 - at);
    EXPECT_GT(pool.leased_keys, 0U);
    EXPECT_EQ(pool.books.burnt, 0U);
  }
}

// Steady state: neither enc_keys nor dec_keys waits for the disk.
TEST_F(Rules, AskingForKeysWritesNothing) {
  contact();
  stock();
  const std::size_t at_a = world.node(kA).store.commits();
  const std::size_t at_b = world.node(kB).store.commits();
  world.hold_timers(true);
  std::vector<KeyId> ids;
  while (true) {
    const auto enc = world.enc_keys(kA, "sae-a", "sae-b");
    if (!enc->ok()) break;
    ids.push_back(enc->ids().front());
  }
  world.settle();
  EXPECT_GT(ids.size(), 10U);
  for (const KeyId& id : ids)
    EXPECT_TRUE(world.dec_keys(kB, "sae-b", "sae-a", {id})->ok());
  EXPECT_EQ(world.node(kA).store.commits(), at_a);
  EXPECT_EQ(world.node(kB).store.commits(), at_b);
}

}  // namespace
}  // namespace quipu::kms::sim
