// SPDX-License-Identifier: Apache-2.0
// What somebody finds who holds the files but not the store key.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/encoding.h"
#include "store/database.h"
#include "store/sqlite_store.h"
#include "support/scratch.h"

namespace quipu::store {
namespace {

using test::Scratch;

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string upper(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// Pieces of `secret`, of at least 12 octets, in every form in which they could stand: as they are, in hexadecimal, and
// in base64 at each of its three alignments.
std::vector<std::string> traces_of(ByteView secret) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at + 32 <= secret.size(); at += 32) {
    const ByteView piece = secret.subspan(at, 12);
    out.emplace_back(as_text(piece));
    out.push_back(to_hex(piece));
    out.push_back(upper(to_hex(piece)));
    for (std::size_t shift = 0; shift < 3; ++shift)
      out.push_back(to_base64(secret.subspan(at + shift, 12)));
  }
  return out;
}

std::size_t count_traces(const std::string& where, ByteView secret) {
  std::size_t found = 0;
  for (const std::string& trace : traces_of(secret))
    found += where.find(trace) == std::string::npos ? 0U : 1U;
  return found;
}

class SealedTest : public testing::Test {
 protected:
  SealedTest() {
    rng.fill(key);
    key[0] = 1;
    rng.fill(material);
    auto opened = SqliteStore::open(path, Secret<32>(key), rng);
    EXPECT_TRUE(opened.has_value()) << opened.error().text;
    store = *std::move(opened);
    kms::Transaction transaction(pool);
    kms::BlockRecord record;
    record.id = block;
    record.length = static_cast<std::uint32_t>(material.size());
    transaction.add(kms::AddBlock{record, material});
    EXPECT_TRUE(store->commit(transaction).has_value());
  }

  std::string files() const { return contents(path) + contents(path + "-wal"); }

  std::unique_ptr<SqliteStore> open(std::uint8_t first_octet, std::optional<std::uint8_t> previous = std::nullopt) {
    auto opened =
        SqliteStore::open(path, key_of(first_octet), rng, previous.transform([&](auto p) { return key_of(p); }));
    if (!opened) error = opened.error();
    return opened ? *std::move(opened) : nullptr;
  }

  // True when there was a change to begin.
  Result<bool> change_key(std::uint8_t to, std::uint8_t from) {
    QUIPU_TRY_ASSIGN(const bool begun, store->seal_with(key_of(to), key_of(from)));
    finish_change();
    return begun;
  }

  // How many chunks were damaged.
  std::uint64_t finish_change() {
    while (store->key_changing()) {
      const auto changed = store->advance_key_change([] { return Result<void>(); });
      EXPECT_TRUE(changed.has_value());
      if (!changed || *changed) return changed ? (*changed)->damaged_chunks : 0;
    }
    return 0;
  }

  // In how many parts.
  Result<int> back_up() {
    QUIPU_TRY(store->begin_backup());
    for (int parts = 1;; ++parts) {
      QUIPU_TRY_ASSIGN(const bool complete, store->advance_backup());
      if (complete) return parts;
    }
  }

  // The test's own key but for its first octet.
  Secret<32> key_of(std::uint8_t first_octet) const {
    std::array<std::uint8_t, 32> octets = key;
    octets[0] = first_octet;
    return Secret<32>(octets);
  }

  // What stands in these columns, of all chunks in order. While nobody has the store.
  std::vector<Bytes> columns(const char* sql, int count) const {
    std::vector<Bytes> out;
    Database database;
    EXPECT_TRUE(database.open(path).has_value());
    auto query = database.query(sql);
    while (query && query->step().value_or(false))
      for (int column = 0; column < count; ++column)
        out.emplace_back(query->blob(column).begin(), query->blob(column).end());
    return out;
  }

  bool present(const Bytes& piece) const {
    return files().find(as_text(ByteView(piece).first(24))) != std::string::npos;
  }

  void set(kms::BlockState state, kms::RangeSet spent) {
    kms::Transaction transaction(pool);
    transaction.add(kms::SetBlock{block, state, std::move(spent)});
    ASSERT_TRUE(store->commit(transaction).has_value());
  }

