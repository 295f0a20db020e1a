// SPDX-License-Identifier: Apache-2.0
// Bodies of the frames between DriverHost and quipu-driver. Encoders return the body without its header; parsers refuse
// with Errc::malformed or out_of_range whatever the header include/quipu/driver.h does not permit, so nothing that a
// driver sends is trusted any further.
#pragma once

#include <vector>

#include "driver/driver_host.h"
#include "driver/frames.h"

namespace quipu::driver {

// Changes with anything in the frames. What never changes, so that two versions can still tell each other: the frames'
// header, this number in front of an open message, and FrameType::failed.
inline constexpr std::uint32_t kFrameProtocol = 3;

// Made by the quipu-kmsd that runs, read by the quipu-driver that is installed: after an upgrade without a restart
// these are of two versions.
struct OpenMessage {
  bool allow_simulated = false;
  std::uint32_t window = 0;
  Options options;

  bool operator==(const OpenMessage&) const = default;
};

struct LogMessage {
  LogLevel level = LogLevel::info;
  std::string text;

  bool operator==(const LogMessage&) const = default;
};

// Why a request was refused (FrameType::refused), or the process ends (failed).
struct OutcomeMessage {
  // Of `failed`: starting again will not help.
  bool permanent = false;
  std::string text;

  bool operator==(const OutcomeMessage&) const = default;
};

// What a driver says of the options that it would be opened with. Its reasons are log lines before this.
struct CheckedMessage {
  // False: this driver knows only when it opens its device.
  bool known = false;
  bool good = false;
  // The place of the wrong option among those of the check; their number when it is none of them.
  std::size_t wrong = 0;

  bool operator==(const CheckedMessage&) const = default;
};

Bytes encode(const OpenMessage& message);
Bytes encode(const LogMessage& message);
Bytes encode(const OutcomeMessage& message);
Bytes encode(const CheckedMessage& message);
Bytes encode(const DriverIdentity& message);
Bytes encode(const DriverTelemetry& message);
Bytes encode_credit(std::uint32_t count);
// Everything of a block but its key, which follows it in the frame and is not copied on the way.
Bytes encode_block_head(const DriverBlock& block);

Result<OpenMessage> parse_open(ByteView body);
Result<LogMessage> parse_log(ByteView body);
Result<OutcomeMessage> parse_outcome(ByteView body);
Result<CheckedMessage> parse_checked(ByteView body);
Result<DriverIdentity> parse_identity(ByteView body);
Result<DriverTelemetry> parse_telemetry(ByteView body);
Result<std::uint32_t> parse_credit(ByteView body);
Result<DriverBlock> parse_block(ByteView body);

}  // namespace quipu::driver
