// SPDX-License-Identifier: Apache-2.0
#include "etsi/error_body.h"

#include <algorithm>
#include <array>

#include "base/ids.h"
#include "etsi/json.h"

namespace quipu::etsi {
namespace {

constexpr std::size_t kMaxBody = std::size_t{16} * 1024;  // what is longer is no message
constexpr std::size_t kMaxMessage = 200;                  // octets of a server's text that are repeated, or searched
constexpr std::size_t kShortestKey = 12;                  // characters: 64 bit in base64, padded
// Characters of shorter words of which each looks like a piece of one, together: a short SAE id and a number. Words
// that a text could have as well, which a few letters of base64 may be, do not count.
constexpr std::size_t kMaxInPieces = 10;
// ETSI GS QKD 014 clause 6: what messages are about.
constexpr std::array<std::string_view, 9> kFields = {
    "master_SAE_ID", "slave_SAE_ID",  "additional_slave_SAE_ID", "additional_slave_SAE_IDs",
    "source_KME_ID", "target_KME_ID", "max_SAE_ID_count",        "key_ID",
    "key_IDs"};
constexpr std::array<std::string_view, 3> kNames = {"message", "detail", "error"};

bool is_within(char c, char first, char last) {
  return c >= first && c <= last;
}

// The characters of base64, of either alphabet, and so those of a UUID.
bool is_of_word(char c) {
  return is_within(c, 'a', 'z') || is_within(c, 'A', 'Z') || is_within(c, '0', '9') ||
         std::string_view("+/=-_").find(c) != std::string_view::npos;
}

// A key of 64 bit or more, in base64 or hex, has all but certainly digits or letters of both cases behind its first
// character; of its pieces, most have.
bool may_be_of_key(std::string_view word) {
  const auto has = [&word](char first, char last) {
    return std::ranges::any_of(word, [=](char c) { return is_within(c, first, last); });
  };
  if (Uuid::parse(word) || std::ranges::find(kFields, word) != kFields.end()) return false;
  if (has('0', '9')) return true;
  word.remove_prefix(1);
  return has('a', 'z') && has('A', 'Z');
}

bool is_hex(std::string_view word) {
  return std::ranges::all_of(
      word, [](char c) { return is_within(c, 'a', 'f') || is_within(c, 'A', 'F') || is_within(c, '0', '9'); });
}

// The next word, or the next character that is of none.
std::string_view take_part(std::string_view& text) {
  const auto word_end = std::ranges::find_if_not(text, is_of_word);
  const std::string_view part =
      text.substr(0, std::max<std::size_t>(static_cast<std::size_t>(word_end - text.begin()), 1));
  text.remove_prefix(part.size());
  return part;
}

// Not only names and numbers, as it seems.
bool may_tell_in_pieces(std::string_view text) {
  std::size_t pieces = 0;
  std::size_t characters = 0;
  while (!text.empty()) {
    const std::string_view part = take_part(text);
    if (!may_be_of_key(part) && !is_hex(part)) continue;
    ++pieces;
    characters += part.size();
  }
  return pieces > 1 && characters > kMaxInPieces;
}

// One line of ASCII, each run of anything else as one space, and what may be a key as "...". Cut between words.
std::string clean(std::string_view text) {
  std::string out;
  const bool in_pieces = may_tell_in_pieces(text);
  while (!text.empty()) {
    std::string_view part = take_part(text);
    if (!is_within(part[0], '!', '~')) part = " ";
    const bool suspect = may_be_of_key(part);
    if ((suspect && part.size() >= kShortestKey) || (in_pieces && (suspect || is_hex(part)))) part = "...";
    if (part == "..." && out.ends_with(part)) continue;
    if (part == " " && (out.empty() || out.ends_with(' '))) continue;
    if (out.size() + part.size() > kMaxMessage) break;
    out += part;
  }
  return out;
}

bool tells_exhaustion(std::string_view text) {
  constexpr std::array<std::string_view, 6> kWords = {"enough", "insufficient",  "exhaust",
                                                      "no key", "not available", "unavailable"};
  const auto lower = [](char c) { return is_within(c, 'A', 'Z') ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::any_of(kWords, [&](std::string_view word) {
    return !std::ranges::search(text.substr(0, kMaxMessage), word, {}, lower).empty();
  });
}

struct Told {
  std::string message{};
  bool exhaustion = false;
};

class MessageReader final : public JsonVisitor {
 public:
  Result<void> begin(const JsonPath&, JsonKind) override { return {}; }

  Result<void> string(const JsonPath& path, std::string_view text) override {
    if (path.size() != 1) return {};
    const auto rank = static_cast<std::size_t>(std::ranges::find(kNames, path[0]) - kNames.begin());
    if (rank >= m_rank) return {};
    m_rank = rank;
    m_told = {clean(text), tells_exhaustion(text)};
    return {};
  }

  Told told() && { return std::move(m_told); }

 private:
  std::size_t m_rank = kNames.size();
  Told m_told;
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

Told read(ByteView body) {
  if (body.empty() || body.size() > kMaxBody || body[0] == '<') return {};
  const SecretBytes plain = without_escapes(body);
  MessageReader reader;
  if (!walk_json(plain.view(), reader)) return {};
  return std::move(reader).told();
}

}  // namespace

std::string message_of(ByteView body) {
  return read(body).message;
}

bool speaks_of_exhaustion(ByteView body) {
  const Told told = read(body);
  return told.message.empty() ? tells_exhaustion(as_text(body)) : told.exhaustion;
}

}  // namespace quipu::etsi
