// SPDX-License-Identifier: Apache-2.0
// Notices what makes every session key void: the machine was cloned, restored from a snapshot, or slept (and may have
// been woken more than once from the same image). A key that lived on could seal two packets with one nonce.
#pragma once

#include <functional>
#include <optional>

#include "base/result.h"
#include "base/time.h"
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

}  // namespace quipu::daemon
