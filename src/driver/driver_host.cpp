// SPDX-License-Identifier: Apache-2.0
#include "driver/driver_host.h"

#include "driver/host_state.h"

namespace quipu::driver {

std::string_view to_string(DeviceState state) {
  switch (state) {
    case DeviceState::stopped: return "stopped";
    case DeviceState::starting: return "starting";
    case DeviceState::aligning: return "aligning";
    case DeviceState::running: return "running";
    case DeviceState::link_down: return "link_down";
    case DeviceState::aborted: return "aborted";
    case DeviceState::fault: return "fault";
  }
  return "unknown";
}

std::string_view to_string(HostState state) {
  switch (state) {
    case HostState::stopped: return "stopped";
    case HostState::starting: return "starting";
    case HostState::running: return "running";
    case HostState::backoff: return "backoff";
    case HostState::failed: return "failed";
  }
  return "unknown";
}

DriverHost::DriverHost(DriverHostConfig config, DriverEvents& events, LogSink& log)
    : m_state(std::make_unique<State>(std::move(config), events, log)) {}

DriverHost::~DriverHost() = default;

void DriverHost::start(TimePoint now) {
  QUIPU_ASSERT(!m_state->process);
  m_state->wanted = true;
  m_state->backoff = m_state->config.first_backoff;
  m_state->start_process(now);
}

void DriverHost::stop(TimePoint now) {
  m_state->stop(now);
}

int DriverHost::fd() const {
  return m_state->epoll.get();
}

void DriverHost::handle_readable(TimePoint now) {
  m_state->handle_readable(now);
}

std::optional<TimePoint> DriverHost::next_deadline() const {
  return m_state->deadline;
}

void DriverHost::handle_deadline(TimePoint now) {
  m_state->handle_deadline(now);
}

void DriverHost::acknowledge(std::uint32_t count) {
  m_state->acknowledge(count);
}

Result<void> DriverHost::send_peer_message(ByteView message) {
  QUIPU_TRY(m_state->require(&DriverIdentity::peer_messages, "exchanges no messages with its peer"));
  if (message.size() > kMaxPeerMessage) return fail(Errc::too_large, "a peer message for the driver");
  return m_state->send(FrameType::peer_message, message);
}

const DriverStatus& DriverHost::status() const {
  return m_state->status;
}

std::optional<int> DriverHost::pid() const {
  if (!m_state->process) return std::nullopt;
  return m_state->process->pid();
}

}  // namespace quipu::driver
