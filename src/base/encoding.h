// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648 section 4, strict: padded, no white space) and lower-case hexadecimal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/secret.h"

namespace quipu {

std::string to_hex(ByteView bytes);
// Both cases are read. Empty optional when the text is not hexadecimal of even length.
std::optional<Bytes> from_hex(std::string_view text);

std::string to_base64(ByteView bytes);
std::optional<Bytes> from_base64(std::string_view text);

// The same for secrets: the decoded octets go straight into locked memory, the text is the caller's to wipe. Constant
// time in the contents (libsodium).
std::optional<SecretBytes> secret_from_base64(std::string_view text);
// Base64 text in locked memory, without a terminating zero.
SecretBytes secret_to_base64(ByteView secret);

}  // namespace quipu
