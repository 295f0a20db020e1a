// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace quipu::cli {
namespace {

using testing::HasSubstr;

// Pages 1 to `count` as the KMS makes them.
std::vector<control::AuditPage> chain_of(std::uint64_t count, std::uint8_t salt = 0) {
  std::vector<control::AuditPage> out;
  Bytes previous(32);
  for (std::uint64_t number = 1; number <= count; ++number) {
    control::AuditPage page{number, to_hex(previous), "page " + std::to_string(number + salt) + "\n", {}};
    const auto hash = crypto::blake2b_256({previous, as_bytes(page.text)});
    page.hash = to_hex(hash);
    previous.assign(hash.begin(), hash.end());
    out.push_back(std::move(page));
  }
  return out;
}

Result<void> check(const std::vector<control::AuditPage>& pages, std::optional<AuditMark> noted = {}) {
  AuditChain chain(std::move(noted));
  for (const control::AuditPage& page : pages)
    QUIPU_TRY(chain.add(page));
  return chain.end();
}

void expect_conflict(const Result<void>& result, const std::string& text) {
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, Errc::conflict);
  EXPECT_THAT(result.error().text, HasSubstr(text));
}

TEST(AuditChain, HoldsWhatWasNotChanged) {
  EXPECT_TRUE(check({}).has_value());
  auto pages = chain_of(4);
  EXPECT_TRUE(check(pages).has_value());
  pages.erase(pages.begin(), pages.begin() + 2);  // dropped by their age
  EXPECT_TRUE(check(pages).has_value());
}

TEST(AuditChain, FindsWhatWasChanged) {
  auto pages = chain_of(4);
  pages[1].text += "more\n";
  expect_conflict(check(pages), "page 2 of the audit log was changed");
  pages = chain_of(4);
  pages.erase(pages.begin() + 1);
  expect_conflict(check(pages), "page 3 of the audit log does not follow page 1");
  pages = chain_of(4);
  pages[1] = chain_of(2, 7)[1];
  expect_conflict(check(pages), "page 2 of the audit log does not follow page 1");
  pages = chain_of(4);
  pages[2].previous = "no hexadecimal";
  expect_conflict(check(pages), "page 3 of the audit log is damaged");
  pages = chain_of(2);
  pages[1].number = 1;  // the first was taken out, and the numbers begin anew
  expect_conflict(check({pages[1]}), "page 1 of the audit log follows another one");
}

TEST(AuditChain, WhatWasNotedHasToBeThere) {
  const auto pages = chain_of(4);
  const AuditMark noted{4, pages[3].hash};
  EXPECT_TRUE(check(pages, noted).has_value());
  EXPECT_TRUE(check(chain_of(6), noted).has_value());
  expect_conflict(check(chain_of(3), noted), "page 4 was noted and is not there");
  expect_conflict(check({}, noted), "page 4 was noted and is not there");
  expect_conflict(check(chain_of(4, 1), noted), "page 4 of the audit log is not the one that was noted");
  const auto dropped = check({pages[3]}, AuditMark{2, pages[1].hash});
  ASSERT_FALSE(dropped.has_value());
  EXPECT_EQ(dropped.error().code, Errc::out_of_range);
}

TEST(AuditMark, IsAPageAndItsHash) {
  const std::string hash(64, 'A');
  const auto mark = AuditMark::parse("17:" + hash);
  ASSERT_TRUE(mark.has_value());
  EXPECT_EQ(mark->number, 17U);
  EXPECT_EQ(mark->hash, std::string(64, 'a'));
  for (const std::string& text :
       std::vector<std::string>{"", hash, ":" + hash, "0:" + hash, "-1:" + hash, "1:", "1:" + hash + "0", "1" + hash,
                                "1:" + std::string(63, 'a'), "99999999999999999999:" + hash})
    EXPECT_FALSE(AuditMark::parse(text).has_value()) << text;
}

}  // namespace
}  // namespace quipu::cli
