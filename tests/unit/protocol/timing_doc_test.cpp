// SPDX-License-Identifier: Apache-2.0
// The table of times in docs/protocol.md says what the code does.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>

#include "protocol/timing.h"

namespace quipu::protocol {
namespace {

std::map<std::string, std::int64_t> documented() {
  std::ifstream file(QUIPU_SOURCE_DIR "/docs/protocol.md");
  const std::regex row(R"(\| (k[A-Za-z]+) \| (\d+) \| .*)");
  std::map<std::string, std::int64_t> out;
  std::smatch match;
  for (std::string line; std::getline(file, line);)
    if (std::regex_match(line, match, row)) out[match[1]] = std::stoll(match[2]);
  return out;
}

std::int64_t plain(Duration value) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(value).count();
}

template <class T>
std::int64_t plain(T value) {
  return static_cast<std::int64_t>(value);
}

#define ENTRY(name) {#name, plain(name)}

TEST(Timing, IsDocumented) {
  const std::map<std::string, std::int64_t> expected = {
      ENTRY(kMinRekeyInterval),
      ENTRY(kMaxRekeyInterval),
      ENTRY(kDefaultRekeyInterval),
      ENTRY(kFirstRepetition),
      ENTRY(kLastRepetition),
      ENTRY(kAttemptDeadline),
      ENTRY(kAttemptWithoutLife),
      ENTRY(kImmediateRetries),
      ENTRY(kFirstBackoff),
      ENTRY(kLastBackoff),
      ENTRY(kPolicyMismatchPause),
      ENTRY(kStretchForgotten),
      ENTRY(kAnswerKept),
      ENTRY(kAnswerKeptAtMost),
      ENTRY(kAnswerInterval),
      ENTRY(kAnswerHoldsBack),
      ENTRY(kStaleRejectInterval),
      ENTRY(kRateInterval),
      ENTRY(kRateIntervalAtMost),
      ENTRY(kRateBurst),
      ENTRY(kKmsDeadline),
      ENTRY(kKmsRetry),
      ENTRY(kLateKeyKept),
      ENTRY(kLateKeysPerPeer),
      ENTRY(kMaxRequestsInAll),
      ENTRY(kCrossingHead),
      ENTRY(kFirstConfirmation),
      ENTRY(kConfirmationDeadline),
      ENTRY(kNextLifetime),
      ENTRY(kPreviousGrace),
      ENTRY(kPreviousGraceShort),
      ENTRY(kDeadSession),
      ENTRY(kKeepalive),
      ENTRY(kStampRange),
      ENTRY(kQueuedPackets),
      ENTRY(kLoadThreshold),
      ENTRY(kSenderInterval),
      ENTRY(kSenderBurst),
      ENTRY(kStrangersInterval),
      ENTRY(kStrangersBurst),
      ENTRY(kMaxStrangers),
      ENTRY(kPaceBurst),
      ENTRY(kPathProbes),
      ENTRY(kPathProbeWait),
      ENTRY(kPathProbeWaitAtMost),
      ENTRY(kPathBeginInterval),
      ENTRY(kPathBeginBurst),
      ENTRY(kPathConfirm),
      ENTRY(kPathRaise),
      ENTRY(kPathAnswerInterval),
      ENTRY(kPathAnswerBurst),
      ENTRY(kLaneProbeWait),
      ENTRY(kLaneDeadline),
      ENTRY(kLaneConfirm),
      ENTRY(kLaneForgotten),
      ENTRY(kLaneRetry),
      ENTRY(kUnansweredAtHome),
      ENTRY(kLaneReport),
  };
  EXPECT_EQ(documented(), expected);
}

}  // namespace
}  // namespace quipu::protocol
