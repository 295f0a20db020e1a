// SPDX-License-Identifier: Apache-2.0
// The real store on a disk whose power fails: at each moment of a series of transactions, with all that was not synced
// lost, kept, torn or out of order. Whatever is left opens again, holds all that was acknowledged, at most one
// transaction more, and nothing between.
//
// QUIPU_STORE_TRANSACTIONS: how many (default 20; 5 under sanitizers). QUIPU_SIM_SEED: another choice of what is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "sim/store/power_loss_disk.h"
#include "store/sqlite_store.h"
#include "support/scratch.h"
#include "unit/store/model.h"

namespace quipu::store::sim {
namespace {

#ifdef QUIPU_SANITIZED
constexpr std::uint64_t kTransactions = 5;
#else
constexpr std::uint64_t kTransactions = 20;
#endif
constexpr int kVariants = 12;           // at random, of each moment
constexpr std::uint64_t kSector = 512;  // is written as a whole or not at all
constexpr std::uint64_t kParts = 4;     // which run beside each other
constexpr std::uint64_t kScrubEach = 3;
constexpr std::uint64_t kReopenEach = 8;
constexpr std::uint64_t kChangeKeyEach = 6;

// The two keys that the store may be sealed with when the power is back.
Secret<32> store_key(std::uint8_t number) {
  Secret<32> key;
  key.mutable_view()[0] = number;
  return key;
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

// What is surely on the disk, and what happened to it since: at one moment of the series.
class Moment {
 public:
  explicit Moment(bool syncs_work) : m_syncs_work(syncs_work) {}

  void pass(const Event& event) {
    if (std::holds_alternative<Promise>(event)) {
      ++m_promises;
    } else if (const auto* sync = std::get_if<Sync>(&event)) {
      if (m_syncs_work) settle(sync->inode);
    } else {
      m_pending.push_back(event);
    }
  }

  std::uint64_t promises() const { return m_promises; }

  Contents nothing_kept() const { return m_surely; }

  Contents all_kept() const {
    Contents contents = m_surely;
    for (const Event& event : m_pending)
      contents.apply(event);
    return contents;
  }

  // Names change in order, as in a journal of the file system; everything else as it comes.
  Contents some_kept(std::mt19937_64& random) const {
    Contents contents = m_surely;
    std::vector<Event> kept;
    bool named = true;
    for (const Event& event : m_pending) {
      if (std::holds_alternative<Name>(event)) {
        named = named && random() % 4 != 0;
        if (named) contents.apply(event);
      } else if (random() % 2 == 0) {
        kept.push_back(event);
      }
    }
    if (random() % 2 == 0) std::ranges::shuffle(kept, random);
    for (const Event& event : kept)
      apply_torn(contents, event, random);
    return contents;
  }

 private:
  // The first sync of a new file syncs its folder, too, so that its name stays; as SQLite does it on Linux.
  void settle(Inode inode) {
    const bool folder = inode == kNoInode || std::ranges::any_of(m_pending, [&](const Event& event) {
                          const auto* name = std::get_if<Name>(&event);
                          return name != nullptr && name->inode == inode;
                        });
    std::erase_if(m_pending, [&](const Event& event) {
      const auto* write = std::get_if<Write>(&event);
      const auto* cut = std::get_if<Truncate>(&event);
      const bool settled =
          std::holds_alternative<Name>(event) ? folder : (write != nullptr ? write->inode : cut->inode) == inode;
      if (settled) m_surely.apply(event);
      return settled;
    });
  }

  // Of every other one, only some sectors.
  static void apply_torn(Contents& contents, const Event& event, std::mt19937_64& random) {
    const auto* write = std::get_if<Write>(&event);
    if (write == nullptr || random() % 2 == 0) return contents.apply(event);
    for (std::uint64_t at = 0; at < write->octets.size();) {
      const std::uint64_t size =
          std::min(kSector - (write->offset + at) % kSector, std::uint64_t{write->octets.size()} - at);
      const ByteView part = ByteView(write->octets).subspan(at, size);
      if (random() % 2 == 0) contents.apply(Write{write->inode, write->offset + at, Bytes(part.begin(), part.end())});
      at += size;
    }
  }

  bool m_syncs_work;
  Contents m_surely;
  std::vector<Event> m_pending;
  std::uint64_t m_promises = 0;
};

// The parameter: which part of the moments is looked at.
class PowerLoss : public testing::TestWithParam<std::uint64_t> {
 protected:
  std::unique_ptr<SqliteStore> open() {
    auto store = SqliteStore::open(path, store_key(0), rng, store_key(1));
    if (!store) error = store.error().text;
    return store ? *std::move(store) : nullptr;
  }

  // Commits the model's transactions; each of `models` is what the store holds after so many of them.
  void commit(std::uint64_t transactions) {
    auto store = open();
    ASSERT_NE(store, nullptr) << error;
    Model model;
    models.push_back(model);
    for (std::uint64_t done = 1; done <= transactions; ++done) {
      ASSERT_TRUE(store->commit(model.next()).has_value());
      disk.promise();
      models.push_back(model);
      ASSERT_TRUE(done % kScrubEach != 0 || store->scrub().has_value());
      ASSERT_TRUE(!store->key_changing() || store->advance_key_change([] { return Result<void>(); }).has_value());
      ASSERT_TRUE(done % kChangeKeyEach != 0 || store->seal_with(store_key(1), store_key(0)).has_value());
      if (done % kReopenEach != 0) continue;
      store.reset();
      store = open();
      ASSERT_NE(store, nullptr) << error;
    }
  }

  // How many transactions are there when the power is back; empty when the store does not open.
  std::optional<std::uint64_t> held_after(Contents contents, bool compare) {
    disk.restart(std::move(contents));
    const auto store = open();
    if (store == nullptr) return std::nullopt;
    const std::uint64_t held = store->load(models.front().pool())->books.received;
    if (compare && held < models.size()) models.at(held).expect_equal(*store);
    return held;
  }

  // Of one moment. What may not be is told by `kept`.
  template <class Kept>
  void fail_power(const Moment& moment, bool compare, const Kept& kept) {
    kept(moment.promises(), held_after(moment.nothing_kept(), compare));
    kept(moment.promises(), held_after(moment.all_kept(), compare));
    for (int i = 0; i < kVariants; ++i)
      kept(moment.promises(), held_after(moment.some_kept(random), compare));
  }

  PowerLossDisk disk;
  test::Scratch scratch;
  std::string path = scratch.path("kms.db");
  crypto::SystemRng rng;
  std::mt19937_64 random{number_from("QUIPU_SIM_SEED", 1) + GetParam()};
  std::vector<Model> models;
  std::string error;
};

TEST_P(PowerLoss, LosesNothingAcknowledgedAndBringsNothingBack) {
  commit(number_from("QUIPU_STORE_TRANSACTIONS", kTransactions));
  const std::vector<Event> events = disk.events();
  Moment moment(true);
  for (std::size_t i = 0; i < events.size() && !HasFailure(); ++i) {
    SCOPED_TRACE("event " + std::to_string(i));
    moment.pass(events[i]);
    if (i % kParts != GetParam()) continue;
    fail_power(moment, true, [&](std::uint64_t promised, std::optional<std::uint64_t> held) {
      ASSERT_TRUE(held.has_value()) << error;
      EXPECT_GE(*held, promised) << "an acknowledged transaction is lost";
      EXPECT_LE(*held, promised + 1);
    });
  }
  EXPECT_EQ(moment.promises(), models.size() - 1);
}

// A campaign that cannot fail proves nothing.
TEST_P(PowerLoss, IsNoticedWhereSyncsDoNothing) {
  commit(kTransactions);
  const std::vector<Event> events = disk.events();
  Moment moment(false);
  unsigned lost = 0;
  unsigned looks = 0;
  for (const Event& event : events) {
    moment.pass(event);
    if (!std::holds_alternative<Promise>(event) || moment.promises() % kParts != GetParam()) continue;
    ++looks;
    fail_power(moment, false, [&](std::uint64_t promised, std::optional<std::uint64_t> held) {
      lost += !held || *held < promised ? 1U : 0U;
    });
  }
  EXPECT_GT(lost, looks);
}

INSTANTIATE_TEST_SUITE_P(Part, PowerLoss, testing::Range(std::uint64_t{0}, kParts));

}  // namespace
}  // namespace quipu::store::sim
