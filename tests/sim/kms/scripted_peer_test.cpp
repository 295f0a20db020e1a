// SPDX-License-Identifier: Apache-2.0
// Against a scripted peer: each request gets its one answer, and what the rules forbid ends the connection.
#include "sim/kms/scripted_peer.h"

namespace quipu::kms::sim {
namespace {

// --- contact ---

TEST_F(ScriptedPeer, AnotherVersionIsNotSpoken) {
  say(wire::Hello{wire::kVersion + 1, KmeId("b"), KmeId("a"), instance, {}});
  expect_goodbye(wire::GoodbyeReason::version);
}

TEST_F(ScriptedPeer, AnotherIdentityIsRefused) {
  say(wire::Hello{wire::kVersion, KmeId("c"), KmeId("a"), instance, {}});
  expect_goodbye(wire::GoodbyeReason::identity);
}

TEST_F(ScriptedPeer, ARunThatDoesNotRepeatTheNonceIsNotAlive) {
  say(wire::Hello{wire::kVersion, KmeId("b"), KmeId("a"), instance, {}});
  say(wire::Contact{wire::Nonce{1}, last<wire::Contact>()->inventory});
  expect_goodbye(wire::GoodbyeReason::violation);
}

TEST_F(ScriptedPeer, NoRequestBeforeContactAndNoContactAfterIt) {
  say(wire::Ping{wire::RequestNumber(1)});
  expect_goodbye(wire::GoodbyeReason::violation);
  SetUp();
  contact();
  say(wire::Hello{wire::kVersion, KmeId("b"), KmeId("a"), instance, {}});
  expect_goodbye(wire::GoodbyeReason::violation);
}

TEST_F(ScriptedPeer, TwoCopiesAreNotToldBeforeContact) {
  const wire::Hello hello{wire::kVersion, KmeId("b"), KmeId("a"), instance, {}};
  const auto alarms = [&] { return std::ranges::count(reports, "this_kme_cloned"); };
  for (const bool greeted : {false, true}) {
    if (greeted) say(hello);
    ASSERT_FALSE(closed);
    say(wire::Goodbye{wire::GoodbyeReason::two_copies});
    EXPECT_TRUE(closed);
    EXPECT_EQ(pool().link, LinkState::down);
    EXPECT_EQ(alarms(), 0);
    closed = false;
    take(kme->link_connected(kLink, KmeId("b"), now));
  }
  contact();
  EXPECT_FALSE(closed);
  // From one whose run is known to be alive it is final.
  say(wire::Goodbye{wire::GoodbyeReason::two_copies});
  EXPECT_EQ(pool().link, LinkState::refused);
  EXPECT_EQ(alarms(), 1);
  closed = false;
  take(kme->link_connected(kLink, KmeId("b"), now));
  EXPECT_TRUE(closed);
}

TEST_F(ScriptedPeer, AnswersToNothingAndGarbageEndTheConnection) {
  contact();
  say(wire::Ack{wire::RequestNumber(99)});
  expect_goodbye(wire::GoodbyeReason::violation);
  SetUp();
  contact();
  take(kme->link_received(kLink, Bytes{0x7f, 0, 0}, now));
  expect_goodbye(wire::GoodbyeReason::violation);
}

TEST_F(ScriptedPeer, ASilentPeerIsLeft) {
  contact();
  now += std::chrono::seconds(5);
  take(kme->handle_timeout(now));
  ASSERT_NE(last<wire::Ping>(), nullptr);
  now += std::chrono::seconds(10);
  take(kme->handle_timeout(now));
  expect_goodbye(wire::GoodbyeReason::timeout);
}

TEST_F(ScriptedPeer, ABindingThatIsNotAcknowledgedEndsTheConnection) {
  contact();
  stocked_block();
  take(kme->handle_timeout(now));
  answer_requests();
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), etsi::EncKeysCall{SaeId("sae-b"), {}}, now));
  const auto* binding = last<wire::Binding>();
  ASSERT_NE(binding, nullptr);
  const wire::BindingNumber number = binding->number;
  const auto wait = [&](Duration time) {
    answer_requests();
    now += time;
    ASSERT_TRUE(kme->next_deadline());
    EXPECT_LE(*kme->next_deadline(), now);
    take(kme->handle_timeout(now));
  };
  wait(std::chrono::seconds(9));
  EXPECT_FALSE(closed);
  // Repeated on the next connection, which has its own time to acknowledge it.
  take(kme->link_disconnected(kLink, "cut", now));
  take(kme->link_connected(kLink, KmeId("b"), now));
  contact();
  wait(std::chrono::seconds(9));
  EXPECT_FALSE(closed);
  wait(std::chrono::seconds(1));
  expect_goodbye(wire::GoodbyeReason::timeout);
  closed = false;
  take(kme->link_connected(kLink, KmeId("b"), now));
  contact();
  say(wire::BindingAck{number, {}});
  wait(std::chrono::seconds(10));
  EXPECT_FALSE(closed);
}

