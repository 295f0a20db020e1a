// SPDX-License-Identifier: Apache-2.0
// The two keys that the handshake mixes in from outside. docs/protocol.md, "psk(1) and psk(2)".
#pragma once

#include "protocol/handshake.h"

namespace quipu::protocol {

using HandshakePsk = Secret<32>;

// The peers' pre-shared key, for message 1.
HandshakePsk derive_psk1(const PreSharedKey& key);

// The QKD keys with all that names them, for message 2. Without keys it still binds bitmap and policy.
HandshakePsk derive_psk2(AcceptedKeys accepted, ByteView policy, std::span<const QkdKey> keys);

// Whether `keys` are those of `references` whose bit is set, in the same order. Bits beyond the references never match.
bool keys_match(std::span<const KeyReference> references, AcceptedKeys accepted, std::span<const QkdKey> keys);

}  // namespace quipu::protocol
