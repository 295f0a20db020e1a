// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"
#include "store/sqlite_store.h"
#include "support/scratch.h"

namespace quipu::store {
namespace {

using test::Scratch;

std::unique_ptr<SqliteStore> open_store(const std::string& path, crypto::Rng& rng) {
  auto store = SqliteStore::open(path, Secret<32>(), rng);
  return store ? *std::move(store) : nullptr;
}

void advance(Model& model, std::uint64_t steps) {
  while (model.steps() < steps)
    static_cast<void>(model.next());
}

// In a mount namespace of its own: a file system of 256 KiB. Exits with 0 when all held, 77 when it may not mount.
[[noreturn]] void fill_disk(const std::string& directory) {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=256k") != 0)
    ::_exit(77);
  crypto::SystemRng rng;
  const std::string path = directory + "/kms.db";
  auto store = open_store(path, rng);
  Model model;
  Model before;
  Result<void> done;
  while (store && done) {
    done = store->commit(model.next());
    if (done) advance(before, model.steps());
  }
  bool good = store && !done && done.error().code == Errc::exhausted;
  // What was there stays readable, and everything goes on when there is space again.
  before.expect_equal(*store);
  store.reset();
  auto refused = SqliteStore::open(path, Secret<32>(), rng);
  good = good && (refused || refused.error().code == Errc::exhausted);
  refused = fail(Errc::closed);
  good = good && ::mount("tmpfs", directory.c_str(), "tmpfs", MS_REMOUNT, "size=8m") == 0;
  store = open_store(path, rng);
  if (store == nullptr) ::_exit(1);
  before.expect_equal(*store);
  good = good && store->commit(before.next()).has_value();
  ::_exit(good && !testing::Test::HasFailure() ? 0 : 1);
}

TEST(FullDisk, IsAnErrorAndHurtsNothing) {
  const Scratch scratch;
  const pid_t child = ::fork();
  if (child == 0) fill_disk(scratch.root());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "only root can mount";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace quipu::store
