// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "model.h"
#include "store/counting_vfs.h"
#include "store/database.h"
#include "support/scratch.h"

namespace quipu::store {
namespace {

using test::Scratch;
using testing::HasSubstr;

constexpr std::size_t kPageSize = 4096;  // of the file

class SqliteStoreTest : public testing::Test {
 protected:
  Result<std::unique_ptr<SqliteStore>> try_open(std::uint8_t key = 1) {
    std::array<std::uint8_t, 32> octets{};
    octets.fill(key);
    return SqliteStore::open(path, Secret<32>(octets), rng);
  }

  std::unique_ptr<SqliteStore> open() {
    auto store = try_open();
    EXPECT_TRUE(store.has_value()) << store.error().text;
    return store ? *std::move(store) : nullptr;
  }

  // A start tells `told` of a file that holds `octets`.
  void expect_refusal_of(const std::string& octets, const std::string& told) {
    scratch.write("kms.db", octets);
    const auto store = try_open();
    ASSERT_FALSE(store.has_value()) << told;
    EXPECT_EQ(store.error().code, Errc::storage);
    EXPECT_THAT(store.error().text, HasSubstr(told));
  }

  // Changes the file behind the store's back.
  void tamper(const char* sql) {
    Database database;
    ASSERT_TRUE(database.open(path).has_value());
    const auto done = database.execute(sql);
    ASSERT_TRUE(done.has_value()) << done.error().text;
  }

  // Of the file, from 1.
  std::size_t root_page(std::string_view table) {
    Database database;
    EXPECT_TRUE(database.open(path).has_value());
    auto query = database.query("SELECT rootpage FROM sqlite_schema WHERE name = ?");
    query->bind(table);
    EXPECT_EQ(query->step(), true);
    return static_cast<std::size_t>(query->integer(0));
  }

  static kms::Transaction one_block(const BlockId& id, ByteView material) {
    kms::Transaction out(KmeId("kme-b"));
    kms::BlockRecord record;
    record.id = id;
    record.length = static_cast<std::uint32_t>(material.size());
    out.add(kms::AddBlock{record, material});
    return out;
  }

  Scratch scratch;
  std::string path = scratch.path("kms.db");
  crypto::SystemRng rng;
  KmeId pool{"kme-b"};
  BlockId block{Uuid{{1}}};
};

TEST_F(SqliteStoreTest, EachCommitWaitsForTheDisk) {
  const auto store = open();
  const Bytes material(64, 7);
  for (std::uint8_t i = 1; i <= 5; ++i) {
    const std::uint64_t before = syncs_so_far();
    ASSERT_TRUE(store->commit(one_block(BlockId(Uuid{{i}}), material)).has_value());
    EXPECT_GT(syncs_so_far(), before);
  }
  const std::uint64_t before = syncs_so_far();
  ASSERT_TRUE(store->read(pool, block, {0, 64}).has_value());
  EXPECT_EQ(syncs_so_far(), before);
}

TEST_F(SqliteStoreTest, HoldsWhatTheModelHolds) {
  Model model;
  auto store = open();
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 60; ++i) {
      const auto done = store->commit(model.next());
      ASSERT_TRUE(done.has_value()) << done.error().text;
    }
    if (round % 2 == 0) {
      store.reset();
      store = open();
    }
    model.expect_equal(*store);
    if (HasFailure()) return;
  }
  EXPECT_GT(model.blocks().size(), 10U);
}

TEST_F(SqliteStoreTest, PoolsKeepApart) {
  Model one(KmeId("kme-b"));
  Model other(KmeId("kme-c"));
  auto store = open();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(store->commit(one.next()).has_value());
    ASSERT_TRUE(i % 2 != 0 || store->commit(other.next()).has_value());
  }
  one.expect_equal(*store);
  other.expect_equal(*store);
  EXPECT_TRUE(store->load(KmeId("kme-x"))->blocks.empty());
  EXPECT_EQ(store->read(KmeId("kme-x"), block, {0, 32}).error().code, Errc::not_found);
}

