// SPDX-License-Identifier: Apache-2.0
// One KME ("a") against a peer ("b") that says exactly what the test wants: each request gets its one answer, and what
// the rules forbid ends the connection.
#include <gtest/gtest.h>

#include <algorithm>

#include "kms/kme.h"
#include "kms/link_message.h"
#include "sim/kms/memory_store.h"
#include "sim/kms/seeded_rng.h"

namespace quipu::kms::sim {
namespace {

constexpr LinkId kLink(7);

Uuid uuid(std::uint8_t n) {
  return Uuid{{n}};
}

class ScriptedPeer : public testing::Test {
 protected:
  void SetUp() override {
    KmeConfig config;
    config.id = KmeId(own_id());
    config.saes = {SaeId("sae-a")};
    config.peers = {{KmeId(peer_id()), {SaeId("sae-b")}}};
    config.sources = {{"link", KmeId(peer_id())}};
    auto started = Kme::start(config, store, rng, WallTime{}, now);
    ASSERT_TRUE(started);
    kme = std::move(*started);
    take(kme->link_connected(kLink, KmeId(peer_id()), now));
  }

  virtual std::string own_id() const { return "a"; }

  virtual std::string peer_id() const { return "b"; }

  // What the KME says, and whether it ends the connection.
  void take(Actions actions) {
    for (Action& action : actions) {
      if (const auto* send = std::get_if<SendLink>(&action)) {
        auto message = wire::decode(send->message.view());
        ASSERT_TRUE(message) << message.error().text;
        said.push_back(std::move(*message));
      }
      if (auto* reply = std::get_if<ReplyEtsi>(&action)) replies.push_back(std::move(reply->reply));
      closed = closed || std::holds_alternative<CloseLink>(action);
      ASSERT_FALSE(std::holds_alternative<Fatal>(action));
    }
  }

  void say(const wire::Message& message) { take(kme->link_received(kLink, wire::encode(message).view(), now)); }

  // Says something and returns the only thing that is answered to it, passing over the KME's own requests.
  template <class Answer, class Request>
  std::optional<Answer> ask(Request request) {
    request.number = wire::RequestNumber(++last_number);
    said.clear();
    say(request);
    std::optional<Answer> answer;
    int answers = 0;
    for (const wire::Message& m : said) {
      const bool is_answer = std::holds_alternative<wire::Ack>(m) || std::holds_alternative<wire::Refused>(m) ||
                             std::holds_alternative<wire::Closed>(m) || std::holds_alternative<wire::BlockStates>(m);
      answers += is_answer ? 1 : 0;
      if (const auto* a = std::get_if<Answer>(&m)) answer = *a;
    }
    EXPECT_EQ(answers, 1);
    EXPECT_TRUE(!answer || answer->number == request.number);
    return answer;
  }

  template <class M>
  const M* last() const {
    const auto found =
        std::find_if(said.rbegin(), said.rend(), [](const wire::Message& m) { return std::holds_alternative<M>(m); });
    return found == said.rend() ? nullptr : &std::get<M>(*found);
  }

  void contact() {
    const auto* hello = last<wire::Hello>();
    ASSERT_NE(hello, nullptr);
    const wire::Nonce theirs = hello->nonce;
    say(wire::Hello{1, KmeId(peer_id()), KmeId(own_id()), instance, {}});
    const auto* summary = last<wire::Contact>();
    ASSERT_NE(summary, nullptr);
    say(wire::Contact{theirs, summary->inventory});  // we have the same
    ASSERT_EQ(kme->status({}, now).front().link, LinkState::up);
  }

  // A block of eight slots that both ends have.
  BlockId stocked_block(std::uint8_t n = 1) {
    const BlockId id(uuid(n));
    Bytes octets(256, n);
    octets[0] = 1;
    std::vector<SourceBlock> blocks;
    blocks.push_back({"link", id, SecretBytes::copy_of(octets), false, {}});
    take(kme->blocks_received(std::move(blocks), WallTime{}, now));
    const auto* offer = last<wire::Offer>();
    EXPECT_NE(offer, nullptr);
    offered = offer->blocks.front();
    const auto states = ask<wire::BlockStates>(wire::Offer{{}, {offered}});
    EXPECT_EQ(states->states, std::vector{BlockState::usable});
    return id;
  }

  static wire::Lease lease(std::uint8_t n, std::vector<Extent> extents, const InstanceId& of) {
    wire::Lease m;
    m.id = LeaseId(uuid(n));
    m.instance = of;
    for (const Extent& e : extents)
      for (std::uint32_t i = 0; i < e.range.length / kSlotSize; ++i)
        m.key_ids.push_back(Uuid{{n, static_cast<std::uint8_t>(m.key_ids.size() + 1)}});
    m.extents = std::move(extents);
    return m;
  }

