// SPDX-License-Identifier: Apache-2.0
#include "bench/answer.h"

#include <charconv>

namespace quipu::bench {
namespace {

constexpr std::string_view kLength = "\r\nContent-Length: ";
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::size_t kMostOctets = std::size_t{1} << 20;

std::string_view text_after(std::string_view in, std::string_view before) {
  const std::size_t at = in.find(before);
  if (at == std::string_view::npos) return {};
  in.remove_prefix(at + before.size());
  return in.substr(0, in.find('"'));
}

}  // namespace

Result<std::optional<std::size_t>> answer_size(ByteView received) {
  const std::string_view text = as_text(received);
  const std::size_t head = text.find(kHeadEnd);
  if (head == std::string_view::npos) return std::optional<std::size_t>();
  const std::size_t at = text.substr(0, head).find(kLength);
  std::size_t body = kMostOctets + 1;
  if (at != std::string_view::npos) {
    const char* const first = text.data() + at + kLength.size();
    std::from_chars(first, text.data() + head, body);
  }
  if (body > kMostOctets) return fail(Errc::malformed, "an HTTP answer without a usable Content-Length");
  const std::size_t size = head + kHeadEnd.size() + body;
  return size <= received.size() ? std::optional(size) : std::nullopt;
}

Answer read_answer(ByteView whole) {
  constexpr std::size_t kStatusAt = std::string_view("HTTP/1.1 ").size();
  const std::string_view text = as_text(whole);
  Answer out;
  if (text.size() > kStatusAt) std::from_chars(text.data() + kStatusAt, text.data() + text.size(), out.status);
  out.key_id = text_after(text, "\"key_ID\":\"");
  out.key = text_after(text, "\"key\":\"");
  return out;
}

}  // namespace quipu::bench