  Scratch scratch;
  std::string path = scratch.path("kms.db");
  crypto::SystemRng rng;
  std::array<std::uint8_t, 32> key{};
  Bytes material = Bytes(std::size_t{4} * kms::kChunkSize);
  KmeId pool{"kme-b"};
  BlockId block{Uuid{{1}}};
  std::unique_ptr<SqliteStore> store;
  Error error{};  // of the last open() that failed
};

TEST_F(SealedTest, TheSearchFindsWhatIsThere) {
  EXPECT_EQ(count_traces("x" + std::string(as_text(material)), material), material.size() / 32);
  EXPECT_GE(count_traces(to_hex(material), material), material.size() / 32);
  EXPECT_GE(count_traces(to_base64(material), material), material.size() / 32);
}

TEST_F(SealedTest, NoKeyStandsInTheFilesInAnyForm) {
  EXPECT_GT(files().size(), material.size());
  EXPECT_EQ(count_traces(files(), material), 0U);
  EXPECT_EQ(count_traces(files(), key), 0U);
  ASSERT_TRUE(store->read(pool, block, {0, 65}).has_value());
  set(kms::BlockState::usable, kms::RangeSet({{0, 4096}}));
  EXPECT_EQ(count_traces(files(), material), 0U);
  ASSERT_TRUE(store->scrub().has_value());
  EXPECT_EQ(count_traces(files(), material), 0U);
  store.reset();
  EXPECT_EQ(count_traces(files(), material), 0U);
  EXPECT_EQ(count_traces(files(), key), 0U);
}

TEST_F(SealedTest, ADeletedChunkLeavesNothingToOpenLater) {
  store.reset();
  const std::vector<Bytes> sealed = columns("SELECT wrapped_key, sealed FROM chunks ORDER BY position", 2);
  ASSERT_EQ(sealed.size(), 8U);
  store = open(key[0]);
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_TRUE(present(sealed[i])) << i;
  // The second chunk is spent, the first and third only in part.
  set(kms::BlockState::usable, kms::RangeSet({{4064, 4160}}));
  ASSERT_TRUE(store->scrub().has_value());
  EXPECT_EQ(contents(path + "-wal").size(), 0U);
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_EQ(present(sealed[i]), i != 2 && i != 3) << i;
  set(kms::BlockState::voided, {});
  ASSERT_TRUE(store->scrub().has_value());
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_FALSE(present(sealed[i])) << i;
}

TEST_F(SealedTest, AChangeOfTheStoreKeyLeavesNothingThatTheOldOneOpens) {
  store.reset();
  const std::vector<Bytes> wrapped = columns("SELECT wrapped_key FROM chunks", 1);
  const std::vector<Bytes> check = columns("SELECT check_value FROM store_key", 1);
  ASSERT_EQ(wrapped.size(), 4U);
  store = open(1);
  EXPECT_EQ(store->seal_with(key_of(1), std::nullopt), false);
  EXPECT_EQ(change_key(2, 1), true);
  EXPECT_EQ(change_key(2, 1), false) << "it was done before";
  EXPECT_EQ(*store->read(pool, block, {0, 16384}), SecretBytes::copy_of(material)) << "in use meanwhile";
  ASSERT_TRUE(store->scrub().has_value());
  for (const Bytes& piece : wrapped)
    EXPECT_FALSE(present(piece));
  EXPECT_FALSE(present(check[0]));
  store.reset();
  EXPECT_EQ(open(1), nullptr);
  EXPECT_EQ(error.code, Errc::bad_key);
  store = open(2, 1);
  EXPECT_FALSE(store->key_changing());
  store.reset();
  store = open(3, 2);
  EXPECT_TRUE(store->key_changing());
  finish_change();
  EXPECT_TRUE(*store->read(pool, block, {0, 16384}) == SecretBytes::copy_of(material));
}

TEST_F(SealedTest, ABackupHasAllButKeyMaterial) {
  kms::Transaction transaction(pool);
  const BlockId leased{Uuid{{2}}};
  kms::BlockRecord record;
  record.id = leased;
  record.state = kms::BlockState::usable;
  record.digest = {9};
  record.length = 96;
  record.spent = kms::RangeSet({{0, 32}});
  transaction.add(kms::AddBlock{record, ByteView(material).first(96)});
  transaction.add(kms::AddLease{{.id = kms::LeaseId(Uuid{{3}}),
                                 .holder = kms::Holder::us,
                                 .holder_instance = kms::InstanceId(Uuid{{4}}),
                                 .opener_instance = {},
                                 .extents = {{leased, {32, 32}}},
                                 .key_ids = {Uuid{{5}}}}});
  transaction.add(kms::SetPeerInstance{kms::InstanceId(Uuid{{6}}), {kms::InstanceId(Uuid{{7}})}});
  transaction.add(kms::SetSourceMark{"a-b", 12});
  transaction.add(kms::Books{.received = 16480, .held = 16384, .stock = 32, .leased = 32, .burnt = 32});
  ASSERT_TRUE(store->commit(transaction).has_value());
  const auto page = store->audit().append("who had what", WallTime{});
  const std::string copy = store->backup_path();
  for (int again = 0; again < 2; ++again)
    ASSERT_TRUE(back_up().has_value());
  ASSERT_TRUE(store->commit(kms::Transaction(pool)).has_value()) << "in use as before";
  EXPECT_TRUE(*store->read(pool, block, {0, 16384}) == SecretBytes::copy_of(material));
  EXPECT_EQ(std::filesystem::status(copy).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  store.reset();
  for (const Bytes& piece : columns("SELECT wrapped_key, sealed FROM chunks", 2))
    EXPECT_EQ(contents(copy).find(as_text(ByteView(piece).first(24))), std::string::npos);
  path = copy;
  store = open(77);  // any key
  ASSERT_NE(store, nullptr) << error.text;
  const auto loaded = store->load(pool);
  EXPECT_TRUE(loaded->blocks.empty() && loaded->leases.empty());
  EXPECT_EQ(loaded->books, (kms::Books{.received = 16480, .burnt = 64, .voided = 16416}));
  EXPECT_EQ(loaded->peer_instance, kms::InstanceId(Uuid{{6}}));
  EXPECT_EQ(loaded->marks, (std::vector<kms::SourceMark>{{"a-b", 12}}));
  EXPECT_EQ(store->is_retired(pool, kms::InstanceId(Uuid{{7}})), true);
  EXPECT_EQ(store->has_digest(pool, record.digest), true);
  for (const BlockId& id : {block, leased})
    EXPECT_EQ((*store->find_block(pool, id))->state, kms::BlockState::voided);
  EXPECT_EQ(store->audit().head()->hash, page->hash);
}

TEST_F(SealedTest, WithNeitherKeyTheStoreStaysAsItIs) {
  EXPECT_EQ(store->seal_with(key_of(2), key_of(3)).error().code, Errc::bad_key);
  EXPECT_EQ(store->seal_with(key_of(2), std::nullopt).error().code, Errc::bad_key);
  EXPECT_TRUE(store->read(pool, block, {0, 32}).has_value());
  store.reset();
  EXPECT_EQ(open(2, 3), nullptr);
  EXPECT_EQ(error.code, Errc::bad_key);
  EXPECT_THAT(error.text, testing::HasSubstr("previous_store_key_file"));
  EXPECT_NE(open(1), nullptr);
}

// One chunk more than there are in a part.
TEST_F(SealedTest, AChangeOfTheStoreKeyThatWasInterruptedNeedsBothKeys) {
  const Bytes octets(65'536, 7);
  kms::Transaction transaction(pool);
  for (std::uint8_t n = 2; n < 35; ++n) {
    kms::BlockRecord record;
    record.id = BlockId(Uuid{{n}});
    record.length = 65'536;
    transaction.add(kms::AddBlock{record, octets});
  }
  ASSERT_TRUE(store->commit(transaction).has_value());
  const auto expect_all = [&] {
    EXPECT_TRUE(*store->read(pool, block, {0, 16384}) == SecretBytes::copy_of(material));
    EXPECT_TRUE(*store->read(pool, BlockId(Uuid{{34}}), {0, 65'536}) == SecretBytes::copy_of(octets));
  };
  EXPECT_EQ(store->seal_with(key_of(2), key_of(1)), true);
  expect_all();
  EXPECT_FALSE(store->advance_key_change([] { return Result<void>(); })->has_value());
  expect_all();
  store.reset();
  for (const auto& [current, previous] :
       {std::pair<std::uint8_t, std::optional<std::uint8_t>>(1, {}), {2, {}}, {3, 2}, {2, 3}}) {
    EXPECT_EQ(open(current, previous), nullptr);
    EXPECT_EQ(error.code, Errc::bad_key);
    EXPECT_THAT(error.text, testing::HasSubstr("both keys are needed")) << int{current};
  }
  store = open(1, 2);  // back again
  expect_all();
  EXPECT_FALSE(store->advance_key_change([] { return Result<void>(); })->has_value());
  store.reset();
  store = open(2, 1);
  ASSERT_TRUE(store->key_changing());
  finish_change();
  store.reset();
  store = open(2);
  expect_all();
}

TEST_F(SealedTest, WhatEndsAChangeOfTheStoreKeyIsDurableWithIt) {
  ASSERT_EQ(store->seal_with(key_of(2), key_of(1)), true);
  EXPECT_FALSE(store->advance_key_change([&]() -> Result<void> {
    QUIPU_TRY(store->audit().append("it changed", WallTime{}));
    return fail(Errc::storage, "something else");
  }));
  EXPECT_EQ(store->audit().head()->number, 0U);
  store.reset();
  EXPECT_EQ(open(2), nullptr) << "it has not changed";
  store = open(2, 1);
  EXPECT_TRUE(store->key_changing());
}

TEST_F(SealedTest, AChunkThatDoesNotOpenIsLeftByAChangeOfTheStoreKey) {
  store.reset();
  {
    Database database;
    ASSERT_TRUE(database.open(path).has_value());
    ASSERT_TRUE(database.execute("UPDATE chunks SET wrapped_key = zeroblob(72) WHERE position = 8192").has_value());
  }
  store = open(2, 1);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(finish_change(), 1U);
  EXPECT_TRUE(store->read(pool, block, {0, 8192}).has_value());
  EXPECT_EQ(store->read(pool, block, {8192, 32}).error().code, Errc::authentication);
}

TEST_F(SealedTest, TheFolderMayBeReachedByALink) {
  const std::string folder = scratch.path("folder");
  std::filesystem::create_directory(folder);
  std::filesystem::create_directory_symlink(folder, scratch.path("link"));
  auto opened = SqliteStore::open(scratch.path("link/kms.db"), key_of(1), rng);
  ASSERT_TRUE(opened.has_value()) << opened.error().text;
  store = *std::move(opened);
  ASSERT_TRUE(back_up().has_value());
  EXPECT_TRUE(std::filesystem::exists(folder + "/kms.db"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/kms.db.backup"));
}

// Blocks come and go, and the log loses its oldest pages, while it is made.
TEST_F(SealedTest, ABackupIsMadeInPartsWhileTheStoreIsInUse) {
  const auto log_page = [&](int day) {
    return store->audit().append(std::string(std::size_t{1} << 20U, 'x'), WallTime(std::chrono::days(day)))->number;
  };
  for (int day = 0; day < 4; ++day)
    log_page(day);
  const std::string copy = scratch.write("kms.db.backup", "an older one");
  ASSERT_TRUE(store->begin_backup().has_value());
  EXPECT_EQ(store->begin_backup().error().code, Errc::busy);
  EXPECT_EQ(store->advance_backup(), false);
  kms::Transaction other(KmeId("kme-c"));
  other.add(kms::Books{.received = 64, .stock = 32, .delivered = 32});
  ASSERT_TRUE(store->commit(other).has_value());
  set(kms::BlockState::usable, {});
  for (int day = 0; day < 3; ++day) {
    AuditDrop pass{.now = WallTime(std::chrono::days(4)), .before = WallTime(std::chrono::days(3))};
    ASSERT_EQ(store->audit().drop(pass), true);
  }
  const std::uint64_t last = log_page(4);
  ASSERT_TRUE(store->scrub().has_value());
  EXPECT_EQ(contents(copy), "an older one");
  while (!*store->advance_backup()) {
  }
  store.reset();
  EXPECT_FALSE(std::filesystem::exists(copy + ".new"));
  path = copy;
  store = open(77);
  ASSERT_NE(store, nullptr) << error.text;
  EXPECT_EQ(store->load(KmeId("kme-c"))->books, (kms::Books{.received = 64, .delivered = 32, .voided = 32}));
  EXPECT_EQ((*store->find_block(pool, block))->state, kms::BlockState::voided);
  const auto pages = store->audit().read(0, SIZE_MAX);
  ASSERT_EQ(pages->size(), 2U);
  EXPECT_EQ(pages->front().number, last - 1);
  EXPECT_EQ(pages->back().previous, pages->front().hash);
}

TEST_F(SealedTest, ABackupThatIsNotFinishedLeavesNothing) {
  ASSERT_TRUE(store->begin_backup().has_value());
  store.reset();
  EXPECT_FALSE(std::filesystem::exists(scratch.path("kms.db.backup")));
  EXPECT_FALSE(std::filesystem::exists(scratch.path("kms.db.backup.new")));
}

// Of a process that was killed, or that nobody has fetched.
TEST_F(SealedTest, AStartRemovesWhatIsLeftOfABackup) {
  const auto left = {"kms.db.backup", "kms.db.backup.new", "kms.db.backup.new-wal", "kms.db.backup.new-journal"};
  for (const char* const file : left)
    scratch.write(file, "octets");
  EXPECT_EQ(open(2), nullptr);
  EXPECT_EQ(error.code, Errc::busy) << "another process may be making it";
  for (const char* const file : left)
    EXPECT_TRUE(std::filesystem::exists(scratch.path(file))) << file;
  store.reset();
  store = open(1);
  for (const char* const file : left)
    EXPECT_FALSE(std::filesystem::exists(scratch.path(file))) << file;
  EXPECT_TRUE(store->read(pool, block, {0, 32}).has_value());
}

}  // namespace
}  // namespace quipu::store
