// SPDX-License-Identifier: Apache-2.0
// The small parts of the state machine: stamps, rates, queue, control frames, keys that wait.
#include <gtest/gtest.h>

#include "protocol/control_frame.h"
#include "protocol/key_supply.h"
#include "protocol/packet_queue.h"
#include "protocol/rate.h"
#include "protocol/stamps.h"
#include "protocol/status.h"

namespace quipu::protocol {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNow{1000s};

TEST(StampSource, UsesOnlyWhatIsDurable) {
  StampSource stamps(Stamp(100));
  EXPECT_EQ(stamps.take(), std::nullopt);
  EXPECT_EQ(stamps.wanted(), Stamp(100 + kStampRange));
  EXPECT_EQ(stamps.wanted(), std::nullopt) << "asked for already";
  stamps.reserved(Stamp(100 + kStampRange));
  EXPECT_EQ(stamps.take(), Stamp(100));
  EXPECT_EQ(stamps.take(), Stamp(101));
}

TEST(StampSource, AsksForMoreLongBeforeTheEnd) {
  StampSource stamps(Stamp(0));
  stamps.reserved(*stamps.wanted());
  std::uint64_t taken = 0;
  while (!stamps.wanted()) {
    ASSERT_TRUE(stamps.take());
    ++taken;
  }
  EXPECT_EQ(taken, kStampRange / 2);
  for (; taken < kStampRange; ++taken)
    ASSERT_TRUE(stamps.take());
  EXPECT_EQ(stamps.take(), std::nullopt);
}

TEST(StampSource, AJumpWaitsForTheDisk) {
  StampSource stamps(Stamp(0));
  stamps.reserved(*stamps.wanted());
  stamps.jump_above(Stamp(1'000'000));
  EXPECT_EQ(stamps.take(), std::nullopt);
  const auto end = stamps.wanted();
  ASSERT_TRUE(end);
  stamps.reserved(*end);
  EXPECT_EQ(stamps.take(), Stamp(1'000'001));
  stamps.jump_above(Stamp(5));
  EXPECT_EQ(stamps.take(), Stamp(1'000'002)) << "never back";
}

TEST(StampSource, IsMovedByPeersWithinALimitInAll) {
  StampSource stamps(Stamp(1000));
  const Stamp last(1000 + kMaxToldStampJump - 1);
  EXPECT_FALSE(stamps.may_jump_above(Stamp(1000 + kMaxToldStampJump)));
  ASSERT_TRUE(stamps.may_jump_above(last));
  stamps.jump_above(last);
  EXPECT_FALSE(stamps.may_jump_above(Stamp(last.value() + 1))) << "no second jump from there";
  // Every other peer has confirmed something near the start, and still accepts us.
  StampGuard other;
  other.confirm(Stamp(1000));
  EXPECT_EQ(other.compare(Stamp(last.value() + kStampRange)), StampGuard::Verdict::fresh);
  EXPECT_FALSE(stamps.permit_jump_above(Stamp(kNoRoomForStamps)));
  EXPECT_TRUE(stamps.permit_jump_above(Stamp(last.value() + 1)));
  EXPECT_TRUE(stamps.may_jump_above(Stamp(last.value() + 1)));
}

TEST(StampGuard, OrdersMessages) {
  StampGuard guard;
  EXPECT_EQ(guard.compare(Stamp(7)), StampGuard::Verdict::fresh);
  guard.store(Stamp(7));
  EXPECT_EQ(guard.compare(Stamp(7)), StampGuard::Verdict::same_as_highest);
  EXPECT_EQ(guard.compare(Stamp(6)), StampGuard::Verdict::stale);
  EXPECT_EQ(guard.compare(Stamp(8)), StampGuard::Verdict::fresh);
}

TEST(StampGuard, RefusesJumpsOnceASessionWasConfirmed) {
  StampGuard guard;
  EXPECT_EQ(guard.compare(Stamp(kMaxStampJump * 4)), StampGuard::Verdict::fresh);
  guard.store(Stamp(10));
  guard.confirm(Stamp(10));
  EXPECT_EQ(guard.compare(Stamp(10 + kMaxStampJump)), StampGuard::Verdict::fresh);
  EXPECT_EQ(guard.compare(Stamp(11 + kMaxStampJump)), StampGuard::Verdict::jump_too_far);
  guard.permit();
  EXPECT_EQ(guard.compare(Stamp(11 + kMaxStampJump)), StampGuard::Verdict::fresh);
  EXPECT_EQ(guard.compare(Stamp(~std::uint64_t{0})), StampGuard::Verdict::jump_too_far) << "no room is left behind it";
}

TEST(StampGuard, TheOperatorsWordIsGoodForOneJump) {
  StampGuard guard;
  guard.confirm(Stamp(10));
  guard.permit();
  guard.store(Stamp(10));
  const std::uint64_t far = 11 + kMaxStampJump;
  EXPECT_EQ(guard.compare(Stamp(far)), StampGuard::Verdict::fresh) << "not used up by what needs no permission";
  guard.store(Stamp(far));
  EXPECT_EQ(guard.compare(Stamp(far + 1)), StampGuard::Verdict::fresh) << "the next try of the same peer";
  EXPECT_EQ(guard.compare(Stamp(far + 1 + kMaxStampJump)), StampGuard::Verdict::jump_too_far);
}

TEST(TokenBucket, GivesABurstAndThenTheRate) {
  TokenBucket bucket(250ms, 3);
  EXPECT_TRUE(bucket.take(kNow));
  EXPECT_TRUE(bucket.take(kNow));
  EXPECT_TRUE(bucket.take(kNow));
  EXPECT_FALSE(bucket.take(kNow));
  EXPECT_FALSE(bucket.take(kNow + 249ms));
  EXPECT_TRUE(bucket.take(kNow + 250ms));
  EXPECT_FALSE(bucket.take(kNow + 251ms));
}

TEST(TokenBucket, CountsWhatHappensAllTheSame) {
  TokenBucket bucket(250ms, 2);
  for (int i = 0; i < 3; ++i)
    bucket.spend(kNow);
  EXPECT_EQ(bucket.free_at(), kNow + 500ms);
  EXPECT_FALSE(bucket.take(kNow + 499ms));
  EXPECT_TRUE(bucket.take(kNow + 500ms));
}

TEST(LoadMeter, StaysOnUntilAQuietSecond) {
  LoadMeter load(10);
  for (int i = 0; i < 10; ++i)
    load.count(kNow);
  EXPECT_FALSE(load.under_load(kNow));
  load.count(kNow);
  EXPECT_TRUE(load.under_load(kNow));
  EXPECT_TRUE(load.under_load(kNow + 1100ms)) << "the busy second has just ended";
  EXPECT_FALSE(load.under_load(kNow + 2200ms));
}

TEST(PacketQueue, KeepsTheNewest) {
  PacketQueue queue;
  for (std::size_t i = 0; i < kQueuedPackets; ++i)
    EXPECT_FALSE(queue.push({Bytes{static_cast<std::uint8_t>(i)}, i == 1}));
  EXPECT_TRUE(queue.push({Bytes{0xff}}));
  EXPECT_EQ(queue.size(), kQueuedPackets);
  const auto packets = queue.take_all();
  EXPECT_EQ(packets.front().octets, Bytes{1});
  EXPECT_TRUE(packets.front().checksum_partial);
  EXPECT_EQ(packets.back().octets, Bytes{0xff});
  EXPECT_FALSE(packets.back().checksum_partial);
  EXPECT_TRUE(queue.empty());
}

KeyReference reference(std::uint8_t slot, const char* id) {
  return {slot, KeyKind::etsi014, KeyId(id), {}, 0};
}

TEST(ControlFrame, SurvivesTheRoundTrip) {
  const NextKeys keys{{reference(0, "first"), reference(3, "second")}};
  const auto read = parse_control_frame(write_control_frame(keys));
  ASSERT_TRUE(read);
  EXPECT_EQ(std::get<NextKeys>(*read).keys, keys.keys);
  EXPECT_EQ(std::get<KeyRunway>(*parse_control_frame(write_control_frame(KeyRunway{77}))).seconds, 77U);
  EXPECT_TRUE(std::holds_alternative<RekeyWish>(*parse_control_frame(write_control_frame(RekeyWish{}))));
  EXPECT_TRUE(std::holds_alternative<KeysLack>(*parse_control_frame(write_control_frame(KeysLack{}))));
}

TEST(ControlFrame, RefusesEveryTruncationAndTrailingOctets) {
  for (const ControlFrame& frame : {ControlFrame(NextKeys{{reference(0, "first"), reference(1, "2")}}),
                                    ControlFrame(RekeyWish{}), ControlFrame(KeyRunway{5}), ControlFrame(KeysLack{})}) {
    Bytes octets = write_control_frame(frame);
    for (std::size_t size = 0; size < octets.size(); ++size)
      EXPECT_EQ(parse_control_frame(ByteView(octets).first(size)).error(), Errc::malformed);
    octets.push_back(0);
    EXPECT_EQ(parse_control_frame(octets).error(), Errc::malformed);
  }
  EXPECT_EQ(parse_control_frame(Bytes{200}).error(), Errc::unsupported);
}

TEST(ControlInbox, HoldsOneFrameOfEachKindAndTheLargestProbe) {
  ControlInbox inbox;
  EXPECT_TRUE(inbox.empty());
  inbox.put(MtuProbe{1, 1198}, SessionIndex(5));
  inbox.put(MtuProbe{2, 1400}, SessionIndex(5));
  inbox.put(MtuProbe{3, 1198}, SessionIndex(5));
  inbox.put(KeyRunway{7}, SessionIndex(5));
  inbox.put(KeyRunway{8}, SessionIndex(5));
  ASSERT_TRUE(inbox.mtu_probe && inbox.runway);
  EXPECT_EQ(inbox.mtu_probe->id, 2U);
  EXPECT_EQ(inbox.runway->seconds, 8U);
  EXPECT_FALSE(inbox.wish || inbox.lack || inbox.next_keys);
  EXPECT_FALSE(inbox.empty());
}

TEST(ControlFrame, AProbeIsAsLongAsThePacketItStandsFor) {
  for (const std::size_t size : {MtuProbe::kLeast, std::size_t{1198}, std::size_t{9216}}) {
    const Bytes octets = write_control_frame(MtuProbe{0x01020304, size});
    ASSERT_EQ(octets.size(), size);
    const auto read = parse_control_frame(octets);
    ASSERT_TRUE(read && std::holds_alternative<MtuProbe>(*read));
    EXPECT_EQ(std::get<MtuProbe>(*read).id, 0x01020304U);
    EXPECT_EQ(std::get<MtuProbe>(*read).size, size);
  }
  const Bytes least = write_control_frame(MtuProbe{7, MtuProbe::kLeast});
  EXPECT_EQ(parse_control_frame(ByteView(least).first(4)).error(), Errc::malformed);
}

TEST(ControlFrame, AnAnswerNamesItsProbe) {
  Bytes octets = write_control_frame(MtuAnswer{0xfffefdfc});
  EXPECT_EQ(std::get<MtuAnswer>(*parse_control_frame(octets)).id, 0xfffefdfcU);
  EXPECT_EQ(parse_control_frame(ByteView(octets).first(4)).error(), Errc::malformed);
  octets.push_back(0);
  EXPECT_EQ(parse_control_frame(octets).error(), Errc::malformed);
}

TEST(ControlFrame, RefusesSlotsOutOfOrder) {
  EXPECT_FALSE(parse_control_frame(write_control_frame(NextKeys{{reference(1, "a"), reference(1, "b")}})));
  EXPECT_FALSE(parse_control_frame(write_control_frame(NextKeys{{reference(2, "a"), reference(1, "b")}})));
}

HeldKey held(std::uint8_t slot, const char* id, TimePoint expires) {
  return {reference(slot, id), Secret<32>{}, expires};
}

TEST(KeySupply, AKeyLeavesOnce) {
  KeySupply supply;
  HeldKey mine = held(0, "mine", kNow + 10s);
  EXPECT_TRUE(supply.put_own(mine));
  HeldKey second = held(0, "second", kNow + 10s);
  EXPECT_FALSE(supply.put_own(second)) << "one per slot";
  EXPECT_EQ(supply.take_own(0)->reference.key_id, KeyId("mine"));
  EXPECT_FALSE(supply.take_own(0));
  EXPECT_FALSE(supply.put_named(held(0, "theirs", kNow + 10s)));
  EXPECT_TRUE(supply.take_named(reference(0, "theirs")));
  EXPECT_FALSE(supply.take_named(reference(0, "theirs")));
}

TEST(KeySupply, HoldsFewAndNotForLong) {
  KeySupply supply;
  EXPECT_FALSE(supply.put_named(held(0, "a", kNow + 1s)));
  EXPECT_FALSE(supply.put_named(held(0, "b", kNow + 2s)));
  EXPECT_FALSE(supply.put_named(held(0, "c", kNow + 3s)));
  EXPECT_EQ(supply.put_named(held(0, "d", kNow + 4s))->reference.key_id, KeyId("a"));
  EXPECT_EQ(supply.next_deadline(), kNow + 2s);
  EXPECT_EQ(supply.take_expired(kNow + 3s).size(), 2U);
  EXPECT_TRUE(supply.take_named(reference(0, "d")));
}

TEST(UsedKeys, RemembersTheLastThousand) {
  UsedKeys used;
  used.add(reference(0, "old"));
  EXPECT_TRUE(used.contains(reference(0, "old")));
  EXPECT_FALSE(used.contains(reference(1, "old")));
  for (int i = 0; i < 1023; ++i)
    used.add(reference(0, std::to_string(i).c_str()));
  EXPECT_TRUE(used.contains(reference(0, "old")));
  used.add(reference(0, "one more"));
  EXPECT_FALSE(used.contains(reference(0, "old")));
}

TEST(Latencies, AreRankedOverTheLast) {
  Latencies latencies;
  EXPECT_EQ(latencies.percentile(99), Duration{});
  for (int i = 1; i <= 100; ++i)
    latencies.add(Duration(1ms) * i);
  EXPECT_EQ(latencies.percentile(50), 50ms);
  EXPECT_EQ(latencies.percentile(99), 99ms);
  EXPECT_EQ(latencies.percentile(100), 100ms);
  EXPECT_EQ(latencies.last(), 100ms);
  for (int i = 0; i < 256; ++i)
    latencies.add(1ms);
  EXPECT_EQ(latencies.percentile(100), 1ms);
  EXPECT_EQ(latencies.count(), 356U);
}

}  // namespace
}  // namespace quipu::protocol
