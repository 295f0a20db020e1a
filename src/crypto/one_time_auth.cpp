// SPDX-License-Identifier: Apache-2.0
#include "crypto/one_time_auth.h"

#include <sodium.h>

#include "crypto/library.h"

namespace quipu::crypto {

OneTimeTag one_time_tag(std::span<const std::uint8_t, kOneTimeKeySize> key, std::initializer_list<ByteView> parts) {
  start_libraries();
  crypto_onetimeauth_state state;
  crypto_onetimeauth_init(&state, key.data());
  for (const ByteView part : parts)
    if (!part.empty()) crypto_onetimeauth_update(&state, part.data(), part.size());
  OneTimeTag tag;
  crypto_onetimeauth_final(&state, tag.data());
  wipe(&state, sizeof state);
  return tag;
}

}  // namespace quipu::crypto
