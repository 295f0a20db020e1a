// SPDX-License-Identifier: Apache-2.0
// A whole stream from a driver's process, as DriverHost reads it: first octet = size of the pieces that it comes in.
// What a parser accepts must encode back to the same octets.
#include <algorithm>
#include <cstdlib>

#include "driver/messages.h"

namespace {

using namespace quipu;
using namespace quipu::driver;

void require(bool condition) {
  if (!condition) std::abort();
}

// Printable text is the one thing that a parser may change, so the second reading is compared instead of the first.
template <class T>
void check(const Result<T>& parsed, Result<T> (*parse)(ByteView)) {
  if (parsed) require(parse(encode(*parsed)) == parsed);
}

void check_block(ByteView body) {
  const auto block = parse_block(body);
  if (!block) return;
  Bytes again = encode_block_head(*block);
  require(again.size() + block->key.size() == body.size());
  require(std::equal(again.begin(), again.end(), body.begin()));
  require(constant_time_equal(block->key.view(), body.subspan(again.size())));
}

void check_frame(const Frame& frame) {
  const ByteView body = frame.body.view();
  switch (frame.type) {
    case FrameType::hello: return check(parse_identity(body), parse_identity);
    case FrameType::telemetry: return check(parse_telemetry(body), parse_telemetry);
    case FrameType::log: return check(parse_log(body), parse_log);
    case FrameType::refused:
    case FrameType::failed: return check(parse_outcome(body), parse_outcome);
    case FrameType::checked: return check(parse_checked(body), parse_checked);
    case FrameType::block: return check_block(body);
    case FrameType::open:
    case FrameType::check: return check(parse_open(body), parse_open);
    case FrameType::credit: return static_cast<void>(parse_credit(body));
    default: return;
  }
}

void run(Direction direction, ByteView stream, std::size_t piece) {
  FrameDecoder decoder(direction);
  while (!stream.empty()) {
    const MutableBytes space = decoder.space();
    require(!space.empty());
    const std::size_t n = std::min({space.size(), stream.size(), piece});
    std::copy_n(stream.begin(), n, space.begin());
    stream = stream.subspan(n);
    const auto frame = decoder.advance(n);
    if (!frame) return;
    if (*frame) check_frame(**frame);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t piece = data[0] == 0 ? size : data[0];
  const Direction direction = data[1] % 2 == 0 ? Direction::from_driver : Direction::to_driver;
  run(direction, {data + 2, size - 2}, piece);
  return 0;
}
