// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "net/loop.h"

namespace quipu::test {

// Runs the loop until `done` says so. A minute without that fails the test: hardly anything here takes a second.
template <class Done>
void run_until(net::Loop& loop, Done done, std::string_view what = "what it was run for") {
  net::Timer watchdog(loop, [&] {
    ADD_FAILURE() << "the loop waited in vain for " << what;
    loop.stop();
  });
  watchdog.set(net::Loop::now() + std::chrono::minutes(1));
  net::Callback<void()> check;
  net::Timer again(loop, [&] { check(); });
  check = [&] {
    if (done()) return loop.stop();
    again.set(net::Loop::now() + std::chrono::milliseconds(1));
  };
  again.set(net::Loop::now());
  loop.run();
}

}  // namespace quipu::test
