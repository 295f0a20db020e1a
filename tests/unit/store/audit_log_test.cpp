// SPDX-License-Identifier: Apache-2.0
#include "store/audit_log.h"

#include <gtest/gtest.h>

#include <utility>

#include "crypto/hash.h"
#include "store/database.h"
#include "store/schema.h"
#include "support/scratch.h"

namespace quipu::store {
namespace {

class AuditLogTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(database.open(scratch.path("kms.db")).has_value());
    ASSERT_TRUE(migrate(database).has_value());
  }

  void append(std::string_view text, int day) {
    const auto head = log.append(text, at(day));
    ASSERT_TRUE(head.has_value()) << head.error().text;
  }

  static constexpr WallTime at(int day) { return WallTime(std::chrono::days(day)); }

  // How many pages went in each part.
  std::vector<std::size_t> drop(int before, int now) {
    AuditDrop pass{.now = at(now), .before = at(before)};
    std::vector<std::size_t> out;
    for (std::size_t left = numbers_after(0, SIZE_MAX).size();;) {
      const auto done = log.drop(pass);
      EXPECT_TRUE(done.has_value());
      const std::size_t now_left = numbers_after(0, SIZE_MAX).size();
      out.push_back(std::exchange(left, now_left) - now_left);
      if (done.value_or(true)) return out;
    }
  }

  std::vector<std::uint64_t> numbers_after(std::uint64_t after, std::size_t octets) {
    const auto pages = log.read(after, octets);
    EXPECT_TRUE(pages.has_value());
    std::vector<std::uint64_t> out;
    for (const AuditPage& page : *pages)
      out.push_back(page.number);
    return out;
  }

  using Numbers = std::vector<std::uint64_t>;

  test::Scratch scratch;
  Database database;
  AuditLog log{database};
};

TEST_F(AuditLogTest, ChainsItsPages) {
  EXPECT_EQ(log.head()->number, 0U);
  append("one\n", 1);
  append("two\n", 1);
  const auto pages = log.read(0, 1000);
  ASSERT_TRUE(pages.has_value());
  ASSERT_EQ(pages->size(), 2U);
  EXPECT_EQ((*pages)[0].previous, AuditHash{});
  EXPECT_EQ((*pages)[0].hash, crypto::blake2b_256({Bytes(32), as_bytes("one\n")}));
  EXPECT_EQ((*pages)[1].previous, (*pages)[0].hash);
  EXPECT_EQ((*pages)[1].hash, crypto::blake2b_256({(*pages)[0].hash, as_bytes("two\n")}));
  EXPECT_EQ((*pages)[1].text, "two\n");
  EXPECT_EQ(log.head()->number, 2U);
  EXPECT_EQ(log.head()->hash, (*pages)[1].hash);
}

TEST_F(AuditLogTest, ReadsInParts) {
  for (int i = 0; i < 5; ++i)
    append("0123456789", 1);
  EXPECT_EQ(numbers_after(0, 20), (Numbers{1, 2}));
  EXPECT_EQ(numbers_after(2, 1), (Numbers{3}));
  EXPECT_EQ(numbers_after(3, 1000), (Numbers{4, 5}));
  EXPECT_EQ(numbers_after(5, 1000), Numbers{});
  EXPECT_EQ(numbers_after(~std::uint64_t{0}, 1000), Numbers{});
}

TEST_F(AuditLogTest, DropsWhatIsOldADayAtATimeButNotTheNewest) {
  for (const int day : {1, 2, 3, 4})
    append("page", day);
  drop(2, 5);
  EXPECT_EQ(numbers_after(0, 1000), (Numbers{2, 3, 4}));
  drop(2, 5);
  EXPECT_EQ(numbers_after(0, 1000), (Numbers{2, 3, 4}));
  for (const Numbers& left : {Numbers{3, 4}, Numbers{4}, Numbers{4}}) {
    drop(99, 100);
    EXPECT_EQ(numbers_after(0, 1000), left);
  }
  append("page", 5);
  EXPECT_EQ(log.head()->number, 5U);
  EXPECT_EQ(log.read(4, 1)->at(0).previous, log.read(3, 1)->at(0).hash);
}

TEST_F(AuditLogTest, DropsInParts) {
  for (int page = 0; page < 40; ++page)
    append("page", 1);
  append("page", 9);
  EXPECT_EQ(drop(2, 9), (std::vector<std::size_t>{16, 16, 8}));
  EXPECT_EQ(numbers_after(0, 1000), Numbers{41});
}

TEST_F(AuditLogTest, APageOfTheFutureIsAsOldAsTheNextThatIsNot) {
  for (const int day : {1, 900, 900, 1, 900, 5})
    append("page", day);
  drop(3, 6);
  EXPECT_EQ(numbers_after(0, 1000), (Numbers{5, 6}));
  drop(3, 6);
  EXPECT_EQ(numbers_after(0, 1000), (Numbers{5, 6}));
  append("page", 10);
  drop(7, 10);
  EXPECT_EQ(numbers_after(0, 1000), Numbers{7});
}

TEST_F(AuditLogTest, OfPagesOfTheFutureAloneNoneGoes) {
  for (int page = 0; page < 40; ++page)
    append("page", 900);
  drop(3, 6);
  EXPECT_EQ(numbers_after(0, 1000).size(), 40U);
  append("page", 1);
  append("page", 6);
  drop(3, 6);
  EXPECT_EQ(numbers_after(0, 1000), Numbers{42});
}

}  // namespace
}  // namespace quipu::store
