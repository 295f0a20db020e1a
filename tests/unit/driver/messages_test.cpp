// SPDX-License-Identifier: Apache-2.0
#include "driver/messages.h"

#include <gtest/gtest.h>

#include <limits>

namespace quipu::driver {
namespace {

TEST(FrameDecoder, CutsAStreamIntoFramesWhateverThePieces) {
  const Bytes body = {1, 2, 3, 4, 5};
  Bytes stream;
  for (const std::size_t size : {std::size_t{5}, std::size_t{0}, std::size_t{3}}) {
    const auto header = frame_header(FrameType::log, size);
    stream.insert(stream.end(), header.begin(), header.end());
    stream.insert(stream.end(), body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
  }
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    FrameDecoder decoder(Direction::from_driver);
    std::vector<std::size_t> sizes;
    for (ByteView rest = stream; !rest.empty();) {
      const MutableBytes space = decoder.space();
      ASSERT_FALSE(space.empty());
      const std::size_t n = std::min({space.size(), rest.size(), piece});
      std::copy_n(rest.begin(), n, space.begin());
      rest = rest.subspan(n);
      const auto frame = decoder.advance(n);
      ASSERT_TRUE(frame);
      if (*frame) sizes.push_back((*frame)->body.size());
    }
    EXPECT_EQ(sizes, (std::vector<std::size_t>{5, 0, 3})) << piece;
  }
}

TEST(FrameDecoder, RefusesBadHeaders) {
  const auto feed = [](std::array<std::uint8_t, kFrameHeaderSize> header) {
    FrameDecoder decoder(Direction::from_driver);
    std::copy(header.begin(), header.end(), decoder.space().begin());
    return decoder.advance(header.size());
  };
  EXPECT_TRUE(feed(frame_header(FrameType::block, kMaxFrameBody)));
  EXPECT_EQ(feed(frame_header(FrameType::open, 0)).error().code, Errc::malformed);  // the other direction
  EXPECT_EQ(feed({0, 0, 0, 0, 0, 0, 0, 0}).error().code, Errc::malformed);
  EXPECT_EQ(feed({255, 0, 0, 0, 0, 0, 0, 0}).error().code, Errc::malformed);
  EXPECT_EQ(feed({65, 0, 1, 0, 0, 0, 0, 0}).error().code, Errc::malformed);
  EXPECT_EQ(feed({67, 0, 0, 0, 0, 1, 1, 1}).error().code, Errc::too_large);
}

TEST(Messages, ComeBackAsTheyWere) {
  const OpenMessage open{true, 16, {{"role", "alice"}, {"fibre", "127.0.0.1:8030"}, {"empty", ""}}};
  EXPECT_EQ(parse_open(encode(open)), open);
  const OutcomeMessage outcome{true, "no"};
  EXPECT_EQ(parse_outcome(encode(outcome)), outcome);
  DriverIdentity identity;
  identity.name = "sim";
  identity.version = "1.2";
  identity.key_source = identity.push = identity.simulated = identity.inject = true;
  identity.technology = 2;
  EXPECT_EQ(parse_identity(encode(identity)), identity);
  DriverTelemetry telemetry;
  telemetry.state = DeviceState::link_down;
  telemetry.qber = 0.019;
  telemetry.loss_db = -0.5;
  telemetry.stored_bits = std::numeric_limits<std::uint64_t>::max();
  telemetry.detail = "fibre cut";
  EXPECT_EQ(parse_telemetry(encode(telemetry)), telemetry);
  EXPECT_EQ(parse_credit(encode_credit(3)), 3U);
}

TEST(Messages, NothingBeyondTheHeaderFileIsPermitted) {
  DriverTelemetry telemetry;
  telemetry.qber = 1.01;
  EXPECT_FALSE(parse_telemetry(encode(telemetry)));
  telemetry.qber = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(parse_telemetry(encode(telemetry)));
  telemetry.qber.reset();
  telemetry.skr_bit_s = -1;
  EXPECT_FALSE(parse_telemetry(encode(telemetry)));

  DriverIdentity identity;
  identity.name = "sim";
  EXPECT_FALSE(parse_identity(encode(identity)));  // no role
  identity.key_source = true;
  EXPECT_TRUE(parse_identity(encode(identity)));
  identity.inject = true;
  EXPECT_FALSE(parse_identity(encode(identity)));  // faults in a real device
  identity.inject = false;
  for (const char* name : {"", "Sim", "a/b", "a-name-that-is-longer-than-32-chars"}) {
    identity.name = name;
    EXPECT_FALSE(parse_identity(encode(identity))) << name;
  }
  EXPECT_FALSE(parse_credit(encode_credit(0)));
  EXPECT_FALSE(parse_open(encode(OpenMessage{true, 1, {{"", "no key"}}})));
}

TEST(Messages, TruncatedAndExtendedBodiesAreRefused) {
  DriverBlock block;
  block.id = BlockId(Uuid::from_random({9}));
  block.sequence = 5;
  block.failure_probability = 1e-10;
  const Bytes head = encode_block_head(block);
  EXPECT_FALSE(parse_block(head));  // no key
  Bytes whole = head;
  whole.push_back(0x77);
  const auto parsed = parse_block(whole);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->failure_probability, 1e-10);
  EXPECT_EQ(parsed->key.size(), 1U);
  whole.resize(head.size() + 65536 + 1);
  EXPECT_FALSE(parse_block(whole));

  const Bytes open = encode(OpenMessage{true, 1, {{"a", "b"}}});
  for (std::size_t size = 0; size < open.size(); ++size)
    EXPECT_FALSE(parse_open(ByteView(open).first(size))) << size;
  Bytes longer = open;
  longer.push_back(0);
  EXPECT_FALSE(parse_open(longer));
}

}  // namespace
}  // namespace quipu::driver
