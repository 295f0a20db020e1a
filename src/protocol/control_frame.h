// SPDX-License-Identifier: Apache-2.0
// What two confirmed ends tell each other inside data packets. All of it is a hint: each may be lost.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "protocol/handshake.h"
#include "protocol/policy.h"

namespace quipu::protocol {

// The keys that the sender's next message 1 is going to name, so that the receiver can fetch them ahead.
struct NextKeys {
  std::vector<KeyReference> keys;
};

// Please rekey: the sender is not the one who starts handshakes.
struct RekeyWish {};

// For how long the sender's KMSs have key material at the present rekey interval.
struct KeyRunway {
  std::uint32_t seconds = 0;
};

// The sender gave up a handshake, for its KMSs give it no keys.
struct KeysLack {};

// Does an IP packet of `size` octets, kLeast or more, get through? The frame is as long.
struct MtuProbe {
  std::uint32_t id = 0;
  std::size_t size = kLeast;

  static constexpr std::size_t kLeast = 5;
};

// It did.
struct MtuAnswer {
  std::uint32_t id = 0;
};

using ControlFrame = std::variant<NextKeys, RekeyWish, KeyRunway, KeysLack, MtuProbe, MtuAnswer>;

// What opened packets leave for the end of the turn: the newest frame of each kind, so that none pushes out one of
// another kind; of the probes the largest, which shows what the others would. An MtuAnswer does not wait.
struct ControlInbox {
  std::optional<NextKeys> next_keys;
  std::optional<RekeyWish> wish;
  std::optional<KeyRunway> runway;
  std::optional<SessionIndex> lack;  // of the keypair that it came under
  std::optional<MtuProbe> mtu_probe;

  bool empty() const { return !next_keys && !wish && !runway && !lack && !mtu_probe; }

  void put(ControlFrame frame, SessionIndex under);
};

// Of all but MtuProbe.
inline constexpr std::size_t kMaxControlFrameSize = 2 + kMaxSources * (3 + kMaxKeyIdSize);

Bytes write_control_frame(const ControlFrame& frame);
// Errc::malformed: not one of these, or more or fewer octets than it says; unsupported: of a later version (to be
// ignored).
Outcome<ControlFrame> parse_control_frame(ByteView payload);

}  // namespace quipu::protocol
