// SPDX-License-Identifier: Apache-2.0
// docs/protocol.md is the specification: its tables must say what the code does.
#include <bit>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "protocol/keypair.h"
#include "protocol/labels.h"
#include "protocol/messages.h"

namespace quipu::protocol {
namespace {

struct Specification : testing::Test {
  std::string text = [] {
    std::ostringstream out;
    out << std::ifstream(std::string(QUIPU_SOURCE_DIR) + "/docs/protocol.md").rdbuf();
    return out.str();
  }();

  void expect_row(const std::string& row) { EXPECT_NE(text.find("\n| " + row), std::string::npos) << row; }
};

std::string number(std::size_t n) {
  return std::to_string(n);
}

TEST_F(Specification, ListsEveryLabel) {
  for (const std::string_view label : labels::kAll)
    expect_row("`" + std::string(label) + "` |");
}

TEST_F(Specification, GivesTheSizesOfMessages) {
  expect_row("1 | HandshakeInitiation, \"message 1\" | " + number(kInitiationSize) + " to " +
             number(kInitiationMaxSize) + " |");
  expect_row("2 | HandshakeResponse, \"message 2\" | " + number(kResponseSize) + " |");
  expect_row("3 | CookieReply | " + number(kCookieReplySize) + " |");
  expect_row("4 | data | " + number(kDataOverhead) + " or more |");
  expect_row("6 | HandshakeReject | " + number(kRejectSize) + " |");
}

TEST_F(Specification, GivesTheOffsetsOfFields) {
  std::size_t at = kInitiationHeaderSize + crypto::kX25519Size;
  expect_row(number(at) + " | " + number(kSealedEncapsulationKeySize) + " | e1");
  at += kSealedEncapsulationKeySize;
  expect_row(number(at) + " | " + number(kSealedStaticKeySize) + " | s");
  at += kSealedStaticKeySize;
  expect_row(number(at) + " | n + 16 | payload 1");
  at = kResponseHeaderSize + crypto::kX25519Size;
  expect_row(number(at) + " | " + number(kSealedCiphertextSize) + " | ekem1");
  at += kSealedCiphertextSize;
  expect_row(number(at) + " | " + number(kResponsePayloadSize + crypto::kAeadTagSize) + " | payload 2");
  expect_row(number(kRejectHeaderSize) + " | " + number(kRejectPayloadSize + crypto::kAeadTagSize) +
             " | reject payload");
}

TEST_F(Specification, GivesTheLimits) {
  const auto power = [](std::uint64_t n) { return "2^" + std::to_string(std::countr_zero(n)); };
  const KeyLimits limits;
  expect_row(power(limits.soft_packets) + " packets or " + power(limits.soft_octets) + " octets |");
  expect_row(power(limits.hard_packets) + " packets or " + power(limits.hard_octets) + " octets |");
  expect_row(power(limits.failed_opens) + " packets that did not open |");
  EXPECT_NE(text.find("window of " + number(ReplayFilter::kWindow) + " counters"), std::string::npos);
}

}  // namespace
}  // namespace quipu::protocol
