// SPDX-License-Identifier: Apache-2.0
// What a Device asks of the program around it.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/log.h"
#include "base/time.h"
#include "protocol/lane_update.h"
#include "protocol/policy.h"

namespace quipu::protocol {

// Names one question to a KMS; never used twice by a Device.
using KeyRequestId = Strong<struct KeyRequestIdTag, std::uint64_t>;

// Send from the Device's lane 0 socket. Handshake messages, cookies, keepalives, control frames, and packets that
// waited for a session.
struct SendDatagram {
  std::optional<PeerId> peer;  // none for a cookie reply: its sender is not proven
  Endpoint to;
  Bytes bytes;
  bool handshake = false;
  bool may_fragment = false;  // no DF bit
};

// Ask a KMS for one key of 256 bits. Without key_id: a fresh one (ETSI 014 enc_keys, we are the master SAE). With it:
// that one (dec_keys, the peer is the master SAE). Answer with Device::key_fetched or key_failed, before the deadline
// or after: late keys are kept or burnt as the protocol says.
struct RequestKey {
  KeyRequestId id;
  PeerId peer;
  std::uint8_t slot = 0;
  KeySource source;
  std::optional<KeyId> key_id;
  TimePoint deadline;
};

enum class KeyFailure : std::uint8_t {
  unknown,      // the KMS answered: no such key (yet), or used, or expired
  unavailable,  // no answer, no key material, refused: nothing wrong with the key_ID
};

// A key that was fetched, or named to us, will never be used. Both copies are gone from this process; where a KMS
// offers a way to say so, tell it.
struct BurnKey {
  PeerId peer;
  KeySource source;
  KeyId key_id;
};

// Make durable (fsync) that stamps below `end` may have been used, then call Device::stamps_reserved(end); asked for
// once, so try again until it succeeds: no handshake starts without. At the next start the Device is given the last
// such `end`.
struct ReserveStamps {
  Stamp end;
};

// The peer does not answer and was configured by name: look the name up again, then call Device::endpoint_resolved.
struct ResolveEndpoint {
  PeerId peer;
  std::string name;
};

// For the log and the event stream. `event` is a fixed name (docs/protocol.md, "Events"), `message` a constant
// sentence.
struct ReportEvent {
  LogLevel level = LogLevel::info;
  std::string_view event;
  std::string_view message;
  std::optional<PeerId> peer;
  std::vector<LogField> fields;
};

// Something changed that a SideLane has to know: give it to SideLane::apply() of each, in this order.
struct UpdateLanes {
  LaneUpdate update;
};

using Action =
    std::variant<SendDatagram, RequestKey, BurnKey, ReserveStamps, ResolveEndpoint, ReportEvent, UpdateLanes>;
// In the order in which they are to be done.
using Actions = std::vector<Action>;

}  // namespace quipu::protocol