// --- blocks ---

TEST_F(ScriptedPeer, OffersAreAnsweredByWhatIsHere) {
  contact();
  wire::OfferedBlock unknown{BlockId(uuid(9)), {1}, 64};
  EXPECT_EQ(ask<wire::BlockStates>(wire::Offer{{}, {unknown}})->states, std::vector{BlockState::unknown});
  EXPECT_EQ(ask<wire::BlockStates>(wire::VoidRequest{{}, {unknown}})->states, std::vector{BlockState::voided});
  EXPECT_EQ(ask<wire::BlockStates>(wire::Offer{{}, {unknown}})->states, std::vector{BlockState::voided});
  stocked_block();
  EXPECT_EQ(ask<wire::BlockStates>(wire::VoidRequest{{}, {offered}})->states, std::vector{BlockState::usable});
  wire::OfferedBlock other = offered;
  other.digest[0] ^= 1;
  EXPECT_EQ(ask<wire::BlockStates>(wire::Offer{{}, {other}})->states, std::vector{BlockState::voided});
}

TEST_F(ScriptedPeer, AnOfferNamesABlockOnce) {
  contact();
  const wire::OfferedBlock block{BlockId(uuid(9)), {1}, 64};
  say(wire::VoidRequest{wire::RequestNumber(1), {block, block}});
  expect_goodbye(wire::GoodbyeReason::violation);
}

// --- leases ---

