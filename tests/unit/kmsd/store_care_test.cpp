// SPDX-License-Identifier: Apache-2.0
// What an operator does with the store while the daemon runs.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "support/file_size_limit.h"
#include "unit/kmsd/kmsd_fixture.h"
#include "unit/kmsd/store_fixture.h"

namespace quipu::kmsd {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};
constexpr TimePoint kStart{std::chrono::hours(1)};

// Octets. What was to go to the end of a file that was as long stays in the write-ahead log under a lesser limit.
constexpr std::size_t kMuch = std::size_t{8} << 20U;

// Without the rest of the daemon.
class StoreCareTest : public StoreFixture {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(StoreFixture::SetUp());
    audit.emplace(store->audit(), sink);
    care.emplace(loop, *store, *audit, std::chrono::days(30), sink, [](const Error& error) { FAIL() << error.text; });
  }

  void append(WallTime written) {
    audit->add("event", "text", written);
    ASSERT_TRUE(audit->write(written).has_value());
  }

  std::vector<std::uint64_t> pages() {
    std::vector<std::uint64_t> out;
    const auto all = store->audit().read(0, SIZE_MAX);
    for (const auto& page : all.value())
      out.push_back(page.number);
    return out;
  }

  // And what is wanted after that.
  void on_second(int minutes, int days) {
    care->on_second(kStart + std::chrono::minutes(minutes), kNow + std::chrono::days(days));
    loop.post([&] { loop.stop(); });
    loop.run();
  }

  net::Loop loop;
  std::optional<AuditWriter> audit;
  std::optional<StoreCare> care;
};

TEST_F(StoreCareTest, LooksAfterTheAuditLogOnceAnHour) {
  for (int day = 0; day < 4; ++day)
    append(kNow + std::chrono::days(day));
  on_second(0, 31);
  on_second(59, 31);
  EXPECT_EQ(pages().size(), 4U);
  EXPECT_EQ(sink.values("audit_head", "page"), std::vector<std::string>{"4"});
  append(kNow);
  on_second(60, 31);
  EXPECT_EQ(pages(), (std::vector<std::uint64_t>{2, 3, 4, 5}));
  EXPECT_EQ(sink.values("audit_head", "page"), (std::vector<std::string>{"4", "5"}));
  on_second(119, 33);
  EXPECT_EQ(pages().size(), 4U);
  on_second(120, 33);
  EXPECT_EQ(pages().front(), 3U);
  EXPECT_EQ(sink.count("audit_head"), 2U);
}

// The operator puts the old key away when he is told that it is done.
TEST_F(StoreCareTest, AStoreKeyIsChangedWhenTheOldOneOpensNothingOnTheDisk) {
  ASSERT_TRUE(store->audit().append(std::string(kMuch, 'x'), kNow));
  kms::Transaction transaction(KmeId("kme-a"));
  kms::BlockRecord record;
  record.length = kms::kMaxBlockSize;
  const Bytes material(kms::kMaxBlockSize, 7);
  transaction.add(kms::AddBlock{record, material});
  ASSERT_TRUE(store->commit(transaction));
  ASSERT_TRUE(care->scrub());
  Secret<32> key;
  key.mutable_view()[0] = 2;
  ASSERT_EQ(care->change_key(std::move(key), Secret<32>()), true);
  std::vector<Result<void>> heard;
  const auto hear = [&](const Result<void>& done) { heard.push_back(done); };
  {
    const test::FileSizeLimit limit(kMuch / 2);
    care->when_key_changed(hear);
    run_until(loop, [&] { return !heard.empty(); });
  }
  ASSERT_FALSE(heard[0].has_value());
  EXPECT_THAT(heard[0].error().text, testing::HasSubstr("what the old one opens is on the disk"));
  EXPECT_EQ(sink.count("scrub_failed"), 1U);
  EXPECT_EQ(sink.count("store_key_changed"), 0U);
  ASSERT_TRUE(care->changing_key());
  care->when_key_changed(hear);
  on_second(0, 0);
  ASSERT_EQ(heard.size(), 2U);
  EXPECT_TRUE(heard[1].has_value());
  EXPECT_EQ(sink.count("store_key_changed"), 1U);
  EXPECT_FALSE(care->changing_key());
}

TEST_F(KmsdTest, WhoVoidsAPoolIsToldOfWhatIsLeftOnTheDisk) {
  daemon.reset();
  std::filesystem::remove(scratch.path("kms.db"));
  ASSERT_TRUE(open_store()->audit().append(std::string(kMuch, 'x'), kNow));
  stock_store();
  start(configuration_values());
  const test::FileSizeLimit limit(kMuch / 2);
  EXPECT_THAT(ask_control(control::VoidPoolRequest{"kme-a"}), testing::HasSubstr("the pool is void, but"));
}

