// SPDX-License-Identifier: Apache-2.0
#include "protocol/messages.h"

#include <gtest/gtest.h>

#include "protocol/handshake.h"
#include "protocol/labels.h"
#include "protocol/payloads.h"
#include "support/handshakes.h"

namespace quipu::protocol {
namespace {

using test::Scenario;
using test::SeededRng;

Bytes flipped(const Bytes& message, std::size_t bit) {
  Bytes out = message;
  out[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
  return out;
}

Bytes with_right_mac1(Bytes message, const crypto::X25519PublicKey& receiver) {
  const auto key = crypto::blake2b_256({as_bytes("quipu v1 mac1"), receiver.value()});
  const auto mac = crypto::blake2b_mac(key, {ByteView(message).first(message.size() - kMacsSize)});
  std::ranges::copy(mac, message.end() - static_cast<std::ptrdiff_t>(kMacsSize));
  return message;
}

TEST(Sizes, AreThoseOfTheSpecification) {
  EXPECT_EQ(kInitiationSize, 1452U);
  EXPECT_EQ(kResponseSize, 1212U);
  EXPECT_EQ(kRejectSize, 344U);
  EXPECT_EQ(kCookieReplySize, 64U);
  EXPECT_EQ(kDataOverhead, 34U);
}

TEST(Labels, NoneBeginsWithAnother) {
  for (const std::string_view& a : labels::kAll)
    for (const std::string_view& b : labels::kAll)
      EXPECT_TRUE(&a == &b || !a.starts_with(b)) << a << " and " << b;
}

TEST(MessageType, ChecksTypeAndSizeTogether) {
  const auto of = [](std::uint8_t type, std::size_t size) {
    Bytes datagram(size);
    if (size != 0) datagram[0] = type;
    return message_type(datagram);
  };
  EXPECT_EQ(of(1, 1452), MessageType::initiation);
  EXPECT_EQ(of(1, 1451), std::nullopt);
  EXPECT_EQ(of(1, kInitiationMaxSize), MessageType::initiation);
  EXPECT_EQ(of(1, kInitiationMaxSize + 1), std::nullopt);
  EXPECT_EQ(of(2, 1212), MessageType::response);
  EXPECT_EQ(of(2, 1213), std::nullopt);
  EXPECT_EQ(of(3, 64), MessageType::cookie_reply);
  EXPECT_EQ(of(3, 63), std::nullopt);
  EXPECT_EQ(of(4, 34), MessageType::data);
  EXPECT_EQ(of(4, 33), std::nullopt);
  EXPECT_EQ(of(6, 344), MessageType::reject);
  EXPECT_EQ(of(6, 345), std::nullopt);
  EXPECT_EQ(of(0, 0), std::nullopt);
  EXPECT_EQ(of(0, 1452), std::nullopt);
  EXPECT_EQ(of(5, 100), std::nullopt);
  EXPECT_EQ(of(7, 100), std::nullopt);
}

TEST(ReceiverIndex, StandsWhereTheTypeHasIt) {
  const auto of = [](std::uint8_t type, std::size_t size) {
    Bytes datagram(size);
    datagram[0] = type;
    ByteWriter(MutableBytes(datagram).subspan(4)).u32(44).u32(88);
    return receiver_index(datagram);
  };
  EXPECT_EQ(of(2, 1212), SessionIndex(88));
  EXPECT_EQ(of(3, 64), SessionIndex(44));
  EXPECT_EQ(of(4, 34), SessionIndex(44));
  EXPECT_EQ(of(6, 344), SessionIndex(44));
  EXPECT_EQ(of(1, 1452).error(), Errc::malformed);
  EXPECT_EQ(of(2, 1211).error(), Errc::malformed);
}

TEST(SingleBits, EveryOneOfMessage1Counts) {
  Scenario scenario;
  scenario.with_key("one", 0);
  SeededRng rng("bits");
  const Bytes message = scenario.initiate(rng)->message();
  ASSERT_TRUE(scenario.receive(message));
  for (std::size_t bit = 0; bit < (message.size() - crypto::kMacSize) * 8; ++bit)
    ASSERT_FALSE(scenario.receive(flipped(message, bit))) << bit;
}

// mac1 is no secret to whoever knows the public key: behind a right one each bit has to count again, even the top bit
// of the ephemeral key, which X25519 itself ignores (RFC 7748 section 5).
TEST(SingleBits, EveryOneOfMessage1CountsBehindARightMac1) {
  Scenario scenario;
  scenario.with_key("one", 0);
  SeededRng rng("bits");
  const Bytes message = scenario.initiate(rng)->message();
  ASSERT_TRUE(scenario.receive(message));
  for (std::size_t bit = 0; bit < (message.size() - kMacsSize) * 8; ++bit)
    ASSERT_FALSE(scenario.receive(with_right_mac1(flipped(message, bit), scenario.responder.public_key))) << bit;
}

struct Answers {
  Scenario scenario;
  Initiation initiation;
  Bytes response;
  Bytes reject;
};

Answers make_answers() {
  Scenario scenario;
  scenario.with_key("one", 0);
  SeededRng rng("answers");
  Initiation initiation = *scenario.initiate(rng);
  const auto received = scenario.receive(initiation.message());
  Bytes response = scenario.respond(*received, rng)->message;
  Bytes reject = received->create_reject({RejectReason::stamp_stale, Stamp(5), {}}, rng);
  return {std::move(scenario), std::move(initiation), std::move(response), std::move(reject)};
}

TEST(SingleBits, EveryOneOfMessage2Counts) {
  const Answers answers = make_answers();
  const auto opens = [&](const Bytes& message) {
    return answers.initiation.consume_response(message, answers.scenario.initiator_keys).has_value();
  };
  ASSERT_TRUE(opens(answers.response));
  for (std::size_t bit = 0; bit < (kResponseSize - crypto::kMacSize) * 8; ++bit) {
    const Bytes forged = flipped(answers.response, bit);
    ASSERT_FALSE(opens(forged)) << bit;
    if (bit < (kResponseSize - kMacsSize) * 8) {
      ASSERT_FALSE(opens(with_right_mac1(forged, answers.scenario.initiator.public_key))) << bit;
    }
  }
}

TEST(SingleBits, EveryOneOfARejectCounts) {
  const Answers answers = make_answers();
  const auto opens = [&](const Bytes& message) { return answers.initiation.consume_reject(message).has_value(); };
  ASSERT_TRUE(opens(answers.reject));
  for (std::size_t bit = 0; bit < (kRejectSize - crypto::kMacSize) * 8; ++bit) {
    const Bytes forged = flipped(answers.reject, bit);
    ASSERT_FALSE(opens(forged)) << bit;
    if (bit < (kRejectSize - kMacsSize) * 8) {
      ASSERT_FALSE(opens(with_right_mac1(forged, answers.scenario.initiator.public_key))) << bit;
    }
  }
}

TEST(SmallOrder, EphemeralKeysAreRefused) {
  const Answers answers = make_answers();
  Bytes message = answers.initiation.message();
  std::fill_n(message.begin() + kInitiationHeaderSize, crypto::kX25519Size, std::uint8_t{0});
  message = with_right_mac1(message, answers.scenario.responder.public_key);
  EXPECT_EQ(answers.scenario.receive(message).error(), Errc::bad_key);
  Bytes response = answers.response;
  std::fill_n(response.begin() + kResponseHeaderSize, crypto::kX25519Size, std::uint8_t{0});
  response = with_right_mac1(response, answers.scenario.initiator.public_key);
  EXPECT_EQ(answers.initiation.consume_response(response, answers.scenario.initiator_keys).error(), Errc::bad_key);
}

TEST(SmallOrder, StaticKeysAreRefused) {
  Scenario scenario;
  scenario.expected_responder = crypto::X25519PublicKey{};
  SeededRng rng("small order");
  EXPECT_EQ(scenario.initiate(rng).error(), Errc::bad_key);
}

InitiationPayload full_payload(std::size_t keys, std::size_t policy_size) {
  InitiationPayload payload{Stamp(1), TunnelId(2), Bytes(policy_size, 3), 4, {}};
  for (std::size_t i = 0; i < keys; ++i)
    payload.keys.push_back(test::qkd_key_named("key " + std::to_string(i), static_cast<std::uint8_t>(i)).reference);
  return payload;
}

TEST(InitiationPayload, FourUuidsAndAHashedPolicyFitOneDatagram) {
  EXPECT_EQ(encode_initiation_payload(full_payload(0, 0))->size(), 116U);
  EXPECT_EQ(encode_initiation_payload(full_payload(2, 64))->size(), 116U);
  EXPECT_EQ(encode_initiation_payload(full_payload(4, 32))->size(), 116U);
  EXPECT_GT(encode_initiation_payload(full_payload(5, 32))->size(), 116U);
}

TEST(InitiationPayload, LongKeyIdsSurvive) {
  InitiationPayload payload = full_payload(16, 64);
  for (KeyReference& key : payload.keys)
    key.key_id = KeyId(std::string(64, 'k'));
  const auto octets = encode_initiation_payload(payload);
  ASSERT_TRUE(octets);
  EXPECT_LE(octets->size(), kInitiationPayloadMaxSize);
  const auto back = decode_initiation_payload(*octets);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->keys, payload.keys);
  EXPECT_EQ(back->policy, payload.policy);
}

// Upper case, braces or another length are the KMS's own words and stay as they are.
TEST(InitiationPayload, KeyIdsKeepTheirSpelling) {
  for (const std::string_view id : {"6B1F0E0C-53DB-4E4C-9F0B-0B8B3E2C1D4A", "6b1f0e0c-53db-4e4c-9f0b-0b8b3e2c1d4a",
                                    "6b1f0e0c53db4e4c9f0b0b8b3e2c1d4a", "k"}) {
    InitiationPayload payload = full_payload(1, 0);
    payload.keys[0].key_id = KeyId(std::string(id));
    const auto back = decode_initiation_payload(*encode_initiation_payload(payload));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->keys[0].key_id.value(), id);
  }
}

TEST(InitiationPayload, HasOneEncodingOnly) {
  const Bytes good = *encode_initiation_payload(full_payload(1, 3));
  ASSERT_TRUE(decode_initiation_payload(good));
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(decode_initiation_payload(longer));
  EXPECT_FALSE(decode_initiation_payload(ByteView(good).first(good.size() - 1)));
  Bytes unpadded = good;
  unpadded.back() = 1;
  EXPECT_FALSE(decode_initiation_payload(unpadded));
  // A canonical UUID written as text.
  InitiationPayload payload = full_payload(1, 0);
  Bytes text(116);
  ByteWriter writer(text);
  writer.u64(1).u32(2).u8(4).u8(0).u8(1).u8(0x01).prefixed8(as_bytes(payload.keys[0].key_id.value()));
  EXPECT_FALSE(decode_initiation_payload(text));
  payload.keys[0].key_id = KeyId("short");
  EXPECT_TRUE(decode_initiation_payload(*encode_initiation_payload(payload)));
}

TEST(InitiationPayload, RefusesFieldsOutOfRange) {
  const Bytes good = *encode_initiation_payload(full_payload(2, 0));
  const auto refused = [&](std::size_t at, std::uint8_t value) {
    Bytes bad = good;
    bad[at] = value;
    return !decode_initiation_payload(bad);
  };
  EXPECT_TRUE(refused(12, 0));     // lanes
  EXPECT_TRUE(refused(12, 17));    // lanes
  EXPECT_TRUE(refused(13, 65));    // length of the policy
  EXPECT_TRUE(refused(14, 17));    // number of keys
  EXPECT_TRUE(refused(14, 1));     // the second key is no padding
  EXPECT_TRUE(refused(15, 0x04));  // form of the first key
  EXPECT_TRUE(refused(32, 0x02));  // slot of the second key
}

TEST(RejectPayload, SaysOnlyWhatItsReasonCallsFor) {
  const Bytes busy = encode_reject({RejectReason::busy, Stamp(9), Bytes{1}});
  const auto back = decode_reject(busy);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->highest_stamp, Stamp(0));
  EXPECT_TRUE(back->policy.empty());
  const auto refused = [&](std::size_t at, std::uint8_t value) {
    Bytes bad = busy;
    bad[at] = value;
    return !decode_reject(bad);
  };
  EXPECT_TRUE(refused(0, 0));
  EXPECT_TRUE(refused(0, 7));
  EXPECT_TRUE(refused(8, 1));
  EXPECT_TRUE(refused(9, 1));
  EXPECT_TRUE(refused(271, 1));
  EXPECT_FALSE(refused(0, 1));
}

}  // namespace
}  // namespace quipu::protocol
