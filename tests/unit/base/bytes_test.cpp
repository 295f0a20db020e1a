// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(ByteReader, ReadsBigEndianFields) {
  const Bytes in{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  ByteReader reader(in);
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u16(), 0x0203);
  EXPECT_EQ(reader.u32(), 0x04050607U);
  EXPECT_EQ(reader.u64(), 0x08090a0b0c0d0e0fULL);
  EXPECT_TRUE(reader.finished());
}

TEST(ByteReader, ReadPastTheEndStaysFailed) {
  const Bytes in{1, 2};
  ByteReader reader(in);
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_FALSE(reader.finished());
}

TEST(ByteReader, TrailingOctetsAreNotFinished) {
  const Bytes in{1, 2};
  ByteReader reader(in);
  reader.u8();
  EXPECT_TRUE(reader.ok());
  EXPECT_FALSE(reader.finished());
}

TEST(ByteWriter, WhatIsWrittenReadsBack) {
  std::array<std::uint8_t, 64> room{};
  ByteWriter writer(room);
  writer.u8(7).u16(0xabcd).u32(0xdeadbeef).u64(42).prefixed8(as_bytes("abc")).prefixed16(as_bytes("")).zeros(2);
  ASSERT_TRUE(writer.ok());
  ByteReader reader(writer.written());
  EXPECT_EQ(reader.u8(), 7);
  EXPECT_EQ(reader.u16(), 0xabcd);
  EXPECT_EQ(reader.u32(), 0xdeadbeefU);
  EXPECT_EQ(reader.u64(), 42U);
  EXPECT_EQ(as_text(reader.prefixed8()), "abc");
  EXPECT_TRUE(reader.prefixed16().empty());
  EXPECT_EQ(reader.u16(), 0);
  EXPECT_TRUE(reader.finished());
}

TEST(ByteWriter, WritePastTheEndWritesNothing) {
  std::array<std::uint8_t, 3> room{9, 9, 9};
  ByteWriter writer(room);
  writer.u16(0x0102).u32(0);
  EXPECT_FALSE(writer.ok());
  EXPECT_EQ(room[2], 9);
}

TEST(ByteWriter, TooLongForItsPrefixFails) {
  std::array<std::uint8_t, 400> room{};
  ByteWriter writer(room);
  writer.prefixed8(Bytes(256));
  EXPECT_FALSE(writer.ok());
}

}  // namespace
}  // namespace quipu
