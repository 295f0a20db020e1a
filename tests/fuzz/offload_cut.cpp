// SPDX-License-Identifier: Apache-2.0
// Cutting packets whose hints may say anything, against a slow and obvious reference where they are right.
#include <cstdlib>

#include "offload/cutter.h"
#include "support/slow_segments.h"

namespace quipu {
namespace {

using Segmentation = offload::PacketHints::Segmentation;

void require(bool condition) {
  if (!condition) std::abort();
}

std::vector<Bytes> cut(const offload::Cutter& cutter, std::size_t most) {
  std::vector<Bytes> out;
  for (std::size_t i = 0; i < std::min(cutter.segments(), most); ++i) {
    Bytes& segment = out.emplace_back(cutter.size(i));
    cutter.write(i, segment);
  }
  return out;
}

void cut_anything(ByteReader& input) {
  const offload::PacketHints hints{.segmentation = static_cast<Segmentation>(input.u8() % 4),
                                   .checksum_wanted = input.u8() % 2 == 1,
                                   .checksum_start = input.u16(),
                                   .checksum_offset = input.u16(),
                                   .header_size = input.u16(),
                                   .segment_size = input.u16()};
  const Bytes packet(input.rest().begin(), input.rest().end());
  const auto cutter = offload::Cutter::create(packet, hints);
  if (!cutter) return;
  require(cutter->segments() >= 1);
  std::size_t size = 0;
  for (const Bytes& segment : cut(*cutter, cutter->segments()))
    size += segment.size();
  require(size >= packet.size());
}

void cut_a_run(ByteReader& input) {
  const std::uint8_t kind = input.u8();
  const std::size_t options = kind & 4U ? std::size_t{4} * (input.u8() % 11) : 0;
  const std::uint16_t each = static_cast<std::uint16_t>(input.u16() % 2000 + 1);
  test::FlowPacket run{.v6 = (kind & 1U) != 0,
                       .tcp = (kind & 2U) != 0,
                       .flow = input.u8(),
                       .identification = input.u16(),
                       .may_fragment = (kind & 8U) != 0,
                       .traffic_class = input.u8(),
                       .sequence = input.u32(),
                       .flags = input.u8()};
  if (run.tcp) run.tcp_options = Bytes(options, 1);
  run.payload = Bytes(input.rest().begin(), input.rest().end());
  if (run.payload.empty() || run.payload.size() > 65'000) return;
  const Bytes packet = run.bytes(true);
  const auto cutter = offload::Cutter::create(packet, run.hints(each));
  require(cutter.has_value() == (run.payload.size() <= each * offload::Cutter::kMostSegments));
  if (!cutter) return;
  require(cutter->checksum_partial());
  std::vector<Bytes> segments = cut(*cutter, cutter->segments());
  for (Bytes& segment : segments)
    segment = test::with_whole_checksum(std::move(segment));
  require(segments == test::slow_segments(run, each));
}

}  // namespace
}  // namespace quipu

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  quipu::ByteReader input({data, size});
  if (input.u8() % 2 == 0)
    quipu::cut_anything(input);
  else
    quipu::cut_a_run(input);
  return 0;
}
