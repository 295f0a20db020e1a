// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace quipu {

// Owns one file descriptor and closes it. -1 is "none".
class UniqueFd {
 public:
  UniqueFd() = default;

  explicit UniqueFd(int fd) : m_fd(fd) {}

  UniqueFd(UniqueFd&& other) noexcept : m_fd(other.release()) {}

  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }

  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;

  ~UniqueFd() { reset(); }

  int get() const { return m_fd; }

  explicit operator bool() const { return m_fd >= 0; }

  int release() { return std::exchange(m_fd, -1); }

  void reset(int fd = -1);

 private:
  int m_fd = -1;
};

}  // namespace quipu