  wire::RefusalReason refusal(wire::Lease m) {
    const auto refused = ask<wire::Refused>(std::move(m));
    return refused ? refused->reason : wire::RefusalReason{};
  }

  void expect_goodbye(wire::GoodbyeReason reason) {
    ASSERT_NE(last<wire::Goodbye>(), nullptr);
    EXPECT_EQ(last<wire::Goodbye>()->reason, reason);
    EXPECT_TRUE(closed);
  }

  MemoryStore store;
  SeededRng rng{5};
  TimePoint now{};
  std::unique_ptr<Kme> kme;
  InstanceId instance{uuid(200)};
  std::vector<wire::Message> said;
  std::vector<EtsiReply> replies;
  bool closed = false;
  std::uint32_t last_number = 0;
  wire::OfferedBlock offered;
};

class ScriptedLowerPeer : public ScriptedPeer {
 protected:
  std::string own_id() const override { return "b"; }

  std::string peer_id() const override { return "a"; }
};

// --- contact ---

TEST_F(ScriptedPeer, AnotherVersionIsNotSpoken) {
  say(wire::Hello{2, KmeId("b"), KmeId("a"), instance, {}});
  expect_goodbye(wire::GoodbyeReason::version);
}

TEST_F(ScriptedPeer, AnotherIdentityIsRefused) {
  say(wire::Hello{1, KmeId("c"), KmeId("a"), instance, {}});
  expect_goodbye(wire::GoodbyeReason::identity);
}

TEST_F(ScriptedPeer, ARunThatDoesNotRepeatTheNonceIsNotAlive) {
  say(wire::Hello{1, KmeId("b"), KmeId("a"), instance, {}});
  say(wire::Contact{wire::Nonce{1}, last<wire::Contact>()->inventory});
  expect_goodbye(wire::GoodbyeReason::violation);
}

TEST_F(ScriptedPeer, NoRequestBeforeContactAndNoContactAfterIt) {
  say(wire::Ping{wire::RequestNumber(1)});
  expect_goodbye(wire::GoodbyeReason::violation);
  SetUp();
  contact();
  say(wire::Hello{1, KmeId("b"), KmeId("a"), instance, {}});
  expect_goodbye(wire::GoodbyeReason::violation);
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
  const Books books = kme->status({}, now).front().books;
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
  take(kme->link_disconnected(kLink, now));
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
  take(kme->link_disconnected(kLink, now));
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
  for (std::uint8_t n = 1; n <= 80; ++n) {
    const BlockId block = stocked_block(n);
    const wire::Lease theirs = lease(static_cast<std::uint8_t>(n + 100), {{block, {0, 256}}}, instance);
    ASSERT_TRUE(ask<wire::Ack>(theirs)) << int{n};
    say(wire::Binding{wire::BindingNumber(n), theirs.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}});
    ASSERT_TRUE(ask<wire::Closed>(wire::Close{{}, theirs.id}));
  }
  const Books books = kme->status({}, now).front().books;
  EXPECT_EQ(books.leased, 64 * 256U);
  EXPECT_EQ(books.burnt, 16 * 256U);
}

TEST_F(ScriptedPeer, BindingsAreAcknowledgedAndTheirRepetitionsIgnored) {
  contact();
  const BlockId block = stocked_block();
  const wire::Lease theirs = lease(20, {{block, {0, 64}}}, instance);
  EXPECT_TRUE(ask<wire::Ack>(theirs));
  say(wire::Ack{last<wire::Open>()->number});
  wire::Binding binding{wire::BindingNumber(1), theirs.id, 0, 1, 256, SaeId("sae-b"), {SaeId("sae-a")}};
  say(binding);
  ASSERT_NE(last<wire::BindingAck>(), nullptr);
  EXPECT_EQ(last<wire::BindingAck>()->number, wire::BindingNumber(1));
  const etsi::DecKeysCall call{SaeId("sae-b"), {{KeyId(theirs.key_ids[0].text())}}};
  take(kme->etsi_request(RequestId(1), SaeId("sae-a"), call, now));
  say(binding);                             // again
  binding.number = wire::BindingNumber(2);  // a second one for a slot that was handed out
  say(binding);
  take(kme->etsi_request(RequestId(2), SaeId("sae-a"), call, now));
  ASSERT_EQ(replies.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<etsi::KeyContainer>(replies[0]));
  EXPECT_TRUE(std::holds_alternative<etsi::ApiError>(replies[1]));
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
  say(wire::Hello{1, KmeId("b"), KmeId("a"), instance, {}});
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
  const Books books = kme->status({}, now).front().books;
  EXPECT_EQ(books.leased, 0U);
  EXPECT_EQ(books.burnt, 256U);
  EXPECT_TRUE(store.disk().at(KmeId("b")).material.empty());  // spent at both ends
}

}  // namespace
}  // namespace quipu::kms::sim
