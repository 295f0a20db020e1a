// SPDX-License-Identifier: Apache-2.0
// kill -9 and a full disk, on real files. The child commits the model's transactions and acknowledges each one through
// a pipe; whatever it was doing when it died, the store must hold all that was acknowledged, at most one transaction
// more, and nothing between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/unique_fd.h"
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

// Never returns.
[[noreturn]] void commit_until_killed(const std::string& path, std::uint64_t steps, int acknowledge) {
  crypto::SystemRng rng;
  const auto store = open_store(path, rng);
  Model model;
  advance(model, steps);
  while (store && store->commit(model.next())) {
    const std::uint64_t done = model.steps();
    if (::write(acknowledge, &done, sizeof done) != sizeof done) break;
    if (done % 7 == 0 && !store->scrub()) break;
  }
  ::_exit(1);
}

// Starts a child, kills it after `acknowledgements`, and returns the last step that it acknowledged.
std::uint64_t run_and_kill(const std::string& path, std::uint64_t steps, unsigned acknowledgements) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    commit_until_killed(path, steps, ends[1]);
  }
  ::close(ends[1]);
  const UniqueFd acknowledged(ends[0]);
  std::uint64_t last = steps;
  const auto read_one = [&] { return ::read(acknowledged.get(), &last, sizeof last) == sizeof last; };
  for (unsigned i = 0; i < acknowledgements; ++i)
    EXPECT_TRUE(read_one()) << "the child stopped by itself";
  EXPECT_EQ(::kill(child, SIGKILL), 0);
  while (read_one()) {
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  return last;
}

TEST(Crash, LosesNothingAcknowledgedAndBringsNothingBack) {
  const Scratch scratch;
  const std::string path = scratch.path("kms.db");
  crypto::SystemRng rng;
  std::mt19937_64 random(7);
  Model model;
  for (int round = 0; round < 30; ++round) {
    const std::uint64_t acknowledged = run_and_kill(path, model.steps(), static_cast<unsigned>(random() % 12));
    const auto store = open_store(path, rng);
    ASSERT_NE(store, nullptr) << "round " << round;
    const std::uint64_t held = store->load(model.pool())->books.received;
    ASSERT_GE(held, acknowledged);
    ASSERT_LE(held, acknowledged + 1);
    advance(model, held);
    model.expect_equal(*store);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(model.steps(), 100U);
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
