// SPDX-License-Identifier: Apache-2.0
#include "base/encoding.h"

#include <sodium.h>

namespace quipu {
namespace {

constexpr int kVariant = sodium_base64_VARIANT_ORIGINAL;

std::size_t base64_length(std::size_t size) {
  return (size + 2) / 3 * 4;
}

// libsodium accepts some texts that do not encode back to themselves (bits set below the last octet), so that is asked
// as well.
bool decode(std::string_view text, MutableBytes out, std::size_t& size) {
  size = 0;
  if (text.empty()) return true;  // libsodium wants a buffer even for nothing
  if (text.size() % 4 != 0 ||
      sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, nullptr, kVariant) != 0)
    return false;
  return constant_time_equal(secret_to_base64(out.first(size)).view(), as_bytes(text));
}

}  // namespace

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t octet : bytes) {
    out += kDigits[octet >> 4];
    out += kDigits[octet & 15];
  }
  return out;
}

std::optional<Bytes> from_hex(std::string_view text) {
  Bytes out(text.size() / 2);
  std::size_t size = 0;
  if (text.empty()) return out;
  if (text.size() % 2 != 0 ||
      sodium_hex2bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, nullptr) != 0 ||
      size != out.size())
    return std::nullopt;
  return out;
}

std::string to_base64(ByteView bytes) {
  std::string out(base64_length(bytes.size()) + 1, '\0');
  sodium_bin2base64(out.data(), out.size(), bytes.data(), bytes.size(), kVariant);
  out.pop_back();
  return out;
}

std::optional<Bytes> from_base64(std::string_view text) {
  Bytes out(text.size() / 4 * 3);
  std::size_t size = 0;
  if (!decode(text, out, size)) return std::nullopt;
  out.resize(size);
  return out;
}

std::optional<SecretBytes> secret_from_base64(std::string_view text) {
  SecretBytes room(text.size() / 4 * 3);
  std::size_t size = 0;
  if (!decode(text, room.mutable_view(), size)) return std::nullopt;
  return size == room.size() ? std::move(room) : SecretBytes::copy_of(room.view().first(size));
}

SecretBytes secret_to_base64(ByteView secret) {
  SecretBytes with_zero(base64_length(secret.size()) + 1);
  sodium_bin2base64(reinterpret_cast<char*>(with_zero.mutable_view().data()), with_zero.size(), secret.data(),
                    secret.size(), kVariant);
  return SecretBytes::copy_of(with_zero.view().first(with_zero.size() - 1));
}

bool constant_time_equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace quipu
