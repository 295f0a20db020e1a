// SPDX-License-Identifier: Apache-2.0
// max_unfetched_keys where keys go to slaves at several KMEs: "a", whose sae-a is limited, "b" and "c".
#include <gtest/gtest.h>

#include "kms/delivery.h"
#include "kms/link_message.h"
#include "kms/multicast.h"
#include "sim/kms/scripted_peer.h"
#include "sim/kms/world.h"

namespace quipu::kms::sim {
namespace {

class Quota : public testing::Test {
 protected:
  Quota() {
    world.configure = [](KmeConfig& config) {
      config.terms[SaeId("sae-a")] = {.max_rate_bit_s = std::nullopt, .uses_reserve = false, .max_unfetched_keys = 3};
    };
    for (std::size_t i = 0; i < world.nodes(); ++i)
      world.start(i);
    connect();
    for (const std::size_t other : {kB, kC})
      for (int i = 0; i < 4; ++i)
        world.make_block(kA, other, 4'096);
    world.settle();
  }

  void connect() {
    for (const auto& [one, other] : {std::pair(kA, kB), {kA, kC}, {kB, kC}})
      if (!world.connected(one, other)) world.connect(one, other);
    world.settle();
  }

  // For sae-b, and sae-c too.
  std::shared_ptr<Outcome> begin_both() {
    etsi::KeyRequest request;
    request.additional_slave_sae_ids = {SaeId("sae-c")};
    return world.enc_keys(kA, "sae-a", "sae-b", request);
  }

  std::shared_ptr<Outcome> ask_both() {
    auto enc = begin_both();
    world.advance(milliseconds(100));
    return enc;
  }

  std::shared_ptr<Outcome> ask_b() {
    auto enc = world.enc_keys(kA, "sae-a", "sae-b");
    world.advance(milliseconds(100));
    return enc;
  }

  void fetch(std::size_t at, const std::shared_ptr<Outcome>& enc) {
    EXPECT_TRUE(world.dec_keys(at, World::sae(at), "sae-a", enc->ids())->ok());
    world.advance(milliseconds(100));
  }

  World world{33, 3};
};

TEST_F(Quota, CountsKeysThatWaitAtTheFurtherKme) {
  const std::vector keys{ask_both(), ask_both(), ask_both()};
  for (const auto& key : keys)
    fetch(kB, key);
  EXPECT_EQ(ask_both()->error(), 503U);
  EXPECT_TRUE(ask_b()->ok());
  fetch(kC, keys[0]);
  EXPECT_TRUE(ask_both()->ok());
  EXPECT_EQ(ask_both()->error(), 503U);
  // Lost with the run that held them.
  world.kill(kC);
  world.start(kC);
  connect();
  EXPECT_TRUE(ask_both()->ok());
  // Too old to be fetched.
  EXPECT_EQ(ask_both()->error(), 503U);
  world.advance(Limits{}.undelivered_ttl + seconds(1));
  EXPECT_TRUE(ask_both()->ok());
}

TEST_F(Quota, CountsWhatIsOnItsWay) {
  world.hold_messages(true);
  std::array<std::shared_ptr<Outcome>, 4> keys;
  for (auto& each : keys)
    each = begin_both();
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-b")->error(), 503U);
  EXPECT_EQ(world.enc_keys(kA, "sae-a", "sae-c")->error(), 503U);
  world.hold_messages(false);
  world.advance(milliseconds(100));
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(keys[static_cast<std::size_t>(i)]->ok());
  EXPECT_EQ(keys[3]->error(), 503U);
}

// Each way in which keys get to nobody gives the room back.
TEST_F(Quota, DoesNotCountWhatNobodyGot) {
  bool altered = false;
  world.meddle([&](std::size_t, std::size_t, SecretBytes message) {
    if (altered && message.view()[0] == static_cast<std::uint8_t>(wire::MessageType::key_transfer))
      message.mutable_view()[message.size() - 1] ^= 1;
    std::vector<SecretBytes> out;
    out.push_back(std::move(message));
    return out;
  });
  for (int i = 0; i < 4; ++i) {
    altered = true;
    EXPECT_EQ(ask_both()->error(), 503U);  // forged
    altered = false;
    world.advance(kTransferPause);
    const auto hung_up = begin_both();
    world.cancel(kA, hung_up->id);
    world.advance(milliseconds(100));
    world.hold_messages(true);
    const auto cut = begin_both();
    world.disconnect(kA, kC);
    EXPECT_EQ(cut->error(), 503U);
    world.hold_messages(false);
    connect();
    world.advance(kTransferPause);
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(ask_both()->ok());
  EXPECT_EQ(ask_both()->error(), 503U);
}

// The void of a transfer cannot get there while the connection is down.
TEST_F(Quota, DoesNotCountWhatIsVoidOnceThereIsContact) {
  bool dropped = false;
  world.meddle([&](std::size_t from, std::size_t to, SecretBytes message) {
    std::vector<SecretBytes> out;
    const bool is_ack = message.view()[0] == static_cast<std::uint8_t>(wire::MessageType::ack);
    if (!dropped || from != kC || to != kA || !is_ack) out.push_back(std::move(message));
    return out;
  });
  for (int i = 0; i < 4; ++i) {
    dropped = true;
    const auto lost = begin_both();
    world.settle();
    world.disconnect(kA, kC);
    EXPECT_EQ(lost->error(), 503U);
    dropped = false;
    connect();
    world.advance(kTransferPause + milliseconds(100));
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(ask_both()->ok());
}

// Of what waits there the new run learns before it hands out a key.
TEST_F(Quota, CountsWhatARunBeforeHandedOut) {
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(ask_b()->ok());
  world.kill(kA);
  world.start(kA);
  connect();
  const auto more = world.enc_keys(kA, "sae-a", "sae-b");
  world.settle();
  EXPECT_EQ(more->error(), 503U);
}

// Counts are worth a message only to a peer that limits the master.
class CountedBindings : public ScriptedPeer {
 protected:
  static constexpr std::uint16_t kMasters = 300;  // more than one message tells

  void adjust(KmeConfig& config) override {
    for (int i = 0; i < kMasters; ++i)
      config.peers[0].saes.emplace_back("master-" + std::to_string(i));
  }

  // One key of each master.
  void bind_all(bool counted) {
    const BlockId block = stocked_block(1, "link", std::size_t{kMasters} * kSlotSize);
    const wire::Lease theirs = lease(101, {{block, {0, kMasters * kSlotSize}}}, instance);
    m_first = theirs.key_ids[0];
    ASSERT_TRUE(ask<wire::Ack>(theirs));
    say(wire::Ack{last<wire::Open>()->number});
    for (std::uint16_t i = 0; i < kMasters; ++i)
      say(wire::Binding{wire::BindingNumber(i + 1U),
                        theirs.id,
                        i,
                        1,
                        256,
                        SaeId("master-" + std::to_string(i)),
                        {SaeId("sae-a")},
                        counted});
  }

  std::vector<wire::BindingAck> acknowledgements() {
    said.clear();
    now += kMaxAckDelay;
    take(kme->handle_timeout(now));
    std::vector<wire::BindingAck> out;
    for (const wire::Message& message : said)
      if (const auto* ack = std::get_if<wire::BindingAck>(&message)) out.push_back(*ack);
    return out;
  }

  void fetch_first() {
    const etsi::DecKeysCall call{SaeId("master-0"), {{KeyId(m_first.text())}}};
    take(kme->etsi_request(RequestId(1), SaeId("sae-a"), call, now));
    ASSERT_TRUE(std::holds_alternative<etsi::KeyContainer>(replies.back()));
    take(kme->handle_timeout(now));
  }

  Uuid m_first;
};

// Bindings that are acknowledged before their keys are counted would be counted by nobody for a moment.
TEST_F(CountedBindings, AreAcknowledgedWhenAllCountsAreTold) {
  contact();
  bind_all(true);
  const auto acks = acknowledgements();
  ASSERT_EQ(acks.size(), 2U);
  EXPECT_EQ(acks[0].number, wire::BindingNumber(0));
  EXPECT_EQ(acks[1].number, wire::BindingNumber(kMasters));
  EXPECT_EQ(acks[0].unfetched.size() + acks[1].unfetched.size(), kMasters);
  fetch_first();
  const auto news = acknowledgements();
  ASSERT_EQ(news.size(), 1U);
  EXPECT_EQ(news[0].unfetched, (std::vector<wire::UnfetchedKeys>{{SaeId("master-0"), 0}}));
}

TEST_F(CountedBindings, OthersAreNotTold) {
  contact();
  bind_all(false);
  const auto acks = acknowledgements();
  ASSERT_EQ(acks.size(), 1U);
  EXPECT_EQ(acks[0].number, wire::BindingNumber(kMasters));
  EXPECT_TRUE(acks[0].unfetched.empty());
  fetch_first();
  EXPECT_TRUE(acknowledgements().empty());
}

}  // namespace
}  // namespace quipu::kms::sim
