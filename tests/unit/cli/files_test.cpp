// SPDX-License-Identifier: Apache-2.0
#include "cli/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/file_size_limit.h"
#include "support/scratch.h"

namespace quipu::cli {
namespace {

// The other end of a control socket names the file, and may be somebody else than it says.
class MovedFile : public testing::Test {
 protected:
  std::filesystem::path make(const std::string& name) {
    std::ofstream(folder / name) << "records";
    return folder / name;
  }

  Result<void> move(const std::filesystem::path& from, uid_t owner = ::geteuid()) const {
    auto to = NewFile::create(folder / "to", 0600);
    return to ? to->move_from(from, owner) : std::unexpected(to.error());
  }

  const test::Scratch scratch;
  const std::filesystem::path folder = scratch.root();
};

TEST_F(MovedFile, IsThereUnderTheNewNameAlone) {
  const auto from = make("from");
  ASSERT_TRUE(move(from));
  EXPECT_FALSE(exists(from));
  EXPECT_EQ(file_size(folder / "to"), 7U);
  EXPECT_EQ(move(make("from")).error().code, Errc::conflict);
  EXPECT_EQ(file_size(folder / "to"), 7U);
  EXPECT_TRUE(exists(from));
}

TEST_F(MovedFile, OfSomebodyElseStaysWhereItIs) {
  const auto from = make("from");
  const auto moved = move(from, ::geteuid() + 1);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, Errc::not_permitted);
  EXPECT_TRUE(exists(from));
  EXPECT_FALSE(exists(folder / "to"));
}

// FILE may be the very name that the daemon gives what it makes.
TEST_F(MovedFile, StaysWhereItIsWhenTheNewNameIsAnotherFiles) {
  {
    auto to = NewFile::create(folder / "to", 0600);
    ASSERT_TRUE(to);
    std::filesystem::rename(make("from"), folder / "to");
    const auto moved = to->move_from(folder / "to", ::geteuid());
    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().code, Errc::conflict);
  }
  EXPECT_EQ(file_size(folder / "to"), 7U);
}

TEST_F(MovedFile, StaysWhereItIsWhenTheNewNameIsGone) {
  auto to = NewFile::create(folder / "to", 0600);
  ASSERT_TRUE(to);
  std::filesystem::remove(folder / "to");
  const auto moved = to->move_from(make("from"), ::geteuid());
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, Errc::conflict);
  EXPECT_EQ(file_size(folder / "from"), 7U);
}

// Nobody else would remove it, and it may be large.
TEST_F(MovedFile, IsNowhereWhenItCannotBeCopied) {
  const auto from = make("from");
  {
    const test::FileSizeLimit limit(3);
    EXPECT_EQ(move(from).error().code, Errc::io);
  }
  EXPECT_FALSE(exists(from));
  EXPECT_FALSE(exists(folder / "to"));
}

TEST_F(MovedFile, IsNoPipeAndNoLink) {
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(move(pipe).error().code, Errc::not_permitted);
  std::filesystem::create_symlink(make("from"), folder / "link");
  EXPECT_FALSE(move(folder / "link"));
  EXPECT_FALSE(exists(folder / "to"));
}

}  // namespace
}  // namespace quipu::cli