TEST_F(ScriptedPeer, ALeaseIsAcknowledgedAgainButItsSlotsAreTaken) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease first = lease(20, {{block, {0, 64}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(first));
  ASSERT_NE(last<wire::Open>(), nullptr);
  EXPECT_EQ(last<wire::Open>()->lease, first.id);
  EXPECT_TRUE(ask<wire::Ack>(first));
  wire::Lease changed = first;
  changed.key_ids[0] = uuid(99);
  EXPECT_EQ(refusal(changed), wire::RefusalReason::duplicate);
  EXPECT_EQ(refusal(lease(21, {{block, {32, 64}}}, instance)), wire::RefusalReason::taken);
  wire::Lease same_key = lease(22, {{block, {64, 32}}}, instance);
  same_key.key_ids[0] = first.key_ids[0];
  EXPECT_EQ(refusal(same_key), wire::RefusalReason::duplicate);
}

TEST_F(ScriptedPeer, ALeaseIsRefusedForBlocksAndRunsThatAreNotInContact) {
  contact();
  const BlockId block = stocked_block();
  EXPECT_EQ(refusal(lease(20, {{BlockId(uuid(77)), {0, 32}}}, instance)), wire::RefusalReason::no_block);
  EXPECT_EQ(refusal(lease(20, {{block, {224, 64}}}, instance)), wire::RefusalReason::no_block);  // beyond its end
  EXPECT_EQ(refusal(lease(20, {{block, {0, 32}}}, InstanceId(uuid(1)))), wire::RefusalReason::instance);
}

TEST_F(ScriptedPeer, TheLowerIdStandsWhenRequestsCross) {
  contact();
  const BlockId block = stocked_block();
  take(kme->handle_timeout(now));
  ASSERT_NE(last<wire::Lease>(), nullptr);
  const wire::Lease ours = *last<wire::Lease>();
  EXPECT_EQ(refusal(lease(20, ours.extents, instance)), wire::RefusalReason::taken);
  EXPECT_EQ(ours.extents.front().block, block);
}

TEST_F(ScriptedLowerPeer, TheHigherIdGivesWayWhenRequestsCross) {
  contact();
  const BlockId block = stocked_block();
  take(kme->handle_timeout(now));
  const auto* crossing = last<wire::Lease>();
  ASSERT_NE(crossing, nullptr);
  EXPECT_TRUE(ask<wire::Ack>(lease(20, {{block, {0, 256}}}, instance)));
  const Books books = pool().books;
  EXPECT_EQ(books.stock, 0U);
  EXPECT_EQ(books.leased, 256U);  // by the peer
}

TEST_F(ScriptedPeer, OpeningIsForOneRunAndOneLease) {
  contact();
  stocked_block();
  take(kme->handle_timeout(now));
  ASSERT_NE(last<wire::Lease>(), nullptr);
  const LeaseId ours = last<wire::Lease>()->id;
  const auto why = [&](wire::Open open) {
    const auto refused = ask<wire::Refused>(open);
    return refused ? refused->reason : wire::RefusalReason{};
  };
  EXPECT_EQ(why({{}, LeaseId(uuid(50)), instance}), wire::RefusalReason::no_lease);
  EXPECT_EQ(why({{}, ours, InstanceId(uuid(1))}), wire::RefusalReason::instance);
  EXPECT_TRUE(ask<wire::Ack>(wire::Open{{}, ours, instance}));
  EXPECT_TRUE(ask<wire::Ack>(wire::Open{{}, ours, instance}));
  // It also stands for the acknowledgement.
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), etsi::EncKeysCall{SaeId("sae-b"), {}}, now));
  EXPECT_NE(last<wire::Binding>(), nullptr);
}

TEST_F(ScriptedPeer, AnotherRunMayNotOpenWhatOneHasOpened) {
  contact();
  stocked_block();
  take(kme->handle_timeout(now));
  const LeaseId ours = last<wire::Lease>()->id;
  EXPECT_TRUE(ask<wire::Ack>(wire::Open{{}, ours, instance}));
  take(kme->link_disconnected(kLink, "cut", now));
  take(kme->link_connected(kLink, KmeId("b"), now));
  instance = InstanceId(uuid(201));
  contact();
  const auto refused = ask<wire::Refused>(wire::Open{{}, ours, instance});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, wire::RefusalReason::instance);
}

TEST_F(ScriptedPeer, NoKeyToAMasterBeforeTheLeaseIsAcknowledged) {
  contact();
  stocked_block();
  take(kme->handle_timeout(now));
  const wire::RequestNumber asked = last<wire::Lease>()->number;
  const etsi::EncKeysCall call{SaeId("sae-b"), {}};
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), call, now));
  EXPECT_TRUE(replies.empty());
  say(wire::Ack{asked});
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<etsi::KeyContainer>(replies[0]));
}

TEST_F(ScriptedPeer, NoKeyToASlaveBeforeTheOpeningIsAcknowledged) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease theirs = lease(20, {{block, {0, 64}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(theirs));
  const wire::RequestNumber opening = last<wire::Open>()->number;
  say(wire::Binding{wire::BindingNumber(1), theirs.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}});
  const etsi::DecKeysCall call{SaeId("sae-b"), {{KeyId(theirs.key_ids[0].text())}}};
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), call, now));
  EXPECT_TRUE(replies.empty());
  say(wire::Ack{opening});
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<etsi::KeyContainer>(replies[0]));
}

