// SPDX-License-Identifier: Apache-2.0
#include "kmsd/audit_writer.h"

#include <gtest/gtest.h>

#include "crypto/rng.h"
#include "store/sqlite_store.h"
#include "support/recorded_log.h"
#include "support/scratch.h"

namespace quipu::kmsd {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'123)};

class AuditWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::SqliteStore::open(scratch.path("kms.db"), Secret<32>(), rng);
    ASSERT_TRUE(opened.has_value()) << opened.error().text;
    store = *std::move(opened);
    writer.emplace(store->audit(), std::chrono::days(30), sink);
  }

  static kms::AuditDelivery delivery(std::uint8_t key, const char* master = "sae-a") {
    return {KmeId("kme-b"), SaeId(master), true, {SaeId("sae-b"), SaeId("sae-c")}, {Uuid{{key}}}};
  }

  std::vector<control::AuditEntry> written() {
    EXPECT_TRUE(writer->write(kNow).has_value());
    std::vector<control::AuditEntry> out;
    const auto pages = store->audit().read(0, SIZE_MAX);
    for (const store::AuditPage& page : *pages) {
      for (std::string_view rest = page.text; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
        const auto entry = control::audit_entry_from_json(rest.substr(0, rest.find('\n')));
        EXPECT_TRUE(entry.has_value());
        out.push_back(*entry);
      }
    }
    return out;
  }

  test::Scratch scratch;
  crypto::SystemRng rng;
  test::RecordedLog sink;
  std::unique_ptr<store::SqliteStore> store;
  std::optional<AuditWriter> writer;
};

TEST_F(AuditWriterTest, SaysWhoWasGivenWhichKey) {
  writer->add(delivery(1), kNow);
  writer->add(kms::AuditDelivery{KmeId("kme-b"), SaeId("sae-b"), false, {SaeId("sae-a")}, {Uuid{{1}}}}, kNow);
  const auto entries = written();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0], (control::AuditEntry{.time = "2023-11-14T22:13:20.123Z",
                                             .event = "enc_keys",
                                             .sae = "sae-a",
                                             .named = {"sae-b", "sae-c"},
                                             .kme = "kme-b",
                                             .key_ids = {Uuid{{1}}.text()}}));
  EXPECT_EQ(entries[1].event, "dec_keys");
  EXPECT_EQ(entries[1].sae, "sae-b");
  EXPECT_EQ(entries[1].named, std::vector<std::string>{"sae-a"});
}

TEST_F(AuditWriterTest, KeysOfOneSaeShareALine) {
  writer->add(delivery(1), kNow);
  writer->add(delivery(2), kNow + std::chrono::milliseconds(5));
  writer->add(delivery(3, "sae-x"), kNow);
  writer->add(delivery(4), kNow);
  const auto entries = written();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].key_ids, (std::vector{Uuid{{1}}.text(), Uuid{{2}}.text()}));
  EXPECT_EQ(entries[0].time, "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(entries[1].sae, "sae-x");
  EXPECT_EQ(entries[2].key_ids, std::vector{Uuid{{4}}.text()});
}

TEST_F(AuditWriterTest, NothingWaitsForEver) {
  EXPECT_FALSE(writer->is_full());
  std::size_t keys = 0;
  for (; !writer->is_full() && keys < 1'000'000; ++keys)
    writer->add(delivery(1), kNow);
  EXPECT_LT(keys, 10'000U);
  std::size_t lines = 0;
  ASSERT_TRUE(writer->write(kNow).has_value());
  for (; !writer->is_full() && lines < 1'000'000; ++lines)
    writer->add("event", "text", kNow);
  EXPECT_LT(lines, 10'000U);
}

TEST_F(AuditWriterTest, TellsTheNewestPageOnceAnHour) {
  for (const int minutes : {0, 1, 59, 60, 61}) {
    writer->add("event", "text", kNow);
    ASSERT_TRUE(writer->write(kNow + std::chrono::minutes(minutes)).has_value());
  }
  EXPECT_EQ(sink.values("audit_head", "page"), (std::vector<std::string>{"1", "4"}));
}

TEST_F(AuditWriterTest, AClockThatIsWrongCostsNeitherPagesNorHeads) {
  const auto write_at = [&](WallTime now) {
    writer->add("event", "text", now);
    ASSERT_TRUE(writer->write(now).has_value());
  };
  for (int day = 0; day < 5; ++day)
    write_at(kNow + std::chrono::days(day));
  const std::size_t heads = sink.values("audit_head", "page").size();
  for (int start = 0; start < 5; ++start) {  // of a machine whose clock is set only later
    writer.emplace(store->audit(), std::chrono::days(30), sink);
    write_at(kNow + std::chrono::years(2));
  }
  write_at(kNow + std::chrono::days(5));
  EXPECT_EQ(sink.values("audit_head", "page").size(), heads + 6);
  EXPECT_EQ(store->audit().read(0, SIZE_MAX)->front().number, 1U);
  EXPECT_EQ(store->audit().read(0, SIZE_MAX)->size(), 11U);
}

}  // namespace
}  // namespace quipu::kmsd
