// SPDX-License-Identifier: Apache-2.0
#include "driver/driver_check.h"

#include <poll.h>

#include <algorithm>
#include <tuple>

#include "driver/host_state.h"

namespace quipu::driver {
namespace {

using Clock = std::chrono::steady_clock;
using Verdict = std::expected<CheckedDriver, CheckRefusal>;
using Part = CheckRefusal::Part;

constexpr std::size_t kMaxReason = 4096;  // octets, after which nothing more is added

Verdict refuse(Part part, std::string reason, std::optional<std::string> option = std::nullopt) {
  return std::unexpected(CheckRefusal{part, std::move(option), std::move(reason)});
}

// Waits for one of the events; false when the time is over.
bool wait(int fd, short events, Clock::time_point end) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd waiting{fd, events, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<decltype(left)>(left, 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

std::string end_of(ChildProcess& process, Clock::time_point end) {
  if (!wait(process.exit_fd(), POLLIN, end)) return "the driver's process closed its socket";
  return "the driver's process ended: " + process.reap().value_or("nobody knows how");
}

// What a driver's process answers to the question, frame by frame.
class Answer {
 public:
  explicit Answer(const DriverHostConfig& config) : m_config(config) {}

  // The verdict, with the last frame.
  std::optional<Verdict> take(const Frame& frame) {
    const auto taken = read(frame);
    return taken ? *taken : refuse(Part::driver, taken.error().text);
  }

 private:
  Result<std::optional<Verdict>> read(const Frame& frame) {
    const ByteView body = frame.body.view();
    if (frame.type == FrameType::hello) return on_hello(body);
    if (frame.type == FrameType::log) return on_log(body);
    if (frame.type == FrameType::failed) return on_failed(body);
    if (frame.type != FrameType::checked || !m_identity)
      return fail(Errc::malformed, "the driver's process sent a frame that does not belong here");
    return on_checked(body);
  }

  Result<std::optional<Verdict>> on_hello(ByteView body) {
    QUIPU_TRY_ASSIGN(m_identity, parse_identity(body));
    const auto accepted = accept_identity(*m_identity, m_config);
    if (accepted) return std::nullopt;
    const bool simulated = accepted.error().code == Errc::policy;
    return refuse(simulated ? Part::allow_simulated : Part::driver, accepted.error().text);
  }

  Result<std::optional<Verdict>> on_log(ByteView body) {
    QUIPU_TRY_ASSIGN(const LogMessage message, parse_log(body));
    if (message.level != LogLevel::error) return std::nullopt;
    if (m_reason.size() < kMaxReason) m_reason += (m_reason.empty() ? "" : "; ") + message.text;
    return std::nullopt;
  }

  static Result<std::optional<Verdict>> on_failed(ByteView body) {
    QUIPU_TRY_ASSIGN(const OutcomeMessage outcome, parse_outcome(body));
    return refuse(Part::driver, outcome.text);
  }

  Result<std::optional<Verdict>> on_checked(ByteView body) const {
    QUIPU_TRY_ASSIGN(const CheckedMessage checked, parse_checked(body));
    if (!checked.known || checked.good) return Verdict(CheckedDriver{*m_identity, checked.known});
    std::optional<std::string> option;
    if (checked.wrong < m_config.options.size()) option = m_config.options[checked.wrong].first;
    const std::string reason = m_reason.empty() ? "it gives no reason for refusing these options" : m_reason;
    return refuse(Part::options, "driver " + m_identity->name + ": " + reason, std::move(option));
  }

  const DriverHostConfig& m_config;
  std::optional<DriverIdentity> m_identity;
  std::string m_reason;
};

}  // namespace

std::expected<CheckedDriver, CheckRefusal> check_driver(const DriverHostConfig& config, Duration timeout) {
  const Clock::time_point end = Clock::now() + timeout;
  const auto question = open_message(config);
  if (!question) return refuse(Part::options, question.error().text);
  auto process = ChildProcess::spawn(config.program, config.plugin);
  if (!process) return refuse(Part::driver, process.error().text);
  Channel channel(process->socket(), Direction::from_driver);
  std::ignore = channel.send(FrameType::check, *question);  // a process that has gone already is noticed below
  Answer answer(config);
  // A plugin that never stops talking has frames waiting all the time.
  while (Clock::now() < end) {
    auto frame = channel.receive();
    if (!frame) {
      const bool gone = frame.error().code == Errc::closed;
      return refuse(Part::driver,
                    gone ? end_of(*process, end) : "the driver's process sent " + std::move(frame.error().text));
    }
    if (*frame) {
      if (auto verdict = answer.take(**frame)) return *std::move(verdict);
      continue;
    }
    std::ignore = channel.flush();
    const auto events = static_cast<short>(channel.waiting_to_send() ? POLLIN | POLLOUT : POLLIN);
    if (!wait(process->socket(), events, end)) break;
  }
  return refuse(Part::driver, "the driver does not answer, and was ended");
}

}  // namespace quipu::driver
