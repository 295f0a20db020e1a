// SPDX-License-Identifier: Apache-2.0
#include "service/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace quipu::service {

Result<SignalSource> SignalSource::create() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    ::sigaddset(&signals, signal);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    return fail_system("pthread_sigmask", error);
  UniqueFd fd(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!fd) return fail_system("signalfd");
  return SignalSource(std::move(fd));
}

std::optional<Signal> SignalSource::next() {
  signalfd_siginfo info{};
  const ssize_t size = ::read(m_fd.get(), &info, sizeof info);
  if (size != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return info.ssi_signo == static_cast<std::uint32_t>(SIGHUP) ? Signal::reload : Signal::terminate;
}

}  // namespace quipu::service
