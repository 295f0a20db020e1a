// SPDX-License-Identifier: Apache-2.0
// What a KME does with keys that a peer transfers to it, whatever the peer does.
#include "kms/pad_seal.h"
#include "sim/kms/scripted_peer.h"

namespace quipu::kms::sim {
namespace {

// "b", which serves sae-a; the peer "a" serves the masters sae-b and sae-d.
class KeyTransfers : public ScriptedLowerPeer {
 protected:
  void SetUp() override {
    ScriptedLowerPeer::SetUp();
    contact();
    lease_of(1);
  }

  void adjust(KmeConfig& config) override { config.peers[0].saes.emplace_back("sae-d"); }

  // A whole block, all of one octet, of which the peer takes its pads from now on.
  void lease_of(std::uint8_t octet, bool opened = true) {
    const BlockId block = stocked_block(octet);
    const wire::Lease theirs = lease(static_cast<std::uint8_t>(octet + 100), {{block, {0, 256}}}, instance);
    m_lease = theirs.id;
    m_octet = octet;
    ASSERT_TRUE(ask<wire::Ack>(theirs));
    if (opened) acknowledge_opening();
  }

  void acknowledge_opening() {
    if (const auto* open = last<wire::Open>()) say(wire::Ack{open->number});
  }

  // One key of 32 octets, all of its number, under the slots from `first` on, after the first slot of the lease.
  wire::KeyTransfer transfer(std::uint8_t n, std::uint16_t first = 1) const {
    wire::KeyTransfer out;
    out.id = wire::TransferId(uuid(n));
    out.master = SaeId("sae-b");
    out.slaves = {SaeId("sae-a"), SaeId("sae-x")};
    out.key_ids = {key_id(n)};
    out.size_bits = 256;
    out.pad = {{m_lease, first, 2}};
    seal(out);
    return out;
  }

  void seal(wire::KeyTransfer& out) const {
    const Bytes keys(out.size_bits / 8 * out.key_ids.size(), out.id.value().octets[0]);
    const Bytes pad(std::size_t{pad_slots(keys.size())} * kSlotSize, m_octet);
    PadSealed sealed = seal_with_pad(keys, pad, wire::associated_data(out));
    out.ciphertext = std::move(sealed.ciphertext);
    out.tag = sealed.tag;
  }

  static Uuid key_id(std::uint8_t n) { return Uuid{{n, 99}}; }

  // What sae-a gets of that key: its first octet, or the error.
  unsigned fetch(std::uint8_t n, const char* master = "sae-b") {
    replies.clear();
    take(kme->etsi_request(RequestId(++m_requests), SaeId("sae-a"),
                           etsi::DecKeysCall{SaeId(master), {{KeyId(key_id(n).text())}}}, now));
    if (replies.empty()) return 0;
    if (const auto* error = std::get_if<etsi::ApiError>(&replies.back())) return error->http_status;
    return std::get<etsi::KeyContainer>(replies.back()).keys.at(0).bytes.view()[0];
  }

  std::ptrdiff_t reported(const std::string& event) const { return std::ranges::count(reports, event); }

  wire::RefusalReason refusal_of(const wire::KeyTransfer& message) {
    const auto refused = ask<wire::Refused>(message);
    return refused ? refused->reason : wire::RefusalReason{};
  }

