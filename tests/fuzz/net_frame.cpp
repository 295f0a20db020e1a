// SPDX-License-Identifier: Apache-2.0
// The stream of a peer, cut where the network pleases: the messages are the same however it is cut.
#include <cstdlib>
#include <string>
#include <vector>

#include "net/frame.h"

namespace {

using namespace quipu;

struct Seen {
  std::vector<std::string> messages;
  bool refused = false;

  bool operator==(const Seen&) const = default;
};

Seen read(ByteView stream, std::size_t step) {
  constexpr std::size_t kMaxMessage = 64;
  Seen out;
  net::FrameReader reader(kMaxMessage);
  net::Callback<bool(ByteView)> keep = [&](ByteView message) {
    if (message.size() > kMaxMessage) std::abort();
    out.messages.emplace_back(as_text(message));
    return true;
  };
  while (!stream.empty() && !out.refused) {
    const std::size_t n = std::min(step, stream.size());
    out.refused = !reader.feed(stream.first(n), keep).has_value();
    stream = stream.subspan(n);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView stream(data + 1, size - 1);
  const Seen whole = read(stream, size);
  if (read(stream, data[0] % 16U + 1) != whole) std::abort();
  for (const std::string& message : whole.messages) {
    if (read(net::frame(as_bytes(message)).view(), 3).messages != std::vector{message}) std::abort();
  }
  return 0;
}