TEST_F(SqliteStoreTest, ATransactionThatFailsLeavesNothing) {
  auto store = open();
  const Bytes material(64, 7);
  ASSERT_TRUE(store->commit(one_block(block, material)).has_value());
  const auto refused = [&](Errc code, auto change) {
    kms::Transaction transaction = one_block(BlockId(Uuid{{2}}), material);
    transaction.add(std::move(change));
    EXPECT_EQ(store->commit(transaction).error().code, code);
    EXPECT_FALSE(store->find_block(pool, BlockId(Uuid{{2}}))->has_value());
  };
  kms::BlockRecord same;
  same.id = block;
  refused(Errc::duplicate, kms::AddBlock{same, {}});
  refused(Errc::not_found, kms::SetBlock{BlockId(Uuid{{9}}), kms::BlockState::used, {}});
  refused(Errc::not_found, kms::SetLease{kms::LeaseId(Uuid{{9}}), std::nullopt, true, true});
  refused(Errc::not_found, kms::RemoveLease{kms::LeaseId(Uuid{{9}})});
  refused(Errc::out_of_range, kms::Books{.received = ~std::uint64_t{0}});
  ASSERT_TRUE(store->commit(one_block(BlockId(Uuid{{2}}), material)).has_value());
}

TEST_F(SqliteStoreTest, AFailedFirstTransactionLeavesNoPoolBehind) {
  auto store = open();
  kms::Transaction bad(pool);
  bad.add(kms::RemoveLease{});
  EXPECT_EQ(store->commit(bad).error().code, Errc::not_found);
  ASSERT_TRUE(store->commit(one_block(block, Bytes(32, 1))).has_value());
  EXPECT_TRUE(store->read(pool, block, {0, 32}).has_value());
}

TEST_F(SqliteStoreTest, ReadsAnyRangeAcrossChunks) {
  auto store = open();
  Bytes material(3 * kms::kChunkSize + 32);
  rng.fill(material);
  ASSERT_TRUE(store->commit(one_block(block, material)).has_value());
  for (const kms::Range range : {kms::Range{0, 32}, {4064, 64}, {4096, 4096}, {32, 12288}, {0, 12320}, {12288, 32}}) {
    const auto read = store->read(pool, block, range);
    ASSERT_TRUE(read.has_value()) << read.error().text;
    EXPECT_TRUE(std::ranges::equal(read->view(), ByteView(material).subspan(range.offset, range.length)));
  }
  for (const kms::Range range : {kms::Range{0, 0}, {12320, 32}, {12288, 64}, {0, 65536}, {0xffffffe0, 64}})
    EXPECT_EQ(store->read(pool, block, range).error().code, Errc::not_found);
}

TEST_F(SqliteStoreTest, RefusesAnotherStoreKey) {
  open();
  const auto store = try_open(2);
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, Errc::bad_key);
  EXPECT_THAT(store.error().text, HasSubstr(path));
  EXPECT_NE(open(), nullptr);
}

TEST_F(SqliteStoreTest, RefusesASecondOwner) {
  const auto store = open();
  EXPECT_EQ(try_open().error().code, Errc::busy);
}

TEST_F(SqliteStoreTest, RefusesALaterVersionAndChangesNothing) {
  open();
  tamper("PRAGMA user_version = 1000");
  EXPECT_EQ(try_open().error().code, Errc::unsupported);
  tamper("PRAGMA user_version = 5");
  EXPECT_NE(open(), nullptr);
}

