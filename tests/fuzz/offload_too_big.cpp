// SPDX-License-Identifier: Apache-2.0
// Any octets as a packet that is too large: there is no answer, or a right one.
#include <algorithm>
#include <cstdlib>

#include "offload/too_big.h"
#include "support/slow_segments.h"

namespace {

using namespace quipu;

void require(bool condition) {
  if (!condition) std::abort();
}

std::size_t told_at(const Bytes& from, std::size_t at) {
  return std::size_t{from[at]} << 8 | from[at + 1];
}

void check4(const Bytes& answer, const Bytes& packet, std::size_t mtu) {
  require(answer.size() <= 576 && told_at(answer, 2) == answer.size());
  require(answer[9] == 1 && answer[20] == 3 && answer[21] == 4 && told_at(answer, 26) == mtu);
  require(std::equal(answer.begin() + 12, answer.begin() + 16, packet.begin() + 16));
  require(std::equal(answer.begin() + 28, answer.end(), packet.begin()));
  require(test::slow_sum(ByteView(answer).first(20)) == 0xffff);
  require(test::slow_sum(ByteView(answer).subspan(20)) == 0xffff);
}

void check6(const Bytes& answer, const Bytes& packet, std::size_t mtu) {
  require(answer.size() <= 1280 && told_at(answer, 4) == answer.size() - 40);
  require(answer[6] == 58 && answer[40] == 2 && told_at(answer, 46) == std::max<std::size_t>(mtu, 1280));
  require(std::equal(answer.begin() + 8, answer.begin() + 24, packet.begin() + 24));
  require(std::equal(answer.begin() + 48, answer.end(), packet.begin()));
  // RFC 8200 section 8.1: addresses, length and next header are summed with it.
  Bytes summed(answer.begin() + 8, answer.begin() + 40);
  summed.insert(summed.end(), {0, 0, answer[4], answer[5], 0, 0, 0, 58});
  summed.insert(summed.end(), answer.begin() + 40, answer.end());
  require(test::slow_sum(summed) == 0xffff);
}

}  // namespace

// The size that gets through, in steps of 8, and the packet; some are made longer than the fuzzer has patience for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t mtu = std::size_t{data[0]} * 8;
  Bytes packet(data + 2, data + size);
  if (data[1] % 2 == 1) packet.resize(std::max<std::size_t>(packet.size(), 1400));
  const auto answer = offload::answer_too_big(packet, mtu);
  if (!answer) return 0;
  require(packet.size() > mtu);
  if (packet[0] >> 4 == 4)
    check4(*answer, packet, mtu);
  else
    check6(*answer, packet, mtu);
  return 0;
}
