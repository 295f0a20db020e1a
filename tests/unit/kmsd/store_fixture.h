// SPDX-License-Identifier: Apache-2.0
// A store on the disk, without the daemon.
#pragma once

#include <gtest/gtest.h>

#include "crypto/rng.h"
#include "store/sqlite_store.h"
#include "support/recorded_log.h"
#include "support/scratch.h"

namespace quipu::kmsd {

class StoreFixture : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::SqliteStore::open(scratch.path("kms.db"), Secret<32>(), rng);
    ASSERT_TRUE(opened.has_value()) << opened.error().text;
    store = *std::move(opened);
  }

  test::Scratch scratch;
  crypto::SystemRng rng;
  test::RecordedLog sink;
  std::unique_ptr<store::SqliteStore> store;
};

}  // namespace quipu::kmsd