  LeaseId m_lease;
  std::uint8_t m_octet = 0;
  std::uint64_t m_requests = 0;
};

TEST_F(KeyTransfers, OneThatFitsIsHeldAndFetchedOnce) {
  ASSERT_TRUE(ask<wire::Ack>(transfer(50)));
  EXPECT_EQ(fetch(50), 50U);
  EXPECT_EQ(fetch(50), 400U);
}

TEST_F(KeyTransfers, ARepeatedOneGetsTheSameAnswerAndIsNotOpenedAgain) {
  ASSERT_TRUE(ask<wire::Ack>(transfer(50)));
  EXPECT_EQ(fetch(50), 50U);
  ASSERT_TRUE(ask<wire::Ack>(transfer(50)));
  EXPECT_EQ(fetch(50), 400U);
  wire::KeyTransfer altered = transfer(51, 3);
  altered.tag[0] ^= 1;
  EXPECT_EQ(refusal_of(altered), wire::RefusalReason::forged);
  EXPECT_EQ(refusal_of(altered), wire::RefusalReason::forged);
  EXPECT_EQ(reported("key_transfer_forged"), 1);
}

TEST_F(KeyTransfers, OtherKeysUnderKnownIdsAreRefused) {
  ASSERT_TRUE(ask<wire::Ack>(transfer(50)));
  wire::KeyTransfer same_transfer = transfer(51, 3);
  same_transfer.id = wire::TransferId(uuid(50));
  seal(same_transfer);
  EXPECT_EQ(refusal_of(same_transfer), wire::RefusalReason::duplicate);
  wire::KeyTransfer same_key = transfer(52, 5);
  same_key.key_ids = {key_id(50)};
  seal(same_key);
  EXPECT_EQ(refusal_of(same_key), wire::RefusalReason::duplicate);
  EXPECT_EQ(reported("key_id_repeated"), 2);
  EXPECT_EQ(fetch(50), 50U);
  // Their pads are used up all the same.
  EXPECT_EQ(refusal_of(transfer(53, 3)), wire::RefusalReason::no_pad);
  EXPECT_EQ(refusal_of(transfer(54, 5)), wire::RefusalReason::no_pad);
}

TEST_F(KeyTransfers, TheTagCoversWhoMayFetch) {
  wire::KeyTransfer other = transfer(50);
  other.slaves = {SaeId("sae-a")};
  EXPECT_EQ(refusal_of(other), wire::RefusalReason::forged);
  EXPECT_EQ(refusal_of(transfer(51)), wire::RefusalReason::no_pad);
}

TEST_F(KeyTransfers, KeysThatNobodyMayFetchAreRefused) {
  wire::KeyTransfer of_nobody = transfer(50);
  of_nobody.master = SaeId("sae-c");  // another KME's
  seal(of_nobody);
  EXPECT_EQ(refusal_of(of_nobody), wire::RefusalReason::not_taken);
  wire::KeyTransfer to_nobody = transfer(51, 3);
  to_nobody.slaves = {SaeId("sae-x")};
  seal(to_nobody);
  EXPECT_EQ(refusal_of(to_nobody), wire::RefusalReason::not_taken);
}

TEST_F(KeyTransfers, AKeyOfThePoolItselfIsNotReplaced) {
  wire::KeyTransfer of_the_lease = transfer(50);
  of_the_lease.key_ids = {Uuid{{101, 1}}};  // of its first slot
  seal(of_the_lease);
  EXPECT_EQ(refusal_of(of_the_lease), wire::RefusalReason::duplicate);
}

TEST_F(KeyTransfers, ALeaseAnnouncesNoKeyIdThatATransferBrought) {
  ASSERT_TRUE(ask<wire::Ack>(transfer(50)));
  wire::Lease other = lease(120, {{stocked_block(20), {0, 256}}}, instance);
  other.key_ids[3] = key_id(50);
  EXPECT_EQ(refusal(other), wire::RefusalReason::duplicate);
  // Nor one that waits for its pad.
  lease_of(2, false);
  wire::KeyTransfer early = transfer(60);
  early.number = wire::RequestNumber(++last_number);
  say(early);
  other.key_ids[3] = key_id(60);
  EXPECT_EQ(refusal(other), wire::RefusalReason::duplicate);
  EXPECT_EQ(reported("key_id_repeated"), 2);
  EXPECT_EQ(fetch(50), 50U);
  EXPECT_TRUE(ask<wire::Ack>(lease(120, {{BlockId(uuid(20)), {0, 256}}}, instance)));
}

TEST_F(KeyTransfers, WhatIsVoidedIsErased) {
  ASSERT_TRUE(ask<wire::Ack>(transfer(50)));
  ASSERT_TRUE(ask<wire::Ack>(transfer(51, 3)));
  say(wire::KeyTransferVoid{wire::TransferId(uuid(50))});
  EXPECT_EQ(fetch(50), 400U);
  EXPECT_EQ(fetch(51), 51U);
}

TEST_F(KeyTransfers, TheOldestOfTheMasterWithMostGoWhereSlavesNeverFetch) {
  wire::KeyTransfer of_another = transfer(50);
  of_another.master = SaeId("sae-d");
  seal(of_another);
  ASSERT_TRUE(ask<wire::Ack>(of_another));
  const auto many = [&](std::uint8_t n) {  // 192 keys of an octet, each with room for 256
    lease_of(n);
    wire::KeyTransfer out = transfer(n);
    for (std::uint8_t i = 1; i < 192; ++i)
      out.key_ids.push_back(Uuid{{n, 98, i}});
    out.size_bits = 8;
    out.pad = {{m_lease, 1, 7}};
    seal(out);
    return ask<wire::Ack>(out).has_value();
  };
  for (std::uint8_t n = 10; n < 31; ++n)
    ASSERT_TRUE(many(n)) << int{n};
  EXPECT_EQ(reported("unfetched_burnt"), 0);
  ASSERT_TRUE(many(31));
  EXPECT_EQ(reported("unfetched_burnt"), 1);
  EXPECT_EQ(fetch(10), 400U);
  EXPECT_EQ(fetch(11), 11U);
  EXPECT_EQ(fetch(31), 31U);
  EXPECT_EQ(fetch(50, "sae-d"), 50U);
}

TEST_F(KeyTransfers, ThePadWaitsForItsOpeningAndNoLonger) {
  for (const bool comes : {true, false}) {
    const std::uint8_t n = comes ? 60 : 70;
    lease_of(comes ? 2 : 3, false);
    wire::KeyTransfer early = transfer(n);
    early.number = wire::RequestNumber(++last_number);
    const wire::Open open = *last<wire::Open>();
    said.clear();
    say(early);
    EXPECT_EQ(last<wire::Ack>(), nullptr);
    if (comes) {
      say(wire::Ack{open.number});
      ASSERT_NE(last<wire::Ack>(), nullptr);
      EXPECT_EQ(last<wire::Ack>()->number, early.number);
      EXPECT_EQ(fetch(n), unsigned{n});
    } else {
      now += kMaxWait;
      take(kme->handle_timeout(now));
      ASSERT_NE(last<wire::Refused>(), nullptr);
      EXPECT_EQ(last<wire::Refused>()->reason, wire::RefusalReason::no_pad);
    }
  }
}

TEST_F(KeyTransfers, OneThatIsVoidedWhileItsPadWaitsIsAnsweredToo) {
  lease_of(2, false);
  wire::KeyTransfer early = transfer(60);
  early.number = wire::RequestNumber(++last_number);
  const wire::Open open = *last<wire::Open>();
  said.clear();
  say(early);
  say(wire::KeyTransferVoid{early.id});
  ASSERT_NE(last<wire::Refused>(), nullptr);
  EXPECT_EQ(last<wire::Refused>()->reason, wire::RefusalReason::not_taken);
  say(wire::Ack{open.number});
  EXPECT_EQ(fetch(60), 400U);
}

}  // namespace
}  // namespace quipu::kms::sim
