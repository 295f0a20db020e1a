// SPDX-License-Identifier: Apache-2.0
#include "driver/messages.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "quipu/driver.h"

namespace quipu::driver {
namespace {

constexpr std::size_t kMaxText = QUIPU_MAX_TEXT;
constexpr std::size_t kMaxName = 32;

// What identity flags look like on the wire, in this order from bit 0.
constexpr std::array kIdentityFlags = {
    &DriverIdentity::key_source,    &DriverIdentity::entropy_source, &DriverIdentity::push,   &DriverIdentity::pull,
    &DriverIdentity::peer_messages, &DriverIdentity::simulated,      &DriverIdentity::inject,
};

constexpr std::uint8_t kBlockSimulated = 1;
constexpr std::uint8_t kBlockDurableSequence = 2;

// Bodies of text and numbers are small; this holds the largest, an open message of 64 options.
class Encoder {
 public:
  Encoder& u8(std::uint8_t value) { return append<1>(value); }

  Encoder& flag(bool value) { return u8(value ? 1 : 0); }

  Encoder& u32(std::uint32_t value) { return append<4>(value); }

  Encoder& u64(std::uint64_t value) { return append<8>(value); }

  Encoder& number(double value) { return u64(std::bit_cast<std::uint64_t>(value)); }

  Encoder& bytes(ByteView value) {
    m_out.insert(m_out.end(), value.begin(), value.end());
    return *this;
  }

  // Longer text is cut.
  Encoder& text(std::string_view value) {
    value = value.substr(0, kMaxText);
    return append<2>(value.size()).bytes(as_bytes(value));
  }

  Encoder& options(const Options& value) {
    QUIPU_ASSERT(value.size() <= QUIPU_MAX_OPTIONS);
    u8(static_cast<std::uint8_t>(value.size()));
    for (const auto& [key, text_value] : value)
      text(key).text(text_value);
    return *this;
  }

  Encoder& optional(const std::optional<double>& value) {
    flag(value.has_value());
    return value ? number(*value) : *this;
  }

  Encoder& optional(const std::optional<std::uint64_t>& value) {
    flag(value.has_value());
    return value ? u64(*value) : *this;
  }

  Bytes take() { return std::move(m_out); }

 private:
  template <std::size_t N>
  Encoder& append(std::uint64_t value) {
    for (std::size_t shift = N * 8; shift > 0; shift -= 8)
      m_out.push_back(static_cast<std::uint8_t>(value >> (shift - 8)));
    return *this;
  }

  Bytes m_out;
};

// ByteReader with the kinds of fields above; a value that is not permitted makes finished() false.
class Decoder {
 public:
  explicit Decoder(ByteView body) : m_in(body) {}

  std::uint8_t u8(std::uint8_t largest) {
    const std::uint8_t value = m_in.u8();
    require(value <= largest);
    return value;
  }

  bool flag() { return u8(1) == 1; }

  std::uint32_t u32() { return m_in.u32(); }

  std::uint64_t u64() { return m_in.u64(); }

  double number() {
    const double value = std::bit_cast<double>(m_in.u64());
    require(std::isfinite(value));
    return value;
  }

  std::string text() {
    const ByteView bytes = m_in.prefixed16();
    require(bytes.size() <= kMaxText);
    return std::string(as_text(bytes));
  }

  // For logs and screens: whatever is not printable ASCII becomes a question mark.
  std::string printable() {
    std::string out = text();
    std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return out;
  }

  Options options() {
    Options out(u8(QUIPU_MAX_OPTIONS));
    for (auto& [key, value] : out) {
      key = text();
      value = text();
      require(!key.empty() && key.find('\0') == std::string::npos && value.find('\0') == std::string::npos);
    }
    return out;
  }

  void optional(std::optional<double>& value) {
    if (flag()) value = number();
  }

  void optional(std::optional<std::uint64_t>& value) {
    if (flag()) value = u64();
  }

  Uuid id() { return Uuid{m_in.array<16>()}; }

  ByteView rest() { return m_in.take(m_in.remaining()); }

  void require(bool condition) { m_valid = m_valid && condition; }

  bool finished() const { return m_valid && m_in.finished(); }

 private:
  ByteReader m_in;
  bool m_valid = true;
};

template <class T>
Result<T> finish(const Decoder& in, T value, std::string_view what) {
  if (!in.finished()) return fail(Errc::malformed, std::string(what) + " with invalid fields");
  return value;
}

bool is_driver_name(const std::string& name) {
  const auto permitted = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), permitted);
}

bool is_ratio(const std::optional<double>& value) {
  return !value || (*value >= 0 && *value <= 1);
}

bool is_rate(const std::optional<double>& value) {
  return !value || *value >= 0;
}

}  // namespace

Bytes encode(const OpenMessage& message) {
  return Encoder()
      .u32(kFrameProtocol)
      .flag(message.allow_simulated)
      .u32(message.window)
      .options(message.options)
      .take();
}

Result<OpenMessage> parse_open(ByteView body) {
  Decoder in(body);
  const std::uint32_t protocol = in.u32();
  if (protocol != kFrameProtocol)
    return fail(Errc::unsupported, "quipu-driver and the running quipu-kmsd are of different versions (frames " +
                                       std::to_string(kFrameProtocol) + " and " + std::to_string(protocol) +
                                       "): restart quipu-kmsd");
  OpenMessage out;
  out.allow_simulated = in.flag();
  out.window = in.u32();
  out.options = in.options();
  in.require(out.window > 0);
  return finish(in, std::move(out), "an open message");
}

Bytes encode(const LogMessage& message) {
  return Encoder().u8(static_cast<std::uint8_t>(message.level)).text(message.text).take();
}

