// SPDX-License-Identifier: Apache-2.0
#include "store/stamp_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/durable_file.h"
#include "support/scratch.h"

namespace quipu::store {
namespace {

using test::Scratch;
using testing::HasSubstr;

TEST(StampFile, RemembersTheHighestEnd) {
  const Scratch scratch;
  {
    auto file = StampFile::open(scratch.root());
    ASSERT_TRUE(file.has_value()) << file.error().text;
    EXPECT_EQ(file->end(), 0U);
    ASSERT_TRUE(file->reserve(65'536).has_value());
    ASSERT_TRUE(file->reserve(10).has_value());
    EXPECT_EQ(file->end(), 65'536U);
  }
  auto again = StampFile::open(scratch.root());
  ASSERT_TRUE(again.has_value()) << again.error().text;
  EXPECT_EQ(again->end(), 65'536U);
  ASSERT_TRUE(again->reserve(~std::uint64_t{0}).has_value());
  again = Result<StampFile>(fail(Errc::closed));
  EXPECT_EQ(StampFile::open(scratch.root())->end(), ~std::uint64_t{0});
}

TEST(StampFile, BelongsToOneProcess) {
  const Scratch scratch;
  const auto file = StampFile::open(scratch.root());
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(StampFile::open(scratch.root()).error().code, Errc::busy);
}

TEST(StampFile, EveryDamageIsAnErrorWithAdvice) {
  const Scratch scratch;
  const std::string whole = encode_stamps(65'536);
  std::vector<std::string> damaged = {"", "\n", whole + "\n", whole + whole, std::string(1000, 'x')};
  for (std::size_t i = 0; i < whole.size(); ++i) {
    damaged.push_back(whole.substr(0, i));
    damaged.push_back(whole);
    damaged.back()[i] ^= 1;
  }
  for (const std::string& text : damaged) {
    scratch.write("stamps", text, 0600);
    const auto file = StampFile::open(scratch.root());
    ASSERT_FALSE(file.has_value()) << text;
    EXPECT_EQ(file.error().code, Errc::storage);
    EXPECT_THAT(file.error().text, HasSubstr("damaged; remove it"));
    EXPECT_THAT(file.error().text, testing::Not(HasSubstr("backup"))) << "docs/operations.md: never";
  }
}

TEST(StampFile, AHalfWrittenSuccessorIsNoMatter) {
  const Scratch scratch;
  ASSERT_TRUE(StampFile::open(scratch.root())->reserve(65'536).has_value());
  scratch.write("stamps.new", "quipu sta", 0600);
  auto file = StampFile::open(scratch.root());
  ASSERT_TRUE(file.has_value()) << file.error().text;
  EXPECT_EQ(file->end(), 65'536U);
  EXPECT_TRUE(file->reserve(131'072).has_value());
}

TEST(StampFile, AFailedReservationReservesNothing) {
  const Scratch scratch;
  auto file = StampFile::open(scratch.root());
  ASSERT_TRUE(file.has_value());
  ASSERT_TRUE(std::filesystem::create_directory(scratch.path("stamps.new")));
  EXPECT_EQ(file->reserve(65'536).error().code, Errc::io);
  EXPECT_EQ(file->end(), 0U);
  EXPECT_EQ(StampFile::open(scratch.path("absent")).error().code, Errc::io);
}

}  // namespace
}  // namespace quipu::store
