// SPDX-License-Identifier: Apache-2.0
// Every time and limit of the state machine. docs/protocol.md, "Times and limits", prints this table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace quipu::protocol {

using namespace std::chrono_literals;

// Rekey interval N.
inline constexpr Duration kMinRekeyInterval = 1s;
inline constexpr Duration kMaxRekeyInterval = 1h;
inline constexpr Duration kDefaultRekeyInterval = 10s;
inline constexpr int kMaxKeyAgeInIntervals = 3;  // default max_key_age = 3 N
inline constexpr int kRekeyJitterDivisor = 16;   // a rekey falls due up to N/16 early

// The initiator's attempt.
inline constexpr Duration kFirstRepetition = 250ms;  // doubling up to
inline constexpr Duration kLastRepetition = 2s;
inline constexpr int kRepetitionJitterDivisor = 8;    // each wait is up to 1/8 longer
inline constexpr Duration kAttemptDeadline = 5s;      // after the peer's first sign of life
inline constexpr Duration kAttemptWithoutLife = 60s;  // while there is none
inline constexpr int kImmediateRetries = 2;           // new attempts at once after key-unknown and its like
inline constexpr Duration kFirstBackoff = 1s;         // doubling up to min(N, kLastBackoff)
inline constexpr Duration kLastBackoff = 5s;          // so that a pair heals within 10 s of the end of a fault
inline constexpr Duration kPolicyMismatchPause = 60s;
inline constexpr Duration kStretchForgotten = 15s;  // when no attempt has wanted keys in vain for so long

// The responder's answer.
inline constexpr Duration kAnswerKept = 6s;  // after the last repetition
inline constexpr Duration kAnswerKeptAtMost = 60s;
inline constexpr Duration kAnswerInterval = 100ms;  // one copy of an answer at most per
inline constexpr Duration kAnswerHoldsBack = 5s;    // own attempts, after the last repetition (crossing rule a)
inline constexpr Duration kStaleRejectInterval = 1s;
inline constexpr Duration kRateInterval = 250ms;     // an accepted message 1 per N/4, but not below this
inline constexpr Duration kRateIntervalAtMost = 1s;  // nor above: a rate that is used up must not lock a peer out
inline constexpr int kRateBurst = 3;
inline constexpr int kPaceBurst =
    kRateBurst - 1;  // of rekeys on request: one to spare, as datagrams take unequally long

// Key management.
inline constexpr Duration kKmsDeadline = 1500ms;
inline constexpr Duration kKmsRetry = 150ms;          // a key_ID that is unknown may only be not known yet
inline constexpr Duration kLateKeyKept = 30s;         // or 2 N if longer
inline constexpr std::size_t kLateKeysPerPeer = 2;    // sets of keys
inline constexpr std::size_t kMaxRequestsInAll = 64;  // outstanding at the KMSs for peers' messages 1

// Crossing.
inline constexpr Duration kCrossingHead = 1s;  // the regular initiator ignores the peer for this long

// Epochs.
inline constexpr Duration kFirstConfirmation = 100ms;  // doubling
inline constexpr Duration kConfirmationDeadline = 5s;
inline constexpr Duration kNextLifetime = 15s;          // after the last message 2
inline constexpr Duration kPreviousGrace = 3s;          // or 3 RTT if longer, N at most
inline constexpr Duration kPreviousGraceShort = 250ms;  // the same for N < kPreviousGrace
inline constexpr Duration kDeadSession = 5s;            // or 3 RTT if longer
inline constexpr Duration kKeepalive = 2s;
inline constexpr int kRttsInInterval = 4;  // effective N >= 4 RTT + KMS p99, up to 2/3 of max_key_age and
inline constexpr int kRttsBeforeEnd = 3;   // 3 RTT before its end

// Path MTU (RFC 8899 section 5.1).
// MAX_PROBES: misses of a size that is tried, half of those of the limit; and silences.
inline constexpr int kPathProbes = 3;
inline constexpr Duration kPathProbeWait = 1s;         // PROBE_TIMER: between them; or 2 RTT if longer, up to
inline constexpr Duration kPathProbeWaitAtMost = 10s;  // whatever one answer took
inline constexpr Duration kPathConfirm = 30s;          // CONFIRMATION_TIMER: between probes of what is known
inline constexpr Duration kPathRaise = 600s;           // PMTU_RAISE_TIMER: between searches for more
inline constexpr Duration kPathBeginInterval = 10s;    // an endpoint that moves is probed once per
inline constexpr int kPathBeginBurst = 3;
inline constexpr Duration kPathAnswerInterval = 100ms;
inline constexpr int kPathAnswerBurst = 16;  // a search whose probes are all answered

// Lanes after the first.
inline constexpr Duration kLaneProbeWait = 500ms;  // between copies of a probe, until
inline constexpr Duration kLaneDeadline = 2s;      // without an answer the lane carries nothing
inline constexpr Duration kLaneConfirm = 2s;       // from an answer to the next probe, while packets are sent
inline constexpr Duration kLaneForgotten = 20s;    // from an answer, while none are sent, to when it counts no more
inline constexpr Duration kLaneRetry = 30s;        // until a lane that carries nothing is probed again, if it is wanted
inline constexpr int kUnansweredAtHome = 2;        // transmissions of a message 1 to where the first lane last was
inline constexpr Duration kLaneReport = 250ms;     // how long what a lane did for a peer may be unknown to the Device

// Stamps.
inline constexpr std::uint64_t kStampRange = 65536;
inline constexpr std::uint64_t kMaxStampJump = std::uint64_t{1} << 40;
// How far peers may move our counter in one run. All peers see it: it stays below what they accept.
inline constexpr std::uint64_t kMaxToldStampJump = std::uint64_t{1} << 39;

// Limits per key (enforced by Keypair) live in keypair.h.
inline constexpr std::size_t kQueuedPackets = 128;
// Handshake datagrams per second above which a cookie is demanded.
inline constexpr std::size_t kLoadThreshold = 50;
// Under load, per address with a right cookie: one message per this is opened, and so many at once.
inline constexpr Duration kSenderInterval = 50ms;
inline constexpr int kSenderBurst = 10;
// The same for all addresses together that are no peer's endpoint, and how many are kept apart.
inline constexpr Duration kStrangersInterval = 2ms;
inline constexpr int kStrangersBurst = 50;
inline constexpr std::size_t kMaxStrangers = 1024;

}  // namespace quipu::protocol
