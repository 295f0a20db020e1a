// SPDX-License-Identifier: Apache-2.0
// Inside of DriverHost: the life of one driver process after the other.
#pragma once

#include "driver/channel.h"
#include "driver/child_process.h"
#include "driver/driver_host.h"
#include "driver/messages.h"

namespace quipu::driver {

inline constexpr std::size_t kMaxPeerMessage = 65536;

// The body of an open or check message; an error when the options are beyond what driver.h permits.
Result<Bytes> open_message(const DriverHostConfig& config);
// Whether this is the driver that the configuration wants: Errc::conflict when it has another name, Errc::unsupported
// when it supplies something else than keys as they arise, Errc::policy when it is simulated and may not be.
Result<void> accept_identity(const DriverIdentity& identity, const DriverHostConfig& config);

// stopped -> spawn -> starting -> (hello, opened) -> running -> ending -> backoff -> spawn ...
// `ending`: killed or gone, the process is waited for. Whatever went wrong first is the problem that is kept.
struct DriverHost::State {
  State(DriverHostConfig config_in, DriverEvents& events_in, LogSink& log_in);

  void start_process(TimePoint now);
  void stop(TimePoint now);
  void handle_readable(TimePoint now);
  void handle_deadline(TimePoint now);
  void acknowledge(std::uint32_t count);
  // Errors as Channel::send; a process that has gone is dealt with.
  Result<void> send(FrameType type, ByteView body);
  // Whether a running driver has the capability.
  Result<void> require(bool DriverIdentity::* capability, std::string_view otherwise) const;

  DriverHostConfig config;
  DriverEvents& events;
  LogSink& log;
  UniqueFd epoll;
  std::optional<ChildProcess> process;
  std::optional<Channel> channel;  // over process->socket(); empty once the process is ending
  DriverStatus status;
  std::optional<TimePoint> deadline;
  bool wanted = false;  // start was called, and stop was not
  Duration backoff{};

 private:
  Result<void> spawn(ByteView open, TimePoint now);
  // True when there may be more to read.
  bool receive(TimePoint now);
  Result<void> handle_frame(Frame frame, TimePoint now);
  Result<void> on_hello(ByteView body);
  Result<void> on_opened();
  Result<void> on_block(ByteView body);
  Result<void> on_peer_message(SecretBytes message);
  Result<void> on_telemetry(ByteView body);
  Result<void> on_log(ByteView body, TimePoint now);
  Result<void> on_refused(ByteView body);
  Result<void> on_failed(ByteView body);
  Result<void> take_from_window();
  void heard(TimePoint now);
  // Kills the process and remembers why.
  void end(std::string problem);
  void reaped(const std::string& how, TimePoint now);
  void schedule_restart(TimePoint now);
  void update_writable();
  void set_state(HostState state);
  void watch(int fd, std::uint32_t interest, int operation);

  TimePoint m_started{};
  bool m_suspected = false;  // half of the hang timeout has passed in silence
  bool m_explained = false;  // status.problem says why the process is ending
  bool m_permanent = false;
  bool m_watching_writable = false;
  std::uint32_t m_outstanding = 0;  // deliveries of this process that are not acknowledged
  std::uint32_t m_stale = 0;        // and of earlier ones
  TimePoint m_log_period{};
  unsigned m_log_lines = 0;
};

}  // namespace quipu::driver
