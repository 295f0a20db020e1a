// SPDX-License-Identifier: Apache-2.0
// Notices what makes every session key void: the machine was cloned, restored from a snapshot, or slept (and may have
// been woken more than once from the same image). A key that lived on could seal two packets with one nonce.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/log.h"
#include "net/loop.h"
#include "service/machine.h"

namespace quipu::daemon {

class MachineWatch {
 public:
  struct Reading {
    service::MachineState state;
    Duration asleep{};  // since boot
  };

  explicit MachineWatch(const Reading& at_start) : m_last(at_start) {}

  // Why every key is void since the last reading; nothing while all is as before.
  std::optional<std::string_view> compare(const Reading& now);

 private:
  Reading m_last;
};

Result<MachineWatch::Reading> read_machine();

// How it is told that this machine was restored, cloned or slept.
struct MachineSource {
  std::function<Result<MachineWatch::Reading>()> read = read_machine;
  int fd = service::machine_state_fd();  // readable when there may be news; -1: there is no such descriptor
};

// The watch on a loop: looks as soon as the kernel announces something, and whenever it is asked to.
class MachineMonitor {
 public:
  // `loop` and `log` outlive this. Called from the loop or from check().
  MachineMonitor(net::Loop& loop, LogSink& log, const MachineWatch::Reading& at_start, net::Callback<void()> on_change,
                 MachineSource source = {});
  MachineMonitor(const MachineMonitor&) = delete;
  MachineMonitor& operator=(const MachineMonitor&) = delete;
  ~MachineMonitor() = default;

  void check();

 private:
  LogSink& m_log;
  MachineWatch m_watch;
  net::Callback<void()> m_on_change;
  MachineSource m_source;
  bool m_unreadable = false;
  std::unique_ptr<net::FdWatch> m_news;
};

}  // namespace quipu::daemon
