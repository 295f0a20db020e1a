// SPDX-License-Identifier: Apache-2.0
#include "store/store_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "store/database.h"
#include "store/sqlite_store.h"
#include "support/scratch.h"

namespace quipu::store {
namespace {

using test::Scratch;
using testing::AllOf;
using testing::HasSubstr;

Secret<32> key_of(std::uint8_t octet) {
  std::array<std::uint8_t, 32> octets{};
  octets.fill(octet);
  return Secret<32>(octets);
}

class StoreCheck : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open() {
    auto store = SqliteStore::open(path, key_of(1), rng);
    EXPECT_TRUE(store.has_value()) << store.error().text;
    return *std::move(store);
  }

  // By name, all that stands beside the store and the store itself.
  std::map<std::string, std::string> folder() const {
    std::map<std::string, std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(scratch.root()))
      out[entry.path().filename()] = scratch.read(entry.path().filename().string());
    return out;
  }

  // Of a look that leaves all as it is.
  Result<void> check(std::uint8_t key, std::optional<std::uint8_t> previous = std::nullopt) {
    const auto before = folder();
    auto checked = check_store(path, key_of(key), previous.transform(key_of));
    EXPECT_TRUE(folder() == before);
    return checked;
  }

  Scratch scratch;
  std::string path = scratch.path("k%m#s?.db");  // a name that means more in a URI
  crypto::SystemRng rng;
};

TEST_F(StoreCheck, TellsWhichKeysOpenIt) {
  open();
  EXPECT_TRUE(check(1).has_value());
  EXPECT_TRUE(check(2, 1).has_value());  // a change of the key
  const auto other = check(2);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Errc::bad_key);
  EXPECT_THAT(other.error().text, AllOf(HasSubstr(path), HasSubstr("sealed with another store key")));
}

TEST_F(StoreCheck, MakesNone) {
  EXPECT_TRUE(check(1).has_value());
  EXPECT_TRUE(folder().empty());
}

// Whoever has it open may know better than the file what it is sealed with.
TEST_F(StoreCheck, LooksAtOneThatIsInUse) {
  const auto store = open();
  EXPECT_TRUE(check(1).has_value());
  ASSERT_TRUE(store->audit().append("something", WallTime{}).has_value());
  EXPECT_TRUE(check(1).has_value());
  const auto other = check(2);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Errc::busy);
  EXPECT_THAT(other.error().text, AllOf(HasSubstr("sealed with another store key"), HasSubstr("has the store open")));
}

TEST_F(StoreCheck, RefusesWhatIsNoStoreOfOurs) {
  scratch.write("k%m#s?.db", std::string(8192, 'x'));
  EXPECT_EQ(check(1).error().code, Errc::storage);
  std::filesystem::remove(path);
  {
    Database database;
    ASSERT_TRUE(database.open(path).has_value());
    ASSERT_TRUE(database.execute("CREATE TABLE of_others (a)").has_value());
  }
  EXPECT_EQ(check(1).error().code, Errc::unsupported);
}

}  // namespace
}  // namespace quipu::store
