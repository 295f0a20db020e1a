// SPDX-License-Identifier: Apache-2.0
#include "etsi/error_body.h"

#include <algorithm>
#include <array>

#include "etsi/json.h"

namespace quipu::etsi {
namespace {

constexpr std::size_t kMaxBody = std::size_t{16} * 1024;  // what is longer is no message
constexpr std::size_t kMaxMessage = 200;                  // octets of a server's text that we look at
constexpr std::array<std::string_view, 3> kNames = {"message", "detail", "error"};

// One line of ASCII, each run of anything else as one space. A word that is longer than any UUID may be a key: it is
// left out.
std::string clean(std::string_view text) {
  constexpr std::size_t kLongestWord = 36;
  std::string out;
  std::size_t word = 0;
  for (const char c : text.substr(0, kMaxMessage)) {
    const bool in_word = c > ' ' && c <= '~';
    if (!in_word && out.ends_with(' ')) continue;
    word = in_word ? word + 1 : 0;
    if (word == kLongestWord + 1) out.replace(out.size() - kLongestWord, kLongestWord, "...");
    if (word <= kLongestWord) out += in_word ? c : ' ';
  }
  return out;
}

class MessageReader final : public JsonVisitor {
 public:
  Result<void> begin(const JsonPath&, JsonKind) override { return {}; }

  Result<void> string(const JsonPath& path, std::string_view text) override {
    if (path.size() != 1) return {};
    const auto rank = static_cast<std::size_t>(std::ranges::find(kNames, path[0]) - kNames.begin());
    if (rank >= m_rank) return {};
    m_rank = rank;
    m_message = clean(text);
    return {};
  }

  std::string message() && { return std::move(m_message); }

 private:
  std::size_t m_rank = kNames.size();
  std::string m_message;
};

// Strings with escapes in them are not handed out by walk_json(): those that it could not resolve become spaces.
SecretBytes without_escapes(ByteView json) {
  SecretBytes out = without_ascii_escapes(json);
  const MutableBytes octets = out.mutable_view();
  for (std::size_t at = 0; at < octets.size(); ++at) {
    if (octets[at] != '\\') continue;
    const std::size_t size = at + 1 < octets.size() && octets[at + 1] == 'u' ? 6 : 2;
    std::ranges::fill(octets.subspan(at, std::min(size, octets.size() - at)), std::uint8_t{' '});
  }
  return out;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string message_of(ByteView body) {
  if (body.empty() || body.size() > kMaxBody || body[0] == '<') return {};
  const SecretBytes plain = without_escapes(body);
  MessageReader reader;
  if (!walk_json(plain.view(), reader)) return {};
  return std::move(reader).message();
}

bool speaks_of_exhaustion(ByteView body) {
  constexpr std::array<std::string_view, 6> kWords = {"enough", "insufficient",  "exhaust",
                                                      "no key", "not available", "unavailable"};
  const std::string message = message_of(body);
  const std::string_view text = message.empty() ? as_text(body).substr(0, kMaxMessage) : std::string_view(message);
  return std::ranges::any_of(
      kWords, [&](std::string_view word) { return !std::ranges::search(text, word, {}, lower).empty(); });
}

}  // namespace quipu::etsi