Result<LogMessage> parse_log(ByteView body) {
  Decoder in(body);
  LogMessage out{static_cast<LogLevel>(in.u8(QUIPU_LOG_DEBUG)), in.printable()};
  return finish(in, std::move(out), "a log line");
}

Bytes encode(const OutcomeMessage& message) {
  return Encoder().flag(false).flag(message.permanent).text(message.text).take();
}

Result<OutcomeMessage> parse_outcome(ByteView body) {
  Decoder in(body);
  in.require(!in.flag());  // kept for what `failed` is to other versions
  OutcomeMessage out{in.flag(), in.printable()};
  return finish(in, std::move(out), "an outcome");
}

Bytes encode(const CheckedMessage& message) {
  QUIPU_ASSERT(message.wrong <= QUIPU_MAX_OPTIONS);
  return Encoder().flag(message.known).flag(message.good).u8(static_cast<std::uint8_t>(message.wrong)).take();
}

Result<CheckedMessage> parse_checked(ByteView body) {
  Decoder in(body);
  const CheckedMessage out{in.flag(), in.flag(), in.u8(QUIPU_MAX_OPTIONS)};
  return finish(in, out, "a checked message");
}

Bytes encode(const DriverIdentity& message) {
  std::uint8_t flags = 0;
  for (std::size_t i = 0; i < kIdentityFlags.size(); ++i)
    if (message.*kIdentityFlags[i]) flags = static_cast<std::uint8_t>(flags | (1U << i));
  return Encoder().text(message.name).text(message.version).u8(flags).u32(message.technology).take();
}

Result<DriverIdentity> parse_identity(ByteView body) {
  Decoder in(body);
  DriverIdentity out;
  out.name = in.printable();
  out.version = in.printable();
  const std::uint8_t flags = in.u8((1U << kIdentityFlags.size()) - 1);
  for (std::size_t i = 0; i < kIdentityFlags.size(); ++i)
    out.*kIdentityFlags[i] = (flags >> i & 1U) != 0;
  out.technology = in.u32();
  in.require(is_driver_name(out.name) && out.version.size() <= kMaxName);
  in.require((out.key_source || out.entropy_source) && (!out.inject || out.simulated));
  return finish(in, std::move(out), "an identity");
}

Bytes encode(const DriverTelemetry& message) {
  Encoder out;
  out.u8(static_cast<std::uint8_t>(message.state)).optional(message.skr_bit_s).optional(message.qber);
  out.optional(message.visibility).optional(message.excess_noise_snu).optional(message.sifted_bit_s);
  out.optional(message.detections_s).optional(message.blocks_delivered).optional(message.blocks_failed);
  out.optional(message.loss_db).optional(message.temperature_c).optional(message.stored_bits);
  return out.text(message.detail).take();
}

Result<DriverTelemetry> parse_telemetry(ByteView body) {
  Decoder in(body);
  DriverTelemetry out;
  out.state = static_cast<DeviceState>(in.u8(QUIPU_STATE_FAULT));
  in.optional(out.skr_bit_s);
  in.optional(out.qber);
  in.optional(out.visibility);
  in.optional(out.excess_noise_snu);
  in.optional(out.sifted_bit_s);
  in.optional(out.detections_s);
  in.optional(out.blocks_delivered);
  in.optional(out.blocks_failed);
  in.optional(out.loss_db);
  in.optional(out.temperature_c);
  in.optional(out.stored_bits);
  out.detail = in.printable();
  in.require(is_ratio(out.qber) && is_ratio(out.visibility));
  in.require(is_rate(out.skr_bit_s) && is_rate(out.sifted_bit_s) && is_rate(out.detections_s));
  return finish(in, std::move(out), "telemetry");
}

Bytes encode_credit(std::uint32_t count) {
  return Encoder().u32(count).take();
}

Result<std::uint32_t> parse_credit(ByteView body) {
  Decoder in(body);
  const std::uint32_t count = in.u32();
  in.require(count > 0);
  return finish(in, count, "a credit");
}

Bytes encode_block_head(const DriverBlock& block) {
  const int flags = (block.simulated ? kBlockSimulated : 0) | (block.durable_sequence ? kBlockDurableSequence : 0);
  Encoder out;
  out.bytes(block.id.value().octets).u8(static_cast<std::uint8_t>(flags));
  out.u64(block.created ? static_cast<std::uint64_t>(block.created->time_since_epoch().count()) : 0);
  return out.u64(block.sequence).optional(block.failure_probability).take();
}

Result<DriverBlock> parse_block(ByteView body) {
  Decoder in(body);
  DriverBlock out;
  out.id = BlockId(in.id());
  const std::uint8_t flags = in.u8(kBlockSimulated | kBlockDurableSequence);
  out.simulated = (flags & kBlockSimulated) != 0;
  out.durable_sequence = (flags & kBlockDurableSequence) != 0;
  // Milliseconds since 1970; 0 = not known. A device's clock may be wrong, but not by more than the type holds.
  const std::uint64_t created = in.u64();
  in.require(created < std::uint64_t{1} << 48);
  if (created != 0) out.created = WallTime(std::chrono::milliseconds(created));
  out.sequence = in.u64();
  in.optional(out.failure_probability);
  in.require(is_ratio(out.failure_probability) && out.id.value() != Uuid{});
  const ByteView key = in.rest();
  in.require(!key.empty() && key.size() <= QUIPU_MAX_BLOCK_OCTETS);
  if (!in.finished()) return fail(Errc::malformed, "a block with invalid fields");
  out.key = SecretBytes::copy_of(key);
  return out;
}

}  // namespace quipu::driver