// Version 1 did not know in which order instances were retired: those count as the oldest, and none is dropped for it.
TEST_F(SqliteStoreTest, AVersion1FileKeepsItsRetiredInstances) {
  const auto instance = [](std::uint8_t n) { return kms::InstanceId(Uuid{{n}}); };
  const auto retire = [&](std::vector<kms::InstanceId> retired) {
    kms::Transaction out(pool);
    out.add(kms::SetPeerInstance{std::nullopt, std::move(retired)});
    out.add(kms::Trim{kms::kMaxLostBlocks, kms::kMaxRetired});
    return out;
  };
  const auto is_retired = [&](SqliteStore& store, std::uint8_t n) { return store.is_retired(pool, instance(n)); };
  ASSERT_TRUE(open()->commit(retire({instance(1), instance(2)})).has_value());
  tamper(
      "ALTER TABLE store_key DROP COLUMN previous_check; ALTER TABLE pools DROP COLUMN consumed; ALTER TABLE pools "
      "DROP COLUMN expired; DROP TABLE audit; DROP INDEX "
      "retired_by_number; ALTER TABLE retired_instances DROP COLUMN number;"
      "PRAGMA user_version = 1");
  const auto store = open();
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(is_retired(*store, 1), true);
  EXPECT_EQ(is_retired(*store, 2), true);
  ASSERT_TRUE(store->commit(retire({instance(3)})).has_value());
  for (std::uint8_t n = 1; n <= 3; ++n)
    EXPECT_EQ(is_retired(*store, n), true) << int{n};
  EXPECT_EQ(is_retired(*store, 4), false);
}

TEST_F(SqliteStoreTest, AVersion3FileKeepsItsBooks) {
  kms::Books books{.received = 28, .held = 1, .stock = 2, .leased = 3, .delivered = 4, .burnt = 5, .voided = 13};
  kms::Transaction transaction(pool);
  transaction.add(books);
  ASSERT_TRUE(open()->commit(transaction).has_value());
  tamper(
      "ALTER TABLE store_key DROP COLUMN previous_check; ALTER TABLE pools DROP COLUMN consumed; ALTER TABLE pools "
      "DROP COLUMN expired; PRAGMA user_version = 3");
  const auto store = open();
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->load(pool)->books, books);
  books.consumed = 6;
  books.expired = 7;
  kms::Transaction later(pool);
  later.add(books);
  ASSERT_TRUE(store->commit(later).has_value());
  EXPECT_EQ(store->load(pool)->books, books);
}

