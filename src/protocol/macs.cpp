// SPDX-License-Identifier: Apache-2.0
#include "protocol/macs.h"

#include "base/assert.h"
#include "base/secret.h"
#include "protocol/handshake.h"
#include "protocol/labels.h"

namespace quipu::protocol {
namespace {

crypto::Mac mac1(ByteView message, const crypto::X25519PublicKey& receiver) {
  const auto key = crypto::blake2b_256({as_bytes(labels::kMac1), receiver.value()});
  return crypto::blake2b_mac(key, {before_mac1(message)});
}

}  // namespace

void write_macs(MutableBytes message, const crypto::X25519PublicKey& receiver) {
  ByteWriter writer(message.last(kMacsSize));
  writer.bytes(mac1(message, receiver)).zeros(crypto::kMacSize);
  QUIPU_ASSERT(writer.ok());
}

Outcome<void> check_mac1(ByteView message, const crypto::X25519PublicKey& own) {
  switch (message_type(message).value_or(MessageType::data)) {
    case MessageType::initiation:
    case MessageType::response:
    case MessageType::reject: break;
    case MessageType::cookie_reply:
    case MessageType::data: return std::unexpected(Errc::malformed);
  }
  if (!constant_time_equal(mac1(message, own), mac1_of(message))) return std::unexpected(Errc::authentication);
  return {};
}

}  // namespace quipu::protocol
