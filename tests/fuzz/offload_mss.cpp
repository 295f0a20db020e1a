// SPDX-License-Identifier: Apache-2.0
// TCP options of any form: a segment size is lowered or nothing is changed, and a right checksum stays right.
#include <cstdlib>

#include "offload/mss.h"
#include "offload/transport.h"
#include "support/slow_segments.h"

namespace {

using namespace quipu;

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::size_t kMtu = 1280;

// What the options tell, or nothing: 0.
std::size_t slow_mss(ByteView options) {
  ByteReader reader(options);
  while (reader.remaining() > 0) {
    const std::uint8_t kind = reader.u8();
    if (kind == 0) return 0;
    if (kind == 1) continue;
    const std::uint8_t size = reader.u8();
    if (!reader.ok() || size < 2 || size - 2U > reader.remaining()) return 0;
    if (kind == 2) return size == 4 ? reader.u16() : 0;
    reader.take(size - 2U);
  }
  return 0;
}

void clamp_anything(Bytes packet) {
  const Bytes before = packet;
  offload::clamp_mss(packet, true, kMtu);
  std::size_t changed = 0;
  for (std::size_t i = 0; i < packet.size(); ++i)
    changed += packet[i] == before[i] ? 0 : 1;
  require(changed <= 2);
}

void clamp_a_syn(std::uint8_t kind, Bytes options) {
  options.resize(options.size() / 4 * 4);
  if (options.size() > 40) return;
  const test::FlowPacket syn{.v6 = (kind & 1) != 0, .flags = 2, .tcp_options = options};
  Bytes packet = syn.bytes(false);
  offload::clamp_mss(packet, false, kMtu);
  const std::size_t at = syn.ip_size() + 16;
  Bytes again = test::with_whole_checksum(packet);
  // Both ways to write zero are the same sum.
  if (packet[at] == 0 && packet[at + 1] == 0) packet[at] = packet[at + 1] = 0xff;
  require(packet == again);
  require(slow_mss(ByteView(packet).subspan(syn.ip_size() + 20)) <= kMtu - syn.ip_size() - 20);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest(data + 1, data + size);
  if (data[0] % 4 == 0)
    clamp_anything(rest);
  else
    clamp_a_syn(data[0] >> 7, rest);
  return 0;
}