TEST_F(ScriptedPeer, WhatWasNotAnsweredIsAskedAgainAfterContact) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease theirs = lease(20, {{block, {224, 32}}}, instance);
  ASSERT_TRUE(ask<wire::Ack>(theirs));
  take(kme->handle_timeout(now));
  const wire::Lease ours = *last<wire::Lease>();
  take(kme->link_disconnected(kLink, "cut", now));
  said.clear();
  take(kme->link_connected(kLink, KmeId("b"), now));
  contact();
  ASSERT_NE(last<wire::Lease>(), nullptr);
  EXPECT_EQ(last<wire::Lease>()->id, ours.id);
  EXPECT_EQ(last<wire::Lease>()->key_ids, ours.key_ids);
  ASSERT_NE(last<wire::Open>(), nullptr);
  EXPECT_EQ(last<wire::Open>()->lease, theirs.id);
}

TEST_F(ScriptedPeer, SlavesThatNeverFetchDoNotStopThePool) {
  contact();
  constexpr std::uint32_t kOctets = 512 * kSlotSize;
  for (std::uint8_t n = 1; n <= 130; ++n)
    use_up({stocked_block(n, "link", kOctets), {0, kOctets}});
  const Books books = pool().books;
  EXPECT_EQ(books.leased, 128 * kOctets);
  EXPECT_EQ(books.burnt, 2 * kOctets);
}

TEST_F(ScriptedPeer, SlavesThatNeverFetchCostTheirMasterAlone) {
  contact();
  const auto use_up_block = [&](std::uint8_t n, const std::string& master) {
    const BlockId block = stocked_block(n);
    std::vector<Uuid> key_ids;
    key_ids.reserve(8);
    for (std::uint32_t slot = 0; slot < 8; ++slot)
      key_ids.push_back(use_up({block, {slot * kSlotSize, kSlotSize}}, master).key_ids.front());
    return key_ids;
  };
  const std::vector<Uuid> others = use_up_block(1, "sae-b2");
  const std::vector<Uuid> oldest = use_up_block(2, "sae-b");
  for (std::uint8_t n = 3; n <= 129; ++n)
    use_up_block(n, "sae-b");
  const auto fetch = [&](const Uuid& key_id, const std::string& master) {
    replies.clear();
    take(kme->etsi_request(RequestId(1), SaeId("sae-a"), etsi::DecKeysCall{SaeId(master), {{KeyId(key_id.text())}}},
                           now));
    return replies.size() == 1 && std::holds_alternative<etsi::KeyContainer>(replies[0]);
  };
  EXPECT_EQ(pool().books.burnt, 8 * kSlotSize);
  for (const Uuid& key_id : oldest)
    EXPECT_FALSE(fetch(key_id, "sae-b"));
  for (const Uuid& key_id : others)
    EXPECT_TRUE(fetch(key_id, "sae-b2"));
}

TEST_F(ScriptedPeer, BindingsAreAcknowledgedAndTheirRepetitionsIgnored) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease theirs = lease(20, {{block, {0, 64}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(theirs));
  say(wire::Ack{last<wire::Open>()->number});
  wire::Binding binding{wire::BindingNumber(1), theirs.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}};
  say(binding);
  EXPECT_EQ(acknowledged_bindings(), wire::BindingNumber(1));
  const etsi::DecKeysCall call{SaeId("sae-b"), {{KeyId(theirs.key_ids[0].text())}}};
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), call, now));
  say(binding);                             // again
  binding.number = wire::BindingNumber(2);  // a second one for a slot that was handed out
  say(binding);
  take(kme->etsi_request(RequestId(2), SaeId("sae-a"), call, now));
  ASSERT_EQ(replies.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<etsi::KeyContainer>(replies[0]));
  EXPECT_TRUE(std::holds_alternative<etsi::ApiError>(replies[1]));
  said.clear();
  EXPECT_EQ(acknowledged_bindings(), wire::BindingNumber(2));
  const auto is_ack = [](const wire::Message& m) { return std::holds_alternative<wire::BindingAck>(m); };
  EXPECT_EQ(std::ranges::count_if(said, is_ack), 1) << "one for both";
}

