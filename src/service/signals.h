// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"

namespace quipu::service {

enum class Signal { terminate, reload };

// SIGTERM and SIGINT as terminate, SIGHUP as reload, through a descriptor (signalfd). Made before any thread is, since
// it blocks the signals for the threads that follow.
class SignalSource {
 public:
  static Result<SignalSource> create();

  // Readable when a signal waits.
  int fd() const { return m_fd.get(); }

  // The next waiting signal; nothing when there is none.
  std::optional<Signal> next();

 private:
  explicit SignalSource(UniqueFd fd) : m_fd(std::move(fd)) {}

  UniqueFd m_fd;
};

}  // namespace quipu::service
