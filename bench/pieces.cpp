// SPDX-License-Identifier: Apache-2.0
// What single parts of the data plane and of the handshake cost, without sockets and devices.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <limits>

#include "offload/coalescer.h"
#include "offload/cutter.h"
#include "protocol/allowed_ips.h"
#include "protocol/keypair.h"
#include "protocol/replay_filter.h"
#include "support/handshakes.h"
#include "support/slow_segments.h"

namespace quipu {
namespace {

constexpr protocol::Lane kLane{0};
// So many at a time, where each needs something that is made beforehand.
constexpr std::size_t kBatch = 1024;
constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
// However long it is measured.
constexpr protocol::KeyLimits kUnlimited{kNone, kNone, kNone, kNone, kNone};

struct Pair {
  protocol::Keypair sender;
  protocol::Keypair receiver;
};

Pair make_pair() {
  test::Finished finished = test::run(test::Scenario{}).value();
  return {protocol::Keypair(std::move(finished.initiator), kUnlimited),
          protocol::Keypair(std::move(finished.responder), kUnlimited)};
}

void count_octets(benchmark::State& state, std::size_t each) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(each));
}

void seal(benchmark::State& state) {
  Pair pair = make_pair();
  const auto size = static_cast<std::size_t>(state.range(0));
  const Bytes payload(size, 1);
  Bytes datagram(size + protocol::kDataOverhead);
  while (state.KeepRunning())
    benchmark::DoNotOptimize(pair.sender.seal(kLane, {protocol::FrameKind::ip}, payload, datagram).value());
  count_octets(state, size);
}

void open(benchmark::State& state) {
  Pair pair = make_pair();
  const auto size = static_cast<std::size_t>(state.range(0));
  const Bytes payload(size, 1);
  std::vector<Bytes> datagrams(kBatch, Bytes(size + protocol::kDataOverhead));
  while (state.KeepRunningBatch(kBatch)) {
    state.PauseTiming();
    for (Bytes& datagram : datagrams)
      (void)pair.sender.seal(kLane, {protocol::FrameKind::ip}, payload, datagram).value();
    state.ResumeTiming();
    for (Bytes& datagram : datagrams)
      benchmark::DoNotOptimize(test::open(pair.receiver, datagram).value());
  }
  count_octets(state, size);
}

constexpr std::uint16_t kSegment = 1400;

// The longest run of whole segments in a packet of 64 KiB.
test::FlowPacket longest_run() {
  return {.tcp_options = Bytes(12, 1), .payload = Bytes(std::size_t{46} * kSegment, 7)};
}

void cut(benchmark::State& state) {
  const test::FlowPacket run = longest_run();
  const Bytes packet = run.bytes(true);
  Bytes segment(run.header_size() + kSegment);
  while (state.KeepRunning()) {
    const offload::Cutter cutter = offload::Cutter::create(packet, run.hints(kSegment)).value();
    for (std::size_t i = 0; i < cutter.segments(); ++i)
      cutter.write(i, MutableBytes(segment).first(cutter.size(i)));
    benchmark::ClobberMemory();
  }
  count_octets(state, packet.size());
}

std::vector<Bytes> segments_of(const test::FlowPacket& run) {
  const Bytes packet = run.bytes(true);
  const offload::Cutter cutter = offload::Cutter::create(packet, run.hints(kSegment)).value();
  std::vector<Bytes> out(cutter.segments());
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].resize(cutter.size(i));
    cutter.write(i, out[i]);
  }
  return out;
}

// Gathering changes the headers of the first segment alone, so they are put back each time.
void coalesce(benchmark::State& state) {
  std::vector<Bytes> segments = segments_of(longest_run());
  const Bytes headers(segments[0].begin(), segments[0].begin() + 52);
  offload::Coalescer coalescer({.checksum = true, .tcp4 = true, .tcp6 = true, .udp = true});
  while (state.KeepRunning()) {
    std::ranges::copy(headers, segments[0].begin());
    for (Bytes& segment : segments)
      benchmark::DoNotOptimize(coalescer.add(segment, true));
    if (coalescer.gather().size() != 1) state.SkipWithError("the segments did not become one run again");
    coalescer.clear();
  }
  count_octets(state, longest_run().payload.size());
}

void replay_filter(benchmark::State& state) {
  protocol::ReplayFilter filter;
  std::uint64_t next = 0;
  while (state.KeepRunning()) {
    const protocol::Counter counter(next++);
    benchmark::DoNotOptimize(filter.check(counter));
    filter.commit(counter);
  }
}

IpAddress address(std::size_t network, std::uint8_t host) {
  const std::array<std::uint8_t, 4> octets{10, static_cast<std::uint8_t>(network >> 8U),
                                           static_cast<std::uint8_t>(network), host};
  return IpAddress::from_octets(octets);
}

void allowed_ips(benchmark::State& state) {
  constexpr std::size_t kPrefixes = 1000;
  protocol::AllowedIps table;
  for (std::size_t i = 0; i < kPrefixes; ++i)
    (void)table.insert({address(i, 0), 24}, protocol::PeerId(static_cast<std::uint32_t>(i))).value();
  // In no order that a processor foresees: 617 and the number of prefixes have no common divisor.
  std::size_t at = 0;
  while (state.KeepRunning()) {
    at = (at + 617) % kPrefixes;
    benchmark::DoNotOptimize(table.find(address(at, 9)));
  }
}

// Both ends: X25519, ML-KEM-768, the pre-shared key and one QKD key.
void handshake(benchmark::State& state) {
  test::Scenario scenario;
  scenario.with_key("a key", 0);
  crypto::SystemRng rng;
  while (state.KeepRunning())
    benchmark::DoNotOptimize(test::run(scenario, rng, rng).value());
}

BENCHMARK(seal)->Arg(1400)->Arg(64);
BENCHMARK(open)->Arg(1400)->Arg(64);
BENCHMARK(cut);
BENCHMARK(coalesce);
BENCHMARK(replay_filter);
BENCHMARK(allowed_ips)->Name("allowed_ips/1000");
BENCHMARK(handshake);

}  // namespace
}  // namespace quipu

BENCHMARK_MAIN();
