// SPDX-License-Identifier: Apache-2.0
// kill -9 of a process with a store in real files. The child commits the model's transactions, changes the store key
// now and then, and acknowledges each transaction through a pipe; the parent keeps the ledger. Whatever a child was
// doing when it died, the next one must find all that was acknowledged, at most one transaction more, and nothing
// between.
//
// QUIPU_STORE_KILLS: how many, in four parts (default 2,000; 80 under sanitizers).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <random>

#include "base/unique_fd.h"
#include "store/sqlite_store.h"
#include "support/scratch.h"
#include "unit/store/model.h"

namespace quipu::store::sim {
namespace {

#ifdef QUIPU_SANITIZED
constexpr std::uint64_t kKills = 80;
#else
constexpr std::uint64_t kKills = 2'000;
#endif
constexpr std::uint64_t kParts = 4;
constexpr std::uint64_t kKillsPerStore = 25;  // to begin anew: what a store holds is compared after each kill
constexpr std::uint64_t kScrubEach = 7;
constexpr std::uint64_t kChangeKeyEach = 5;
constexpr int kWrong = 1;

enum class Acknowledges : std::uint8_t { what_is_durable, what_is_not };

// The two keys that the store may be sealed with when a child has died.
Secret<32> store_key(std::uint64_t number) {
  Secret<32> key;
  key.mutable_view()[0] = static_cast<std::uint8_t>(number % 2);
  return key;
}

void advance(Model& model, std::uint64_t steps) {
  while (model.steps() < steps)
    static_cast<void>(model.next());
}

bool tell(int parent, std::uint64_t steps) {
  return ::write(parent, &steps, sizeof steps) == sizeof steps;
}

// Compares first: `model` is what was acknowledged.
bool holds(SqliteStore& store, Model& model) {
  const auto pool = store.load(model.pool());
  if (!pool) return false;
  const std::uint64_t held = pool->books.received;
  if (held < model.steps() || held > model.steps() + 1) return false;
  advance(model, held);
  model.expect_equal(store);
  return !testing::Test::HasFailure();
}

// The child, which only a signal ends while all is well.
[[noreturn]] void commit_until_killed(const std::string& path, Model model, int parent, Acknowledges what) {
  crypto::SystemRng rng;
  std::uint64_t key = 0;
  auto store = SqliteStore::open(path, store_key(key), rng, store_key(key + 1));
  if (!store || !holds(**store, model) || !tell(parent, model.steps())) ::_exit(kWrong);
  for (;;) {
    const kms::Transaction transaction = model.next();
    if (what == Acknowledges::what_is_not) tell(parent, model.steps());
    if (!(*store)->commit(transaction)) ::_exit(kWrong);
    if (what == Acknowledges::what_is_durable) tell(parent, model.steps());
    if (model.steps() % kScrubEach == 0 && !(*store)->scrub()) ::_exit(kWrong);
    if ((*store)->key_changing()) {
      if (!(*store)->advance_key_change([] { return Result<void>(); })) ::_exit(kWrong);
    } else if (model.steps() % kChangeKeyEach == 0) {
      if (!(*store)->seal_with(store_key(key + 1), store_key(key))) ::_exit(kWrong);
      ++key;
    }
  }
}

class Kill : public testing::TestWithParam<std::uint64_t> {
 protected:
  // False when the child found something wrong. Afterwards `model` is what was acknowledged.
  bool run_and_kill(const std::string& path, Acknowledges what) {
    int ends[2];
    if (::pipe(ends) != 0) return false;
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      commit_until_killed(path, model, ends[1], what);
    }
    ::close(ends[1]);
    const UniqueFd acknowledged(ends[0]);
    std::uint64_t last = model.steps();
    const auto read_one = [&] { return ::read(acknowledged.get(), &last, sizeof last) == sizeof last; };
    for (std::uint64_t wanted = random() % 8; wanted > 0 && read_one(); --wanted) {
    }
    // Somewhere in what follows, be it opening, comparing or committing.
    random.discard(random() % 100'000);
    EXPECT_EQ(::kill(child, SIGKILL), 0);
    while (read_one()) {
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    advance(model, last);
    return WIFSIGNALED(status);
  }

  test::Scratch scratch;
  std::mt19937_64 random{GetParam()};
  Model model;
};

TEST_P(Kill, LosesNothingAcknowledgedAndBringsNothingBack) {
  const char* many = std::getenv("QUIPU_STORE_KILLS");
  const std::uint64_t kills = (many != nullptr ? std::strtoull(many, nullptr, 10) : kKills) / kParts;
  std::uint64_t transactions = 0;
  for (std::uint64_t done = 0; done < kills; ++done) {
    const std::string path = scratch.path("kms-" + std::to_string(done / kKillsPerStore) + ".db");
    if (done % kKillsPerStore == 0) {
      transactions += model.steps();
      model = Model();
    }
    ASSERT_TRUE(run_and_kill(path, Acknowledges::what_is_durable)) << "after " << done << " kills, " << model.steps();
  }
  EXPECT_GT(transactions + model.steps(), kills);
}

// A campaign that cannot fail proves nothing.
TEST_P(Kill, IsNoticedWhereWhatIsNotDurableIsAcknowledged) {
  const std::string path = scratch.path("kms.db");
  std::uint64_t kills = 0;
  while (kills < kKills && run_and_kill(path, Acknowledges::what_is_not))
    ++kills;
  EXPECT_LT(kills, kKills);
}

INSTANTIATE_TEST_SUITE_P(Part, Kill, testing::Range(std::uint64_t{0}, kParts));

}  // namespace
}  // namespace quipu::store::sim
