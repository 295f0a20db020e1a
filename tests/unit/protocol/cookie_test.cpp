// SPDX-License-Identifier: Apache-2.0
#include "protocol/cookie.h"

#include <gtest/gtest.h>

#include "protocol/macs.h"
#include "support/handshakes.h"

namespace quipu::protocol {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart = TimePoint(1000s);

Endpoint endpoint(std::string_view text) {
  return Endpoint::parse(text).value();
}

// An initiator and the responder that it floods.
struct CookieTest : testing::Test {
  test::Scenario scenario;
  test::SeededRng rng{"cookies"};
  CookieChecker checker{scenario.responder.public_key};
  CookieGenerator generator{scenario.responder.public_key};
  Endpoint from = endpoint("192.0.2.1:51900");
  Bytes message = fresh_message();

  Bytes fresh_message() {
    test::SeededRng own("message of the flood");
    return scenario.initiate(own)->message();
  }

  // Sends the message without a cookie and takes in the answer.
  void get_cookie(TimePoint now) {
    generator.add_mac2(message, now);
    const auto reply = checker.create_reply(message, from, now, rng);
    ASSERT_TRUE(reply);
    ASSERT_TRUE(generator.consume_reply(*reply, now));
  }
};

TEST_F(CookieTest, ReplyMakesTheNextTransmissionWelcome) {
  generator.add_mac2(message, kStart);
  EXPECT_FALSE(checker.check_mac2(message, from, kStart, rng));
  const auto reply = checker.create_reply(message, from, kStart, rng);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->size(), 64U);
  EXPECT_EQ(receiver_index(*reply), scenario.initiator_index);
  ASSERT_TRUE(generator.consume_reply(*reply, kStart));
  generator.add_mac2(message, kStart + 1s);
  EXPECT_TRUE(checker.check_mac2(message, from, kStart + 1s, rng));
  // mac2 is no part of what the handshake proves.
  EXPECT_TRUE(scenario.receive(message));
}

TEST_F(CookieTest, CookieIsForOneAddressAndPort) {
  get_cookie(kStart);
  generator.add_mac2(message, kStart);
  EXPECT_TRUE(checker.check_mac2(message, from, kStart, rng));
  EXPECT_FALSE(checker.check_mac2(message, endpoint("192.0.2.1:51901"), kStart, rng));
  EXPECT_FALSE(checker.check_mac2(message, endpoint("192.0.2.2:51900"), kStart, rng));
  EXPECT_FALSE(checker.check_mac2(message, endpoint("[2001:db8::1]:51900"), kStart, rng));
}

TEST_F(CookieTest, SecretRotatesEvery120Seconds) {
  get_cookie(kStart);
  generator.add_mac2(message, kStart);
  EXPECT_TRUE(checker.check_mac2(message, from, kStart + 120s - 1ns, rng));
  EXPECT_FALSE(checker.check_mac2(message, from, kStart + 120s, rng));
}

TEST_F(CookieTest, SenderForgetsTheCookieInTime) {
  get_cookie(kStart);
  generator.add_mac2(message, kStart + kCookieLifetime - 1ns);
  EXPECT_FALSE(std::ranges::equal(mac2_of(message), crypto::Mac{}));
  generator.add_mac2(message, kStart + kCookieLifetime);
  EXPECT_TRUE(std::ranges::equal(mac2_of(message), crypto::Mac{}));
}

TEST_F(CookieTest, EveryBitOfTheReplyCounts) {
  generator.add_mac2(message, kStart);
  const auto reply = checker.create_reply(message, from, kStart, rng);
  ASSERT_TRUE(reply);
  for (std::size_t bit = 0; bit < reply->size() * 8; ++bit) {
    if (bit / 32 == 1) continue;  // the receiver index finds the attempt, and is checked by whoever looks it up
    auto forged = *reply;
    forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    ASSERT_FALSE(generator.consume_reply(forged, kStart)) << bit;
  }
  EXPECT_TRUE(generator.consume_reply(*reply, kStart));
}

TEST_F(CookieTest, ReplyToAnotherMessageIsNotBelieved) {
  Bytes other = fresh_message();
  other[100] ^= 1U;
  write_macs(other, scenario.responder.public_key);
  const auto reply = checker.create_reply(other, from, kStart, rng);
  ASSERT_TRUE(reply);
  EXPECT_EQ(generator.consume_reply(*reply, kStart).error(), Errc::authentication);  // nothing was sent yet
  generator.add_mac2(message, kStart);
  EXPECT_EQ(generator.consume_reply(*reply, kStart).error(), Errc::authentication);
}

TEST_F(CookieTest, OnlyMessagesWithASenderAreAnswered) {
  EXPECT_EQ(checker.create_reply(Bytes(64, 3), from, kStart, rng).error(), Errc::malformed);
  EXPECT_EQ(checker.create_reply({}, from, kStart, rng).error(), Errc::malformed);
  EXPECT_FALSE(checker.check_mac2(Bytes(64, 3), from, kStart, rng));
}

TEST_F(CookieTest, EveryBitOfTheMessageIsUnderMac2) {
  get_cookie(kStart);
  generator.add_mac2(message, kStart);
  for (std::size_t bit = 0; bit < message.size() * 8; bit += 7) {
    Bytes forged = message;
    forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    ASSERT_FALSE(checker.check_mac2(forged, from, kStart, rng)) << bit;
  }
}

}  // namespace
}  // namespace quipu::protocol
