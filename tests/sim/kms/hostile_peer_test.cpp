// SPDX-License-Identifier: Apache-2.0
// Against a peer KME that is authenticated and means harm: it may spoil its own pool, and nothing beside it.
#include "sim/kms/scripted_peer.h"

namespace quipu::kms::sim {
namespace {

using HostilePeer = ScriptedPeer;

constexpr std::uint8_t kFull = 128;  // such leases are open at most
constexpr std::uint32_t kLeaseOctets = 512 * kSlotSize;

TEST_F(HostilePeer, SpeaksToTheDriversOfItsOwnLinksOnly) {
  contact();
  const auto driver_message = [](const std::string& link) {
    return wire::DriverMessage{link, SecretBytes::copy_of(Bytes{1})};
  };
  say(driver_message("link"));
  EXPECT_EQ(to_drivers, std::vector<std::string>{"link"});
  EXPECT_FALSE(closed);
  const auto told = [&] { return std::ranges::count(reports, "link_not_shared"); };
  for (int i = 0; i < 3; ++i)
    say(driver_message("link-c"));
  EXPECT_EQ(to_drivers, std::vector<std::string>{"link"});
  EXPECT_EQ(told(), 1);
  // The link stands, for the pool and for the driver.
  EXPECT_FALSE(closed);
  say(driver_message("link"));
  EXPECT_EQ(to_drivers.size(), 2U);
  // Nor do names without end fill the log.
  for (int i = 0; i < 100; ++i)
    say(driver_message("link" + std::to_string(i)));
  EXPECT_LE(told(), 20);
  EXPECT_FALSE(closed);
}

TEST_F(HostilePeer, ItsVoidRequestsFillNoDisk) {
  contact();
  std::uint32_t id = 0;
  while (id < 2 * kMaxLostBlocks) {
    wire::VoidRequest request;
    for (std::size_t i = 0; i < wire::kMaxBlocksPerOffer; ++i) {
      Uuid uuid;
      ByteWriter(uuid.octets).u32(++id);
      request.blocks.push_back({BlockId(uuid), {}, 64});
    }
    const auto states = ask<wire::BlockStates>(std::move(request));
    ASSERT_TRUE(states);
    EXPECT_EQ(states->states, std::vector(wire::kMaxBlocksPerOffer, BlockState::voided));
  }
  EXPECT_EQ(store.disk().at(KmeId("b")).blocks.size(), kMaxLostBlocks);
}

// The slot of a key that was fetched is wiped: who gets it again would have zeros for a key.
TEST_F(HostilePeer, AKeyIdAnnouncedAgainOpensNoSlotAgain) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease first = lease(101, {{block, {0, 32}}}, instance);
  ASSERT_TRUE(ask<wire::Ack>(first));
  say(wire::Ack{last<wire::Open>()->number});
  const etsi::DecKeysCall call{SaeId("sae-b"), {{KeyId(first.key_ids[0].text())}}};
  const auto bind_and_fetch = [&](std::uint8_t number) {
    say(wire::Binding{wire::BindingNumber(number), first.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}});
    take(kme->etsi_request(RequestId(number), SaeId("sae-a"), call, now));
    now += kMaxWait;
    take(kme->handle_timeout(now));
    return !replies.empty() && std::holds_alternative<etsi::KeyContainer>(replies.back());
  };
  EXPECT_TRUE(bind_and_fetch(1));
  wire::Lease second = lease(102, {{stocked_block(2), {0, 32}}}, instance);
  second.key_ids = first.key_ids;
  ASSERT_TRUE(ask<wire::Ack>(second));
  EXPECT_FALSE(bind_and_fetch(2));
  EXPECT_TRUE(ask<wire::Closed>(wire::Close{{}, first.id}));
  EXPECT_FALSE(closed);
}

TEST_F(HostilePeer, ItsRunsFillNoDisk) {
  contact();
  for (std::uint32_t run = 1; run <= kMaxRetired + 10; ++run) {
    Uuid id;
    ByteWriter(id.octets).u32(run);
    instance = InstanceId(id);
    said.clear();
    take(kme->link_connected(kLink, KmeId("b"), now));
    contact();
  }
  EXPECT_EQ(store.disk().at(KmeId("b")).retired.size(), kMaxRetired);
}

// Names of SAEs that nobody serves here are not kept, however many and long they are.
TEST_F(HostilePeer, ABindingThatNobodyHereMayFetchIsGivenUp) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease theirs = lease(20, {{block, {0, 128}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(theirs));
  say(wire::Ack{last<wire::Open>()->number});
  const std::string stranger(200, 'x');
  say(wire::Binding{wire::BindingNumber(1), theirs.id, 0, 1, 256, SaeId("sae-b"), {SaeId(stranger)}});
  say(wire::Binding{wire::BindingNumber(2), theirs.id, 1, 1, 256, SaeId(stranger), {SaeId("sae-a")}});
  say(wire::Binding{wire::BindingNumber(3), theirs.id, 2, 1, 256, SaeId("sae-b"), {SaeId(stranger), SaeId("sae-a")}});
  // The slots that were given up are bound to nobody any more.
  say(wire::Binding{wire::BindingNumber(4), theirs.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}});
  const auto error_of = [&](std::size_t slot) {
    replies.clear();
    const etsi::DecKeysCall call{SaeId("sae-b"), {{KeyId(theirs.key_ids[slot].text())}}};
    take(kme->etsi_request(RequestId(1), SaeId("sae-a"), call, now));
    const auto* error = replies.empty() ? nullptr : std::get_if<etsi::ApiError>(&replies[0]);
    return error != nullptr ? error->http_status : 0;
  };
  EXPECT_EQ(error_of(0), 400U);
  EXPECT_EQ(error_of(1), 400U);
  EXPECT_EQ(error_of(2), 0U);
  EXPECT_TRUE(ask<wire::Closed>(wire::Close{{}, theirs.id}));
  take(kme->handle_timeout(now));
  EXPECT_EQ(pool().books.delivered, 32U);
  EXPECT_EQ(pool().books.burnt, 96U);
}

// key_IDs are no secret.
TEST_F(HostilePeer, CannotTakeKeyIdsOfAnotherPool) {
  contact();
  const auto announce = [&](const BlockId& block, const std::string& master) {
    const wire::Lease theirs = lease(20, {{block, {0, 64}}}, instance);
    EXPECT_TRUE(ask<wire::Ack>(theirs));
    say(wire::Ack{last<wire::Open>()->number});
    say(wire::Binding{wire::BindingNumber(1), theirs.id, 0, 1, 256, SaeId(master), {SaeId("sae-a")}});
    return KeyId(theirs.key_ids[0].text());
  };
  const KeyId key_id = announce(stocked_block(), "sae-b");
  speak_as("c");
  EXPECT_EQ(announce(stocked_block(9, "link-c"), "sae-c"), key_id);
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), etsi::DecKeysCall{SaeId("sae-b"), {{key_id}}}, now));
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<etsi::KeyContainer>(replies[0]));
}

// What is refused anyway costs nobody his unfetched keys.
TEST_F(HostilePeer, ALeaseOverTakenSlotsMakesNoRoom) {
  contact();
  BlockId block;
  for (std::uint8_t n = 1; n <= kFull; ++n) {
    block = stocked_block(n, "link", kLeaseOctets);
    use_up({block, {0, kLeaseOctets}});
  }
  const Books before = pool().books;
  EXPECT_EQ(refusal(lease(99, {{block, {0, 32}}}, instance)), wire::RefusalReason::taken);
  EXPECT_EQ(pool().books, before);
}

}  // namespace
}  // namespace quipu::kms::sim
