// SPDX-License-Identifier: Apache-2.0
// The watch, over a lease of two slots that is closed.
#include "sim/kms/books_watch.h"

#include <gmock/gmock.h>

namespace quipu::kms::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint32_t kBoth = 2 * kSlotSize;

class BooksWatchTest : public ::testing::Test {
 protected:
  BooksWatchTest() {
    LeaseRecord record;
    record.id = LeaseId(Uuid{{1}});
    record.extents = {{BlockId(Uuid{{2}}), {0, kBoth}}};
    record.key_ids = {kFirst, kSecond};
    commit({AddLease{record}, Books{.received = kBoth, .leased = kBoth}});
    watch.check();
  }

  // With so much of it booked as delivered, and the rest burnt.
  void close(std::uint64_t delivered) {
    commit({SetLease{LeaseId(Uuid{{1}}), {}, true, false},
            Books{.received = kBoth, .delivered = delivered, .burnt = kBoth - delivered}});
  }

  void hand_out(const Uuid& key) { watch.handed_out(KeyId(key.text()), kSlotSize); }

  void commit(std::vector<Change> changes) {
    Transaction transaction(KmeId("b"));
    for (Change& change : changes)
      transaction.add(std::move(change));
    watch.committed(transaction);
  }

  static constexpr Uuid kFirst{{3}};
  static constexpr Uuid kSecond{{4}};
  BooksWatch watch;
};

TEST_F(BooksWatchTest, WhatLeavesIsDelivered) {
  hand_out(kFirst);
  close(kSlotSize);
  watch.check();
  hand_out(kFirst);  // to another SAE here
  EXPECT_THAT(watch.take_violations(), IsEmpty());
}

// The lease is closed before the answer with its key leaves.
TEST_F(BooksWatchTest, OneCallMayCloseAndHandOut) {
  close(kSlotSize);
  hand_out(kFirst);
  watch.check();
  EXPECT_THAT(watch.take_violations(), IsEmpty());
}

TEST_F(BooksWatchTest, DeliveredButBookedAsBurnt) {
  hand_out(kFirst);
  close(0);
  watch.check();
  EXPECT_THAT(watch.take_violations(), ElementsAre(HasSubstr("0 octets delivered")));
}

TEST_F(BooksWatchTest, DeliveredAfterItWasBooked) {
  hand_out(kFirst);
  close(kSlotSize);
  watch.check();
  hand_out(kSecond);
  EXPECT_THAT(watch.take_violations(), ElementsAre(HasSubstr("after its lease was closed")));
}

}  // namespace
}  // namespace quipu::kms::sim
