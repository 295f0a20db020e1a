// SPDX-License-Identifier: Apache-2.0
// Reads the entropy source that the configuration names, a character device or a FIFO, as fast as its octets are
// wanted. By a timer and without blocking: not every driver of such a device tells when there is something to read.
#pragma once

#include <functional>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/unique_fd.h"
#include "net/loop.h"

namespace quipu::kmsd {

class EntropyReader {
 public:
  struct Events {
    std::function<std::size_t()> room;       // octets that are wanted now
    std::function<void(ByteView)> received;  // at most so many; wiped when it returns
    std::function<void()> gone = [] {};      // cannot be read; what comes next comes after a gap
  };

  // `loop` and `log` outlive it. Begins with wake().
  EntropyReader(net::Loop& loop, std::string path, Events events, LogSink& log);
  EntropyReader(const EntropyReader&) = delete;
  EntropyReader& operator=(const EntropyReader&) = delete;

  // Whether `path` is such a source, and may be read. It is not opened: who writes to a FIFO would take notice.
  static Result<void> check(const std::string& path);

  // There may be room again.
  void wake();

  const std::string& path() const { return m_path; }

  // Why it cannot be read; empty while it can.
  const std::string& problem() const { return m_problem; }

 private:
  void on_due();
  Result<void> open();
  // Whether the source had something.
  Result<bool> read();
  void lost(const Error& error);

  std::string m_path;
  Events m_events;
  LogSink& m_log;
  UniqueFd m_fd;
  SecretBytes m_chunk;
  std::string m_problem;
  bool m_open = false;     // else to be opened, again if it was before
  bool m_waiting = false;  // for the timer
  net::Timer m_timer;
};

}  // namespace quipu::kmsd
