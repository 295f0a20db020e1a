// SPDX-License-Identifier: Apache-2.0
#include "protocol/messages.h"

#include <algorithm>

namespace quipu::protocol {
namespace {

std::uint8_t octet(MessageType type) {
  return static_cast<std::uint8_t>(type);
}

bool size_fits(MessageType type, std::size_t size) {
  switch (type) {
    case MessageType::initiation: return size >= kInitiationSize && size <= kInitiationMaxSize;
    case MessageType::response: return size == kResponseSize;
    case MessageType::cookie_reply: return size == kCookieReplySize;
    case MessageType::data: return size >= kDataOverhead;
    case MessageType::reject: return size == kRejectSize;
  }
  return false;
}

// A reader behind type, version and, where `reserved`, the two reserved octets; nothing when they are not right.
std::optional<ByteReader> open_message(ByteView message, MessageType type, bool reserved) {
  if (message_type(message) != type) return std::nullopt;
  ByteReader reader(message);
  reader.u8();
  if (reader.u8() != kWireVersion || (reserved && reader.u16() != 0)) return std::nullopt;
  return reader;
}

void start_header(ByteWriter& writer, MessageType type) {
  writer.u8(octet(type)).u8(kWireVersion);
}

constexpr auto kMalformed = std::unexpected(Errc::malformed);

}  // namespace

std::optional<MessageType> message_type(ByteView datagram) {
  if (datagram.empty()) return std::nullopt;
  const auto type = static_cast<MessageType>(datagram[0]);
  if (!size_fits(type, datagram.size())) return std::nullopt;
  return type;
}

Outcome<SessionIndex> receiver_index(ByteView datagram) {
  switch (message_type(datagram).value_or(MessageType::initiation)) {
    case MessageType::initiation: return kMalformed;
    case MessageType::response: return SessionIndex(ByteReader(datagram.subspan(8)).u32());
    case MessageType::cookie_reply:
    case MessageType::data:
    case MessageType::reject: return SessionIndex(ByteReader(datagram.subspan(4)).u32());
  }
  return kMalformed;
}

Outcome<InitiationFields> parse_initiation(ByteView message) {
  auto reader = open_message(message, MessageType::initiation, true);
  if (!reader) return kMalformed;
  InitiationFields out;
  out.sender = SessionIndex(reader->u32());
  out.header = message.first(kInitiationHeaderSize);
  out.ephemeral = crypto::X25519PublicKey(reader->array<crypto::kX25519Size>());
  out.sealed_encapsulation_key = reader->take(kSealedEncapsulationKeySize);
  out.sealed_static_key = reader->take(kSealedStaticKeySize);
  out.sealed_payload = reader->take(reader->remaining() - kMacsSize);
  return out;
}

Outcome<ResponseFields> parse_response(ByteView message) {
  auto reader = open_message(message, MessageType::response, false);
  if (!reader) return kMalformed;
  ResponseFields out;
  out.accepted = reader->u16();
  out.sender = SessionIndex(reader->u32());
  out.receiver = SessionIndex(reader->u32());
  out.header = message.first(kResponseHeaderSize);
  out.ephemeral = crypto::X25519PublicKey(reader->array<crypto::kX25519Size>());
  out.sealed_ciphertext = reader->take(kSealedCiphertextSize);
  out.sealed_payload = reader->take(reader->remaining() - kMacsSize);
  return out;
}

Outcome<RejectFields> parse_reject(ByteView message) {
  auto reader = open_message(message, MessageType::reject, true);
  if (!reader) return kMalformed;
  RejectFields out;
  out.receiver = SessionIndex(reader->u32());
  out.header = message.first(kRejectHeaderSize);
  out.salt = reader->take(kRejectSaltSize);
  out.sealed_payload = reader->take(reader->remaining() - kMacsSize);
  return out;
}

Outcome<CookieReplyFields> parse_cookie_reply(ByteView message) {
  auto reader = open_message(message, MessageType::cookie_reply, true);
  if (!reader) return kMalformed;
  CookieReplyFields out;
  out.receiver = SessionIndex(reader->u32());
  out.nonce = reader->array<crypto::kXChaChaNonceSize>();
  out.sealed_cookie = reader->rest();
  return out;
}

Outcome<DataFields> parse_data(ByteView datagram) {
  if (datagram.size() < kDataOverhead) return kMalformed;
  ByteReader reader(datagram.first(kDataHeaderSize));
  const std::uint8_t type = reader.u8();
  const std::uint8_t flags = reader.u8();
  DataFields out;
  out.lane = Lane(reader.u8());
  const std::uint8_t reserved = reader.u8();
  if (type != octet(MessageType::data) || flags != 0 || reserved != 0 || out.lane.value() >= kMaxLanes)
    return kMalformed;
  out.receiver = SessionIndex(reader.u32());
  out.counter = Counter(reader.u64());
  out.header = datagram.first(kDataHeaderSize);
  out.sealed_size = datagram.size() - kDataHeaderSize;
  return out;
}

void write_initiation_header(MutableBytes out, SessionIndex sender) {
  ByteWriter writer(out);
  start_header(writer, MessageType::initiation);
  writer.u16(0).u32(sender.value());
  QUIPU_ASSERT(writer.ok() && writer.size() == kInitiationHeaderSize);
}

void write_response_header(MutableBytes out, SessionIndex sender, SessionIndex receiver, std::uint16_t accepted) {
  ByteWriter writer(out);
  start_header(writer, MessageType::response);
  writer.u16(accepted).u32(sender.value()).u32(receiver.value());
  QUIPU_ASSERT(writer.ok() && writer.size() == kResponseHeaderSize);
}

void write_reject_header(MutableBytes out, SessionIndex receiver, ByteView salt) {
  ByteWriter writer(out);
  start_header(writer, MessageType::reject);
  writer.u16(0).u32(receiver.value()).bytes(salt);
  QUIPU_ASSERT(writer.ok() && writer.size() == kRejectHeaderSize);
}

void write_data_header(MutableBytes out, Lane lane, SessionIndex receiver, Counter counter) {
  ByteWriter writer(out);
  writer.u8(octet(MessageType::data)).u8(0).u8(lane.value()).u8(0).u32(receiver.value()).u64(counter.value());
  QUIPU_ASSERT(writer.ok() && writer.size() == kDataHeaderSize);
}

}  // namespace quipu::protocol
