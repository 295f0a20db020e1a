// SPDX-License-Identifier: Apache-2.0
#include "cli/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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

  const test::Scratch scratch;
  const std::filesystem::path folder = scratch.root();
};

TEST_F(MovedFile, IsThereUnderTheNewNameAlone) {
  const auto from = make("from");
  ASSERT_TRUE(move_to_new_file(from, ::geteuid(), folder / "to", 0600));
  EXPECT_FALSE(exists(from));
  EXPECT_EQ(file_size(folder / "to"), 7U);
  EXPECT_EQ(move_to_new_file(make("from"), ::geteuid(), folder / "to", 0600).error().code, Errc::conflict);
  EXPECT_TRUE(exists(from));
}

TEST_F(MovedFile, OfSomebodyElseStaysWhereItIs) {
  const auto from = make("from");
  const auto moved = move_to_new_file(from, ::geteuid() + 1, folder / "to", 0600);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, Errc::not_permitted);
  EXPECT_TRUE(exists(from));
  EXPECT_FALSE(exists(folder / "to"));
}

TEST_F(MovedFile, IsNoPipeAndNoLink) {
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(move_to_new_file(pipe, ::geteuid(), folder / "to", 0600).error().code, Errc::not_permitted);
  std::filesystem::create_symlink(make("from"), folder / "link");
  EXPECT_FALSE(move_to_new_file(folder / "link", ::geteuid(), folder / "to", 0600));
  EXPECT_FALSE(exists(folder / "to"));
}

}  // namespace
}  // namespace quipu::cli