TEST_F(SqliteStoreTest, RefusesFilesThatAreNoStore) {
  tamper("CREATE TABLE t (x)");
  std::ofstream(path + ".backup") << "theirs";
  const std::string before = scratch.read("kms.db");
  EXPECT_THAT(try_open().error().text, HasSubstr("another program"));
  EXPECT_EQ(try_open().error().code, Errc::unsupported);
  EXPECT_EQ(scratch.read("kms.db"), before);
  EXPECT_TRUE(std::filesystem::exists(path + ".backup"));
  {
    Database theirs;
    ASSERT_TRUE(theirs.open(path).has_value());
    ASSERT_TRUE(theirs.begin_wal().has_value());
    ASSERT_TRUE(theirs.execute("INSERT INTO t VALUES (1)").has_value());
    std::filesystem::copy(path, scratch.path("killed.db"));
    std::filesystem::copy(path + "-wal", scratch.path("killed.db-wal"));
  }
  path = scratch.path("killed.db");
  const std::string log = scratch.read("killed.db-wal");
  EXPECT_EQ(try_open().error().code, Errc::unsupported);
  EXPECT_EQ(scratch.read("killed.db-wal"), log);
  path = scratch.write("text", std::string(10'000, 'x'), 0600);
  EXPECT_EQ(try_open().error().code, Errc::storage);
}

// The next start may find it otherwise.
TEST_F(SqliteStoreTest, RefusesWhatItCannotOpenAsAFile) {
  path = scratch.root();
  EXPECT_EQ(try_open().error().code, Errc::io);
  path = scratch.path("absent/kms.db");
  EXPECT_EQ(try_open().error().code, Errc::io);
}

TEST_F(SqliteStoreTest, ShortOfMemoryItIsNotTakenForDamaged) {
  ASSERT_TRUE(open()->commit(one_block(block, Bytes(kms::kMaxBlockSize, 7))).has_value());
  int exhausted = 0;
  int unread = 0;
  for (sqlite3_int64 octets = 1'000;; octets += octets / 4) {
    ::sqlite3_hard_heap_limit64(octets);
    const auto store = try_open();
    ::sqlite3_hard_heap_limit64(0);
    if (store) break;
    EXPECT_THAT(store.error().code, testing::AnyOf(Errc::exhausted, Errc::io)) << octets << ": " << store.error().text;
    exhausted += store.error().code == Errc::exhausted ? 1 : 0;
    unread += store.error().code == Errc::io ? 1 : 0;
  }
  EXPECT_GT(exhausted, 0);
  EXPECT_GT(unread, 0);
}

TEST_F(SqliteStoreTest, KnowsTheBlocksOfOtherPools) {
  const auto store = open();
  const auto add = [&](const char* other, std::uint8_t n, std::string_view source) {
    kms::Transaction out{KmeId(other)};
    kms::BlockRecord record;
    record.id = BlockId(Uuid{{n}});
    record.digest.fill(n);
    record.length = 64;
    record.source = source;
    out.add(kms::AddBlock{record, Bytes(64, n)});
    ASSERT_TRUE(store->commit(out).has_value());
  };
  add("kme-b", 1, "link");
  add("kme-b", 2, kms::kRelaySource);
  add("kme-b", 3, "");  // never here
  const auto knows = [&](const char* asking, std::uint8_t id, std::uint8_t digest) {
    kms::BlockDigest octets{};
    octets.fill(digest);
    return *store->is_elsewhere(KmeId(asking), BlockId(Uuid{{id}}), octets);
  };
  EXPECT_FALSE(knows("kme-b", 1, 1));
  EXPECT_TRUE(knows("kme-c", 1, 9));
  EXPECT_TRUE(knows("kme-c", 9, 1));
  EXPECT_FALSE(knows("kme-c", 2, 9));
  EXPECT_TRUE(knows("kme-c", 9, 2));
  EXPECT_FALSE(knows("kme-c", 3, 3));
  EXPECT_FALSE(knows("kme-c", 9, 9));
}

TEST_F(SqliteStoreTest, ChunksThatChangedPlacesDoNotOpen) {
  const Bytes material(std::size_t{2} * kms::kChunkSize, 7);
  ASSERT_TRUE(open()->commit(one_block(block, material)).has_value());
  tamper("UPDATE chunks SET position = 4096 - position + 1");
  tamper("UPDATE chunks SET position = position - 1");
  EXPECT_EQ(open()->read(pool, block, {0, 32}).error().code, Errc::authentication);
  tamper("UPDATE chunks SET position = 4096 - position + 1");
  tamper("UPDATE chunks SET position = position - 1");
  EXPECT_TRUE(open()->read(pool, block, {0, 32}).has_value());
  tamper("UPDATE pools SET kme = 'kme-c'");
  EXPECT_EQ(open()->read(KmeId("kme-c"), block, {0, 32}).error().code, Errc::authentication);
}

TEST_F(SqliteStoreTest, RowsThatMakeNoSenseAreErrors) {
  ASSERT_TRUE(open()->commit(one_block(block, Bytes(64, 7))).has_value());
  for (const char* const sql :
       {"UPDATE blocks SET spent = x'00000000'", "UPDATE blocks SET spent = x'0000000000000060'",
        "UPDATE blocks SET state = 2, digest = x'00', spent = x''",
        "UPDATE blocks SET digest = zeroblob(32), length = -1", "UPDATE blocks SET length = 64, sequence = x'00'"}) {
    tamper(sql);
    EXPECT_EQ(open()->load(pool).error().code, Errc::storage) << sql;
  }
}

TEST_F(SqliteStoreTest, IsForItsOwnerOnly) {
  const auto store = open();
  ASSERT_TRUE(store->commit(one_block(block, Bytes(64, 7))).has_value());
  for (const char* const suffix : {"", "-wal"}) {
    struct stat status{};
    ASSERT_EQ(::stat((path + suffix).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << suffix;
  }
}

// Whatever is flipped in the file: an error, or the right material; never a crash, never other octets.
TEST_F(SqliteStoreTest, ADamagedFileIsAnErrorOrNoMatter) {
  Model model;
  {
    const auto store = open();
    for (int i = 0; i < 40; ++i)
      ASSERT_TRUE(store->commit(model.next()).has_value());
  }
  std::ifstream in(path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::mt19937_64 random(1);
  int refused = 0;
  for (int round = 0; round < 60; ++round) {
    std::string broken = whole;
    for (int i = 0; i < 4; ++i) {
      char& octet = broken[random() % broken.size()];
      octet = static_cast<char>(static_cast<unsigned char>(octet) ^ 1U << random() % 8);
    }
    scratch.write("kms.db", broken, 0600);
    const auto store = try_open();
    refused += store && (*store)->load(pool) ? 0 : 1;
    for (const auto& [id, record] : model.blocks()) {
      const auto read = store ? (*store)->read(pool, id, {0, 32}) : fail(Errc::storage);
      EXPECT_TRUE(!read || std::ranges::equal(read->view(), ByteView(Model::material_of(record)).first(32)));
    }
  }
  EXPECT_GT(refused, 0);
}

// What is damaged of it shows when it is read.
TEST_F(SqliteStoreTest, AStartDoesNotReadTheAuditLog) {
  for (const char text : {'x', 'y'})
    ASSERT_TRUE(open()->audit().append(std::string(100'000, text), WallTime{}).has_value());
  std::string file = scratch.read("kms.db");
  int cut = 0;
  // What leads to the next page of the file.
  for (std::size_t page = 0; page < file.size(); page += kPageSize)
    if (file.substr(page + 4, kPageSize - 4) == std::string(kPageSize - 4, 'x') && ++cut > 0)
      file.replace(page, 4, "\xff\xff\xff\xff");
  ASSERT_GT(cut, 10);
  scratch.write("kms.db", file);
  const auto store = open();
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->audit().read(0, 1).error().code, Errc::storage);
  EXPECT_EQ(store->audit().read(1, 1)->at(0).text, std::string(100'000, 'y'));
  EXPECT_TRUE(store->audit().append("z", WallTime{}).has_value());
}

TEST_F(SqliteStoreTest, AStartReadsEveryOtherTable) {
  ASSERT_TRUE(open()->commit(one_block(block, Bytes(64, 7))).has_value());
  const std::string whole = scratch.read("kms.db");
  for (const char* const table :
       {"store_key", "pools", "blocks", "chunks", "leases", "retired_instances", "source_marks"}) {
    std::string damaged = whole;
    damaged.replace(kPageSize * (root_page(table) - 1), kPageSize, kPageSize, '\0');
    SCOPED_TRACE(table);
    expect_refusal_of(damaged, path);
    scratch.write("kms.db", whole);
  }
}

// Octets that an index does not name would never be erased, and a pool that it does not name would be made anew.
TEST_F(SqliteStoreTest, AStartComparesTheIndicesOfMaterialAndPools) {
  ASSERT_TRUE(open()->commit(one_block(block, Bytes(64, 7))).has_value());
  const std::string whole = scratch.read("kms.db");
  const std::string id(block.value().octets.begin(), block.value().octets.end());
  for (const auto& [table, key] : {std::pair<std::string, std::string>{"chunks", id}, {"pools", pool.value()}}) {
    const std::size_t page = root_page("sqlite_autoindex_" + table + "_1");
    std::string file = whole;
    const std::size_t entry = file.find(key, kPageSize * (page - 1));
    ASSERT_LT(entry, kPageSize * page);
    ++file[entry + 1];
    expect_refusal_of(file, table);
    scratch.write("kms.db", whole);
  }
}

}  // namespace
}  // namespace quipu::store
