// SPDX-License-Identifier: Apache-2.0
// What a peer sends where HTTP is due, cut where the network pleases: the messages are the same however it is cut, and
// the limits hold.
#include <cstdlib>
#include <vector>

#include "net/http_reader.h"

namespace {

using namespace quipu;

constexpr std::size_t kMaxHeader = 512;
constexpr std::size_t kMaxBody = 256;

struct Seen {
  std::vector<std::string> messages;
  bool refused = false;
};

void keep(Seen& out, const net::HttpMessage& message) {
  if (message.body.size() > kMaxBody || message.target.size() > kMaxHeader) std::abort();
  out.messages.push_back(message.method + " " + message.target + " " + std::to_string(message.status) + " " +
                         message.content_type + " " + std::string(as_text(message.body.view())));
}

Seen read(net::HttpDirection direction, ByteView stream, std::size_t step) {
  Seen out;
  net::HttpReader reader(direction, kMaxHeader, kMaxBody);
  while (!stream.empty()) {
    const std::size_t n = std::min(step, stream.size());
    auto message = reader.feed(stream.first(n));
    stream = stream.subspan(n);
    while (message && *message) {
      keep(out, **message);
      message = reader.feed({});
    }
    (void)reader.take_expect_continue();
    if (!message) {
      out.refused = true;
      return out;
    }
  }
  const auto last = reader.end();
  if (last && *last) keep(out, **last);
  // A broken head may be refused before its end or not until then, by what of it arrives together; it is refused.
  out.refused = !last.has_value();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto direction = data[0] < 128 ? net::HttpDirection::requests : net::HttpDirection::responses;
  const ByteView stream(data + 1, size - 1);
  const Seen whole = read(direction, stream, size);
  const Seen cut = read(direction, stream, data[0] % 16U + 1);
  if (cut.messages != whole.messages || cut.refused != whole.refused) std::abort();
  return 0;
}
