// SPDX-License-Identifier: Apache-2.0
#include "protocol/handshake.h"

#include <gtest/gtest.h>

#include "protocol/messages.h"
#include "support/handshakes.h"

namespace quipu::protocol {
namespace {

using test::agree;
using test::run;
using test::Scenario;
using test::SeededRng;

void expect_agreement(const Scenario& scenario) {
  const auto done = run(scenario);
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_TRUE(agree(done->initiator, done->responder));
  EXPECT_EQ(done->initiator.local, scenario.initiator_index);
  EXPECT_EQ(done->responder.local, scenario.responder_index);
  EXPECT_TRUE(done->initiator.initiator);
  EXPECT_EQ(done->payload2.stamp, scenario.payload.stamp);
  EXPECT_EQ(done->payload2.lanes, scenario.answer.lanes);
  EXPECT_EQ(done->payload2.key_runway_s, scenario.answer.key_runway_s);
}

TEST(Handshake, AgreesWithoutQkdKeys) {
  expect_agreement(Scenario());
}

TEST(Handshake, AgreesWithOneKey) {
  expect_agreement(std::move(Scenario().with_key("one", 0)));
}

TEST(Handshake, AgreesWithTwoKeys) {
  expect_agreement(std::move(Scenario().with_key("one", 0).with_key("two", 1)));
}

TEST(Handshake, AgreesOnASubsetOfTheKeys) {
  Scenario scenario;
  scenario.with_key("one", 0).with_key("two", 1).with_key("three", 5);
  scenario.accepted = AcceptedKeys(0b101);
  scenario.initiator_keys.erase(scenario.initiator_keys.begin() + 1);
  scenario.responder_keys.erase(scenario.responder_keys.begin() + 1);
  expect_agreement(scenario);
}

TEST(Handshake, AgreesWithAKeyFromAStream) {
  Scenario scenario;
  scenario.with_key("stream", 3);
  for (QkdKey* key : {&scenario.initiator_keys[0], &scenario.responder_keys[0]}) {
    key->reference.kind = KeyKind::etsi004;
    key->reference.key_id = KeyId();
    key->reference.key_stream_id = Uuid{{1, 2, 3}};
    key->reference.index = 70000;
  }
  scenario.payload.keys[0] = scenario.initiator_keys[0].reference;
  expect_agreement(scenario);
}

TEST(Handshake, ResponderLearnsWhoAndWhat) {
  Scenario scenario;
  scenario.with_key("one", 0).with_key("two", 1);
  SeededRng rng("who");
  const auto initiation = scenario.initiate(rng);
  ASSERT_TRUE(initiation);
  EXPECT_EQ(initiation->local(), scenario.initiator_index);
  EXPECT_EQ(initiation->message().size(), 1452U);
  const auto received = scenario.receive(initiation->message());
  ASSERT_TRUE(received);
  EXPECT_EQ(received->peer(), scenario.initiator.public_key);
  EXPECT_EQ(received->remote(), scenario.initiator_index);
  EXPECT_EQ(received->payload().stamp, scenario.payload.stamp);
  EXPECT_EQ(received->payload().tunnel, scenario.payload.tunnel);
  EXPECT_EQ(received->payload().policy, scenario.payload.policy);
  EXPECT_EQ(received->payload().lanes, scenario.payload.lanes);
  EXPECT_EQ(received->payload().keys, scenario.payload.keys);
}

TEST(Handshake, ANewMessage1SharesNothingWithTheOld) {
  const Scenario scenario;
  SeededRng rng("fresh");
  const auto first = scenario.initiate(rng);
  const auto second = scenario.initiate(rng);
  ASSERT_TRUE(first && second);
  // Behind the header nothing is alike: ephemeral key, ML-KEM key and all that is sealed.
  std::size_t equal = 0;
  for (std::size_t i = kInitiationHeaderSize; i < kInitiationSize - crypto::kMacSize; ++i)
    equal += first->message()[i] == second->message()[i] ? 1U : 0U;
  EXPECT_LT(equal, 40U);
}

TEST(Handshake, OtherPreSharedKeyIsRefusedInMessage1) {
  Scenario scenario;
  scenario.responder_psk = test::secret_named<32>("other");
  EXPECT_EQ(run(scenario).error(), Errc::authentication);
}

TEST(Handshake, MessageToAnotherStaticKeyFailsAtMac1) {
  Scenario scenario;
  scenario.expected_responder = test::identity_named("somebody else").public_key;
  EXPECT_EQ(run(scenario).error(), Errc::authentication);
}

TEST(Handshake, StrangerIsNotFound) {
  Scenario scenario;
  SeededRng rng("stranger");
  const auto initiation = scenario.initiate(rng);
  ASSERT_TRUE(initiation);
  const auto nobody = [](const crypto::X25519PublicKey&) -> const PreSharedKey* { return nullptr; };
  EXPECT_EQ(ReceivedInitiation::consume(initiation->message(), scenario.responder, nobody).error(), Errc::not_found);
}

// Whoever lacks the initiator's private key cannot speak in its name, though it knows the pre-shared key.
TEST(Handshake, InitiatorWithoutItsPrivateKeyIsRefused) {
  Scenario scenario;
  scenario.initiator.private_key = test::secret_named<32>("impostor");
  EXPECT_EQ(run(scenario).error(), Errc::authentication);
}

TEST(Handshake, KeysThatAreNotThoseOfTheBitmapAreAConflict) {
  Scenario scenario;
  scenario.with_key("one", 0).with_key("two", 1);
  SeededRng rng("conflict");
  const auto initiation = scenario.initiate(rng);
  ASSERT_TRUE(initiation);
  const auto received = scenario.receive(initiation->message());
  ASSERT_TRUE(received);
  const auto answer = scenario.respond(*received, rng);
  ASSERT_TRUE(answer);
  const std::span<const QkdKey> keys(scenario.initiator_keys);
  EXPECT_EQ(initiation->consume_response(answer->message, keys.first(1)).error(), Errc::conflict);
  EXPECT_EQ(initiation->consume_response(answer->message, {}).error(), Errc::conflict);
  std::swap(scenario.initiator_keys[0], scenario.initiator_keys[1]);
  EXPECT_EQ(initiation->consume_response(answer->message, keys).error(), Errc::conflict);
  EXPECT_EQ(received->create_response({}, AcceptedKeys(0b1), keys, scenario.answer, rng).error(), Errc::conflict);
  EXPECT_EQ(received->create_response({}, AcceptedKeys(0b100), keys.first(1), scenario.answer, rng).error(),
            Errc::conflict);
}

TEST(Handshake, SwappedKeysDoNotOpen) {
  Scenario scenario;
  scenario.with_key("one", 0).with_key("two", 1);
  std::swap(scenario.initiator_keys[0].key, scenario.initiator_keys[1].key);
  EXPECT_EQ(run(scenario).error(), Errc::conflict);
}

TEST(Handshake, OtherSaeIdsDoNotOpen) {
  Scenario scenario;
  scenario.with_key("one", 0);
  std::swap(scenario.initiator_keys[0].master, scenario.initiator_keys[0].slave);
  EXPECT_EQ(run(scenario).error(), Errc::conflict);
}

// An attacker that turns the bitmap of message 2 into another permitted one must not end in a session.
TEST(Handshake, OtherBitmapDoesNotOpen) {
  Scenario scenario;
  scenario.with_key("one", 0).with_key("two", 1);
  SeededRng rng("bitmap");
  const auto initiation = scenario.initiate(rng);
  const auto received = scenario.receive(initiation->message());
  scenario.accepted = AcceptedKeys(0b01);
  const auto answer = received->create_response(scenario.responder_index, AcceptedKeys(0b01),
                                                std::span(scenario.responder_keys).first(1), scenario.answer, rng);
  ASSERT_TRUE(answer);
  const std::span<const QkdKey> keys(scenario.initiator_keys);
  EXPECT_TRUE(initiation->consume_response(answer->message, keys.first(1)));
  Bytes forged = answer->message;
  forged[3] = 0b10;
  EXPECT_FALSE(initiation->consume_response(forged, keys.last(1)));
}

TEST(Handshake, ResponseForAnotherAttemptIsNotFound) {
  Scenario scenario;
  SeededRng rng("attempts");
  const auto first = scenario.initiate(rng);
  scenario.initiator_index = SessionIndex(99);
  const auto second = scenario.initiate(rng);
  const auto received = scenario.receive(second->message());
  const auto answer = scenario.respond(*received, rng);
  ASSERT_TRUE(answer);
  EXPECT_EQ(first->consume_response(answer->message, {}).error(), Errc::not_found);
  EXPECT_TRUE(second->consume_response(answer->message, {}));
  const Bytes reject = received->create_reject({RejectReason::busy, {}, {}}, rng);
  EXPECT_EQ(first->consume_reject(reject).error(), Errc::not_found);
}

// A message 2 that does not open changes nothing: the genuine one still opens afterwards.
TEST(Handshake, InitiationSurvivesBadAnswers) {
  const Scenario scenario;
  SeededRng rng("survives");
  const auto initiation = scenario.initiate(rng);
  const auto received = scenario.receive(initiation->message());
  const auto answer = scenario.respond(*received, rng);
  ASSERT_TRUE(answer);
  for (std::size_t i = 0; i < answer->message.size(); i += 31) {
    Bytes bad = answer->message;
    bad[i] ^= 0x10U;
    (void)initiation->consume_response(bad, {});
  }
  const auto response = initiation->consume_response(answer->message, {});
  ASSERT_TRUE(response);
  EXPECT_TRUE(agree(response->secrets, answer->secrets));
}

TEST(Handshake, StampEchoMustBeOurs) {
  Scenario scenario;
  scenario.answer.stamp = Stamp(1001);
  EXPECT_EQ(run(scenario).error(), Errc::malformed);
}

TEST(Handshake, PayloadThatDoesNotFitIsRefused) {
  const auto refused = [](auto change) {
    Scenario scenario;
    scenario.with_key("one", 0).with_key("two", 1);
    change(scenario.payload);
    SeededRng rng("refused");
    return scenario.initiate(rng).error() == Errc::out_of_range;
  };
  EXPECT_TRUE(refused([](InitiationPayload& payload) { payload.lanes = 0; }));
  EXPECT_TRUE(refused([](InitiationPayload& payload) { payload.lanes = 17; }));
  EXPECT_TRUE(refused([](InitiationPayload& payload) { payload.policy.resize(65); }));
  EXPECT_TRUE(refused([](InitiationPayload& payload) { payload.keys[1].slot = 0; }));
  EXPECT_TRUE(refused([](InitiationPayload& payload) { payload.keys[1].slot = 16; }));
  EXPECT_TRUE(refused([](InitiationPayload& payload) { payload.keys[0].key_id = KeyId(); }));
  EXPECT_TRUE(refused([](InitiationPayload& payload) { payload.keys[0].key_id = KeyId(std::string(65, 'k')); }));
}

TEST(Handshake, RejectsOfEveryReasonArrive) {
  const Scenario scenario;
  SeededRng rng("rejects");
  const auto initiation = scenario.initiate(rng);
  const auto received = scenario.receive(initiation->message());
  ASSERT_TRUE(received);
  const Reject rejects[] = {
      {RejectReason::key_unknown, {}, {}},
      {RejectReason::kms_unavailable, {}, {}},
      {RejectReason::busy, {}, {}},
      {RejectReason::expired, {}, {}},
      {RejectReason::policy_mismatch, {}, Bytes(255, 9)},
      {RejectReason::stamp_stale, Stamp(77777), {}},
  };
  for (const Reject& reject : rejects) {
    const Bytes message = received->create_reject(reject, rng);
    EXPECT_EQ(message.size(), kRejectSize);
    const auto arrived = initiation->consume_reject(message);
    ASSERT_TRUE(arrived);
    EXPECT_EQ(arrived->reason, reject.reason);
    EXPECT_EQ(arrived->highest_stamp, reject.highest_stamp);
    EXPECT_EQ(arrived->policy, reject.policy);
  }
}

// Two rejects to one message 1 never share key and nonce.
TEST(Handshake, EachRejectHasItsOwnKey) {
  const Scenario scenario;
  SeededRng rng("two rejects");
  const auto initiation = scenario.initiate(rng);
  const auto received = scenario.receive(initiation->message());
  const Bytes one = received->create_reject({RejectReason::stamp_stale, Stamp(1), {}}, rng);
  const Bytes two = received->create_reject({RejectReason::stamp_stale, Stamp(2), {}}, rng);
  // The zeros at the end of both payloads would show a shared key stream.
  const auto padding = [](const Bytes& message) { return ByteView(message).subspan(kRejectHeaderSize + 200, 64); };
  EXPECT_FALSE(std::ranges::equal(padding(one), padding(two)));
}

}  // namespace
}  // namespace quipu::protocol
