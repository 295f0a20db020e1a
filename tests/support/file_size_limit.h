// SPDX-License-Identifier: Apache-2.0
// While it lives, this process writes no file beyond so many octets: a disk without room, for whoever tries.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

namespace quipu::test {

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t octets) {
    ::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &m_before), 0);
    const rlimit limit{.rlim_cur = octets, .rlim_max = m_before.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }

  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

  ~FileSizeLimit() { EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &m_before), 0); }

 private:
  rlimit m_before{};
};

}  // namespace quipu::test
