// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

namespace quipu::test {

// Runs `body` in a network namespace of its own, in which `set_up`, a shell command, was run first. The namespace ends
// with it, and with the descriptors that it leaves. Without root the test is skipped: its body is all there is to it.
inline void in_network_namespace(const std::string& set_up, const std::function<void()>& body) {
  if (::geteuid() != 0) GTEST_SKIP() << "a network namespace needs root";
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(std::system(set_up.c_str()), 0) << set_up;
    body();
  }).join();
}

}  // namespace quipu::test
