// SPDX-License-Identifier: Apache-2.0
#include "kmsd/audit_writer.h"

#include "unit/kmsd/store_fixture.h"

namespace quipu::kmsd {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'123)};

class AuditWriterTest : public StoreFixture {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(StoreFixture::SetUp());
    writer.emplace(store->audit(), sink);
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

// A page may be written in a transaction that fails.
TEST_F(AuditWriterTest, TellsTheNewestPageWhenItIsToldToAndOnce) {
  writer->tell_head();
  for (int page = 0; page < 2; ++page) {
    writer->add("event", "text", kNow);
    ASSERT_TRUE(writer->write(kNow).has_value());
  }
  EXPECT_EQ(sink.lines(), 0U);
  writer->tell_head();
  writer->tell_head();
  EXPECT_EQ(sink.values("audit_head", "page"), std::vector<std::string>{"2"});
}

}  // namespace
}  // namespace quipu::kmsd