TEST_F(KmsdTest, APoolIsVoidedByHand) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  expect_key(*client);
  EXPECT_THAT(ask_control(control::VoidPoolRequest{"kme-c"}), testing::HasSubstr("no pool with a KME kme-c"));
  // All but the key that was handed out.
  EXPECT_THAT(ask_control(control::VoidPoolRequest{"kme-a"}), testing::HasSubstr("\"voided_bits\":32512"));
  EXPECT_EQ(sink.values("pool_voided", "peer"), std::vector<std::string>{"kme-a"});
  run_both_until([&] { return peer->closed(); });
  client->received.clear();
  client->say(kEncKeys);
  run_until(loop, [&] { return !client->received.empty(); });
  EXPECT_TRUE(client->received.starts_with("HTTP/1.1 503")) << client->received;
  daemon.reset();
  const auto store = open_store();
  EXPECT_EQ((*store->find_block(KmeId("kme-a"), BlockId(Uuid{{1}})))->state, kms::BlockState::voided);
  const auto pages = store->audit().read(0, SIZE_MAX);
  std::string written;
  for (const auto& page : pages.value())
    written += page.text;
  EXPECT_THAT(written, testing::HasSubstr("kme-a: 32512 bit"));
}

// The peer of this test says that it has what we have: it is this end that must not use a key again.
TEST_F(KmsdTest, ARestoredBackupServesNoKey) {
  const auto stocked = connect_leased_peer();
  EXPECT_THAT(ask_control(control::BackupRequest{}), testing::HasSubstr(scratch.path("kms.db.backup")));
  const auto client = connect_sae();
  expect_key(*client);
  daemon.reset();
  std::filesystem::rename(scratch.path("kms.db.backup"), scratch.path("kms.db"));
  write_store_key("store.key", 2);
  start(configuration_values());
  std::unique_ptr<Peer> peer = dial();
  exchange_ping(*peer);
  EXPECT_TRUE(peer->heard<wire::Lease>().empty());
  const auto again = connect_sae();
  again->say(kEncKeys);
  run_until(loop, [&] { return !again->received.empty(); });
  EXPECT_TRUE(again->received.starts_with("HTTP/1.1 503")) << again->received;
  daemon.reset();
  EXPECT_THAT(open_store(2)->audit().read(0, SIZE_MAX)->at(0).text, testing::HasSubstr("started"));
}

TEST_F(KmsdTest, AReloadChangesTheStoreKeyWhileKeysAreServed) {
  const std::string previous = fmt::format("previous_store_key_file = \"{}\"\n", scratch.path("previous.key"));
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  expect_key(*client);
  write_store_key("store.key", 2);
  EXPECT_THAT(refusal_of_reload("kme-b", {}, {}), testing::HasSubstr("sealed with another store key"));
  write_store_key("previous.key", 2);
  EXPECT_THAT(refusal_of_reload("kme-b", {}, previous), testing::HasSubstr("previous.key holds the same key as"));
  write_store_key("previous.key", 3);
  EXPECT_THAT(refusal_of_reload("kme-b", {}, previous), testing::HasSubstr("sealed with another store key"));
  expect_key(*client);
  write_store_key("previous.key", 1);
  reload("kme-b", {}, previous);
  EXPECT_THAT(sink.values("reloaded", "changed").back(), testing::HasSubstr("kme.store_key_file"));
  expect_key(*client);
  run_until(loop, [&] { return sink.count("store_key_changed") == 1; });
  reload("kme-b", {}, previous);
  EXPECT_THAT(sink.values("reloaded", "changed").back(), testing::Not(testing::HasSubstr("kme.store_key_file")));
  EXPECT_EQ(sink.count("store_key_changed"), 1U);
  daemon.reset();
  EXPECT_EQ(open_store(1), nullptr);
  EXPECT_THAT(open_store(2)->audit().read(0, SIZE_MAX)->at(1).text, testing::HasSubstr("store_key_changed"));
  config::KmsdConfig values = configuration_values();
  write_store_key("store.key", 3);
  write_store_key("previous.key", 2);
  values.kme.previous_store_key_file = {scratch.path("previous.key")};
  start(std::move(values));
  run_until(loop, [&] { return sink.count("store_key_changed") == 2; });
}

// It would be sealed with the key of another one.
TEST_F(KmsdTest, AReloadThatNamesAnotherStoreLeavesTheKeyOfThisOne) {
  write_store_key("store.key", 2);
  write_store_key("previous.key", 1);
  store_name = "other.db";
  reload("kme-b", {}, fmt::format("previous_store_key_file = \"{}\"\n", scratch.path("previous.key")));
  EXPECT_THAT(sink.values("reloaded", "needs_restart").back(), testing::HasSubstr("kme.store"));
  EXPECT_EQ(sink.values("reloaded", "changed").back(), "");
  daemon.reset();
  EXPECT_NE(open_store(1), nullptr);
}

