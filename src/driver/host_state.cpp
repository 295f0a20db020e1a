// SPDX-License-Identifier: Apache-2.0
#include "driver/host_state.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "quipu/driver.h"

namespace quipu::driver {
namespace {

static_assert(kMaxPeerMessage == QUIPU_MAX_PEER_MESSAGE_OCTETS);

// A driver's stop may take ten seconds; then comes the kill.
constexpr Duration kStopTimeout = std::chrono::seconds(12);
constexpr int kResetAfterBackoffs = 10;
// Frames handled per wake-up, so that one driver does not starve the loop. The rest keeps fd() readable.
constexpr int kFramesPerWake = 64;
constexpr Duration kLogPeriod = std::chrono::seconds(10);
constexpr unsigned kLogLinesPerPeriod = 100;

}  // namespace

Result<Bytes> open_message(const DriverHostConfig& config) {
  if (config.options.size() > QUIPU_MAX_OPTIONS)
    return fail(Errc::too_large, "a link has at most " + std::to_string(QUIPU_MAX_OPTIONS) + " options");
  for (const auto& [key, value] : config.options)
    if (key.size() > QUIPU_MAX_TEXT || value.size() > QUIPU_MAX_TEXT)
      return fail(Errc::too_large,
                  "option " + key.substr(0, 32) + " is longer than " + std::to_string(QUIPU_MAX_TEXT) + " octets");
  Bytes out = encode(OpenMessage{config.allow_simulated, config.window, config.options});
  if (out.size() > kMaxFrameBody)
    return fail(Errc::too_large, "the options of a link have at most " + std::to_string(kMaxFrameBody) + " octets");
  QUIPU_TRY(parse_open(out));
  return out;
}

Result<void> accept_identity(const DriverIdentity& identity, const DriverHostConfig& config) {
  if (identity.name != config.driver)
    return fail(Errc::conflict, config.plugin + " holds the driver \"" + identity.name +
                                    "\", and the configuration names \"" + config.driver +
                                    "\": give the file the name of its driver");
  if (!identity.key_source || identity.entropy_source)
    return fail(Errc::unsupported, "driver " + identity.name +
                                       " supplies random octets, which Quipu has no use for: a link takes a driver "
                                       "whose only role is that of a key source (QUIPU_ROLE_KEY)");
  if (!identity.push)
    return fail(Errc::unsupported, "driver " + identity.name +
                                       " gives keys only when asked, and Quipu does not ask: a link takes a driver "
                                       "that delivers them as they arise (QUIPU_CAP_PUSH)");
  if (identity.simulated && !config.allow_simulated)
    return fail(Errc::policy,
                "driver " + identity.name +
                    " simulates its device, and its keys are not quantum keys: set allow_simulated = true "
                    "for this link to use it all the same");
  return {};
}

DriverHost::State::State(DriverHostConfig config_in, DriverEvents& events_in, LogSink& log_in)
    : config(std::move(config_in)), events(events_in), log(log_in), epoll(::epoll_create1(EPOLL_CLOEXEC)) {
  QUIPU_ASSERT(epoll && config.window > 0);
}

Result<void> DriverHost::State::spawn(ByteView open, TimePoint now) {
  QUIPU_TRY_ASSIGN(ChildProcess child, ChildProcess::spawn(config.program, config.plugin));
  process.emplace(std::move(child));
  channel.emplace(process->socket(), Direction::from_driver);
  watch(process->socket(), EPOLLIN, EPOLL_CTL_ADD);
  watch(process->exit_fd(), EPOLLIN, EPOLL_CTL_ADD);
  m_watching_writable = false;
  m_suspected = false;
  m_permanent = false;
  m_stale += std::exchange(m_outstanding, 0);
  status.identity.reset();
  status.telemetry.reset();
  deadline = now + config.start_timeout;
  set_state(HostState::starting);
  // Into an empty pipe: it fails only when the process has gone already.
  if (!send(FrameType::open, open)) end("");
  return {};
}

// What stands in the way (too many processes, a package being replaced) may go away: the other links need the daemon.
void DriverHost::State::start_process(TimePoint now) {
  m_started = now;
  const auto open = open_message(config);
  const auto spawned = open ? spawn(*open, now) : std::unexpected(open.error());
  if (spawned) return;
  status.problem = spawned.error().text;
  log.error("driver_not_started", "driver process could not be started",
            {{"link", config.link}, {"text", status.problem}});
  if (open) return schedule_restart(now);
  set_state(HostState::failed);
}

void DriverHost::State::stop(TimePoint now) {
  wanted = false;
  if (!process) {
    deadline.reset();
    set_state(HostState::stopped);
  } else if (channel && send(FrameType::stop, {})) {
    deadline = now + kStopTimeout;
  } else {
    end("");
  }
}

void DriverHost::State::handle_readable(TimePoint now) {
  if (channel) {
    if (!channel->flush()) end("");
    receive(now);
    update_writable();
  }
  if (!process) return;
  // What the process wrote before it ended is read first, all of it: why it ended comes last.
  const auto how = process->reap();
  if (!how) return;
  while (receive(now)) {
  }
  reaped(*how, now);
}

bool DriverHost::State::receive(TimePoint now) {
  for (int i = 0; i < kFramesPerWake && channel; ++i) {
    auto frame = channel->receive();
    if (!frame) {
      end(frame.error().code == Errc::closed ? "" : "the driver's process sent " + frame.error().text);
    } else if (!*frame) {
      return false;
    } else if (const auto handled = handle_frame(std::move(**frame), now); !handled) {
      end(handled.error().text);
    } else {
      heard(now);
    }
  }
  return channel.has_value();
}

Result<void> DriverHost::State::handle_frame(Frame frame, TimePoint now) {
  const bool before_hello = !status.identity;
  const bool early = frame.type == FrameType::hello || frame.type == FrameType::log || frame.type == FrameType::failed;
  if (before_hello && !early) return fail(Errc::malformed, "the driver's process did not introduce itself");
  switch (frame.type) {
    case FrameType::hello: return on_hello(frame.body.view());
    case FrameType::opened: return on_opened();
    case FrameType::block: return on_block(frame.body.view());
    case FrameType::peer_message_out: return on_peer_message(std::move(frame.body));
    case FrameType::telemetry: return on_telemetry(frame.body.view());
    case FrameType::log: return on_log(frame.body.view(), now);
    case FrameType::refused: return on_refused(frame.body.view());
    case FrameType::failed: return on_failed(frame.body.view());
    default: return fail(Errc::malformed, "a frame for the other direction");
  }
}

Result<void> DriverHost::State::on_hello(ByteView body) {
  if (status.identity) return fail(Errc::malformed, "the driver's process introduced itself twice");
  QUIPU_TRY_ASSIGN(DriverIdentity identity, parse_identity(body));
  const auto accepted = accept_identity(identity, config);
  m_permanent = !accepted;
  QUIPU_TRY(accepted);
  status.identity = std::move(identity);
  return {};
}

Result<void> DriverHost::State::on_opened() {
  if (status.state != HostState::starting) return fail(Errc::malformed, "the driver's process opened twice");
  const DriverIdentity& identity = *status.identity;
  log.info("driver_running", "driver opened its device",
           {{"link", config.link}, {"driver", identity.name}, {"version", identity.version}});
  set_state(HostState::running);
  return {};
}

// The other end counts too, so a driver that exceeds its window has a process that is not ours any more.
Result<void> DriverHost::State::take_from_window() {
  if (m_outstanding >= config.window) return fail(Errc::malformed, "the driver's process sent more than its window");
  ++m_outstanding;
  return {};
}

Result<void> DriverHost::State::on_block(ByteView body) {
  QUIPU_TRY(take_from_window());
  QUIPU_TRY_ASSIGN(DriverBlock block, parse_block(body));
  if (!status.identity->key_source) return fail(Errc::malformed, "the driver sent a key and is no key source");
  if (block.simulated != status.identity->simulated)
    return fail(Errc::malformed, "the driver sent a block whose simulated flag contradicts what the driver is");
  ++status.blocks;
  events.on_block(std::move(block));
  return {};
}

Result<void> DriverHost::State::on_peer_message(SecretBytes message) {
  if (!status.identity->peer_messages || message.empty() || message.size() > kMaxPeerMessage)
    return fail(Errc::malformed, "the driver sent a peer message that it may not send");
  QUIPU_TRY(take_from_window());
  events.on_peer_message(std::move(message));
  return {};
}

Result<void> DriverHost::State::on_telemetry(ByteView body) {
  QUIPU_TRY_ASSIGN(DriverTelemetry telemetry, parse_telemetry(body));
  if (status.telemetry == telemetry) return {};
  status.telemetry = std::move(telemetry);
  events.on_status(status);
  return {};
}

Result<void> DriverHost::State::on_log(ByteView body, TimePoint now) {
  QUIPU_TRY_ASSIGN(const LogMessage message, parse_log(body));
  if (now - m_log_period >= kLogPeriod) {
    m_log_period = now;
    m_log_lines = 0;
  }
  if (++m_log_lines > kLogLinesPerPeriod) return {};
  const bool last = m_log_lines == kLogLinesPerPeriod;
  const std::array fields = {LogField{"link", config.link}, LogField{"text", message.text}};
  log.write(message.level, "driver_log", last ? "driver logs too much; lines are dropped" : "driver says", fields);
  return {};
}

Result<void> DriverHost::State::on_refused(ByteView body) {
  QUIPU_TRY_ASSIGN(const OutcomeMessage outcome, parse_outcome(body));
  log.warning("driver_request", "driver refused a request", {{"link", config.link}, {"text", outcome.text}});
  return {};
}

Result<void> DriverHost::State::on_failed(ByteView body) {
  QUIPU_TRY_ASSIGN(const OutcomeMessage outcome, parse_outcome(body));
  m_permanent = outcome.permanent;
  return fail(Errc::refused, outcome.text);
}

void DriverHost::State::heard(TimePoint now) {
  m_suspected = false;
  if (channel && wanted && status.state == HostState::running) deadline = now + config.hang_timeout / 2;
}

void DriverHost::State::handle_deadline(TimePoint now) {
  if (!deadline || now < *deadline) return;
  if (!process) {
    deadline.reset();
    return start_process(now);
  }
  // A sign of life may wait unread, when it was this process that did not run.
  handle_readable(now);
  if (!process || !deadline || now < *deadline) return;
  if (wanted && status.state == HostState::running && !m_suspected) {
    m_suspected = true;
    deadline = now + config.hang_timeout / 2;
    return;
  }
  if (!wanted)
    end("the driver's process did not stop when asked and was killed");
  else if (status.state == HostState::starting)
    end("the driver did not open its device in time and was killed");
  else
    end("the driver's process gave no sign of life and was killed");
}

void DriverHost::State::acknowledge(std::uint32_t count) {
  const std::uint32_t stale = std::min(count, m_stale);
  m_stale -= stale;
  count -= stale;
  QUIPU_ASSERT(count <= m_outstanding);
  m_outstanding -= count;
  if (count == 0 || !channel) return;
  // A driver that does not even take its credit back is not reading at all.
  if (const auto sent = send(FrameType::credit, encode_credit(count)); !sent) end(sent.error().text);
}

Result<void> DriverHost::State::send(FrameType type, ByteView body) {
  const auto sent = channel->send(type, body);
  if (!sent && sent.error().code == Errc::closed) end("");
  update_writable();
  return sent;
}

Result<void> DriverHost::State::require(bool DriverIdentity::* capability, std::string_view otherwise) const {
  if (status.state != HostState::running || !channel)
    return fail(Errc::unavailable, config.link + ": the driver is not running");
  if ((*status.identity).*capability) return {};
  return fail(Errc::unsupported, config.link + ": driver " + status.identity->name + " " + std::string(otherwise));
}

void DriverHost::State::end(std::string problem) {
  if (!channel) return;
  m_explained = !problem.empty();
  if (m_explained) status.problem = std::move(problem);
  channel.reset();
  process->close_socket();
  process->kill();
  deadline.reset();
}

void DriverHost::State::reaped(const std::string& how, TimePoint now) {
  if (channel) end("");
  process.reset();
  if (!wanted) {
    deadline.reset();
    return set_state(HostState::stopped);
  }
  if (!m_explained) status.problem = "the driver's process ended: " + how;
  log.error("driver_ended", "driver process ended", {{"link", config.link}, {"text", status.problem}});
  if (!m_permanent) return schedule_restart(now);
  deadline.reset();
  set_state(HostState::failed);
}

void DriverHost::State::schedule_restart(TimePoint now) {
  if (now - m_started >= kResetAfterBackoffs * config.longest_backoff) backoff = config.first_backoff;
  ++status.restarts;
  deadline = now + backoff;
  backoff = std::min(backoff * 2, config.longest_backoff);
  set_state(HostState::backoff);
}

void DriverHost::State::update_writable() {
  if (!channel || channel->waiting_to_send() == m_watching_writable) return;
  m_watching_writable = channel->waiting_to_send();
  watch(process->socket(), m_watching_writable ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

void DriverHost::State::set_state(HostState state) {
  if (status.state == state) return;
  status.state = state;
  events.on_status(status);
}

void DriverHost::State::watch(int fd, std::uint32_t interest, int operation) {
  epoll_event event{};
  event.events = interest;
  event.data.fd = fd;
  QUIPU_ASSERT(::epoll_ctl(epoll.get(), operation, fd, &event) == 0);
}

}  // namespace quipu::driver