// Nothing but what belongs to contact is said before it.
TEST_F(ScriptedPeer, BindingsAreNotAcknowledgedOnANewConnectionBeforeContact) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease theirs = lease(20, {{block, {0, 64}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(theirs));
  const wire::Binding binding{wire::BindingNumber(1), theirs.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}};
  say(binding);
  take(kme->link_disconnected(kLink, "cut", now));
  said.clear();
  take(kme->link_connected(kLink, KmeId("b"), now));
  EXPECT_FALSE(acknowledged_bindings());
  contact();
  say(binding);
  EXPECT_EQ(acknowledged_bindings(), wire::BindingNumber(1));
}

// The connection in which the new run showed itself broke before contact; its bindings count from 1 all the same.
TEST_F(ScriptedPeer, BindingsOfANewRunAreHeardAfterABrokenContact) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease before = lease(20, {{block, {0, 32}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(before));
  say(wire::Binding{wire::BindingNumber(5), before.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}});
  instance = InstanceId(uuid(201));
  take(kme->link_connected(kLink, KmeId("b"), now));
  say(wire::Hello{wire::kVersion, KmeId("b"), KmeId("a"), instance, {}});
  say(wire::Contact{last<wire::Hello>()->nonce, {}});
  take(kme->link_connected(kLink, KmeId("b"), now));
  contact();
  const wire::Lease after = lease(21, {{block, {32, 32}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(after));
  say(wire::Ack{last<wire::Open>()->number});
  say(wire::Binding{wire::BindingNumber(1), after.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}});
  const etsi::DecKeysCall call{SaeId("sae-b"), {{KeyId(after.key_ids[0].text())}}};
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), call, now));
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<etsi::KeyContainer>(replies[0]));
}

TEST_F(ScriptedPeer, ClosingAnUnknownLeaseIsAnsweredYes) {
  contact();
  const auto answer = ask<wire::Closed>(wire::Close{{}, LeaseId(uuid(60))});
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->closed_here);
}

// Else a connection that stands for a year would remember every lease of that year.
TEST_F(ScriptedPeer, NothingIsKeptOfALeaseThatHasEnded) {
  contact();
  stocked_block(1);
  const BlockId block = stocked_block(2);  // beyond what the KME leases for itself
  for (const std::uint32_t offset : {0U, 32U}) {
    ASSERT_TRUE(ask<wire::Ack>(lease(20, {{block, {offset, 32}}}, instance)));
    say(wire::Refused{last<wire::Open>()->number, wire::RefusalReason::no_lease});
    said.clear();
    take(kme->handle_timeout(now));
    ASSERT_NE(last<wire::Close>(), nullptr) << offset;
    say(wire::Closed{last<wire::Close>()->number, true});
    take(kme->handle_timeout(now));
    EXPECT_EQ(pool().books.burnt, offset + 32U);
  }
}

TEST_F(ScriptedPeer, WhatHasNoBindingIsBurntWhenTheHolderCloses) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease theirs = lease(20, {{block, {0, 256}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(theirs));
  const auto answer = ask<wire::Closed>(wire::Close{{}, theirs.id});
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->closed_here);  // it closes in its own time
  take(kme->handle_timeout(now));
  ASSERT_NE(last<wire::Close>(), nullptr);
  const Books books = pool().books;
  EXPECT_EQ(books.leased, 0U);
  EXPECT_EQ(books.burnt, 256U);
  EXPECT_TRUE(store.disk().at(KmeId("b")).material.empty());  // spent at both ends
}

}  // namespace
}  // namespace quipu::kms::sim