// The operator may put the old key away when the answer is there.
TEST_F(KmsdTest, AReloadThatChangesTheStoreKeyIsAnsweredWhenItIsChanged) {
  stock_many_chunks();
  EXPECT_THAT(ask_control(control::ReloadRequest{}), testing::HasSubstr("kme.store_key_file"));
  EXPECT_EQ(sink.count("store_key_changed"), 1U);
}

// Some parts, of which one is made in each turn of the loop.
TEST_F(KmsdTest, KeysAreServedWhileABackupIsMade) {
  daemon.reset();
  for (int page = 0; page < 40; ++page)
    ASSERT_TRUE(open_store()->audit().append(std::string(std::size_t{1} << 20U, 'x'), service::wall_now()));
  start(configuration_values());
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  UniqueFd backup = send_control(control::BackupRequest{});
  run_until(loop, [&] { return std::filesystem::exists(scratch.path("kms.db.backup.new")); });
  expect_key(*client);
  EXPECT_FALSE(std::filesystem::exists(scratch.path("kms.db.backup")));
  EXPECT_THAT(ask_control(control::BackupRequest{}), testing::HasSubstr("being made already"));
  EXPECT_THAT(receive_control(std::move(backup)), testing::HasSubstr(scratch.path("kms.db.backup")));
  EXPECT_GT(std::filesystem::file_size(scratch.path("kms.db.backup")), std::size_t{40} << 20U);
}

// All that the daemon writes is on a small disk, in a mount namespace of this process.
class SmallDisk : public KmsdTest {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", scratch.root().c_str(), "tmpfs", 0, "size=64m") != 0)
      GTEST_SKIP() << "only root can mount";
    KmsdTest::SetUp();
  }

  void resize(const char* size) {
    ASSERT_EQ(::mount("tmpfs", scratch.root().c_str(), "tmpfs", MS_REMOUNT, fmt::format("size={}", size).c_str()), 0);
  }

  void fill() {
    const UniqueFd filler(::open(scratch.path("filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const Bytes page(4096);
    while (::write(filler.get(), page.data(), page.size()) > 0) {
    }
  }

  void TearDown() override {
    daemon.reset();
    ::umount2(scratch.root().c_str(), MNT_DETACH);
  }
};

TEST_F(SmallDisk, AChangeOfTheStoreKeyThatFailsGoesOnWithTheNextReload) {
  stock_many_chunks();
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  EXPECT_EQ(::raise(SIGHUP), 0);
  run_until(loop, [&] { return sink.count("reloaded") == 1; });
  ASSERT_EQ(sink.count("store_key_changed"), 0U);
  fill();
  run_until(loop, [&] { return sink.count("store_key_change_failed") == 1; });
  std::filesystem::remove(scratch.path("filler"));
  expect_key(*client);
  EXPECT_THAT(ask_control(control::ReloadRequest{}), testing::HasSubstr("kme.store_key_file"));
  EXPECT_EQ(sink.count("store_key_changed"), 1U);
  expect_key(*client);
}

TEST_F(SmallDisk, ABackupThatDoesNotFitIsAnErrorAndLeavesNothing) {
  resize("4m");
  daemon.reset();
  for (int page = 0; page < 5; ++page)
    ASSERT_TRUE(open_store()->audit().append(std::string(std::size_t{1} << 19U, 'x'), service::wall_now()));
  start(configuration_values());
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  const std::string reply = ask_control(control::BackupRequest{});
  EXPECT_THAT(reply, testing::HasSubstr(scratch.path("kms.db.backup")));
  EXPECT_THAT(reply, testing::HasSubstr("free some space"));
  for (const char* const end : {"", ".new", ".new-journal", ".new-wal"})
    EXPECT_FALSE(std::filesystem::exists(scratch.path(std::string("kms.db.backup") + end))) << end;
  expect_key(*client);
  resize("16m");
  EXPECT_THAT(ask_control(control::BackupRequest{}), testing::Not(testing::HasSubstr("error")));
  expect_key(*client);
  daemon.reset();
  std::string written;
  const auto pages = open_store()->audit().read(0, SIZE_MAX);
  for (const auto& page : pages.value())
    written += page.text;
  const std::string line = "\"event\":\"backup\"";
  EXPECT_NE(written.find(line), std::string::npos);
  EXPECT_EQ(written.find(line), written.rfind(line)) << "of the one that was made";
}

}  // namespace
}  // namespace quipu::kmsd
