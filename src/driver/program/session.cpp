// SPDX-License-Identifier: Apache-2.0
#include "driver/program/session.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>

#include "driver/program/plugin.h"

namespace quipu::driver {
namespace {

constexpr std::int64_t kTelemetryIntervalMs = 1000;

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::string_view result_text(int result) {
  switch (result) {
    case QUIPU_OK: return "done";
    case QUIPU_BUSY: return "busy";
    case QUIPU_E_ARGUMENT: return "an argument is not permitted";
    case QUIPU_E_OPTION: return "an option is unknown, missing or wrong";
    case QUIPU_E_DEVICE: return "the device does not answer or reports a fault";
    case QUIPU_E_STATE: return "not possible in this state";
    case QUIPU_E_UNSUPPORTED: return "not supported";
    case QUIPU_E_CLOSED: return "closed";
    default: return "a result that the ABI does not know";
  }
}

std::vector<struct quipu_option> as_c(const Options& options) {
  std::vector<struct quipu_option> out;
  for (const auto& [key, value] : options)
    out.push_back({key.c_str(), value.c_str()});
  return out;
}

DriverTelemetry from_c(const struct quipu_telemetry& in) {
  DriverTelemetry out;
  const auto set = [&](std::uint64_t field, auto& to, auto value) {
    if ((in.present & field) != 0) to = value;
  };
  out.state = in.state <= QUIPU_STATE_FAULT ? static_cast<DeviceState>(in.state) : DeviceState::fault;
  set(QUIPU_T_SKR, out.skr_bit_s, in.skr_bit_s);
  set(QUIPU_T_QBER, out.qber, in.qber);
  set(QUIPU_T_VISIBILITY, out.visibility, in.visibility);
  set(QUIPU_T_EXCESS_NOISE, out.excess_noise_snu, in.excess_noise_snu);
  set(QUIPU_T_SIFTED, out.sifted_bit_s, in.sifted_bit_s);
  set(QUIPU_T_DETECTIONS, out.detections_s, in.detections_s);
  set(QUIPU_T_BLOCKS, out.blocks_delivered, in.blocks_delivered);
  set(QUIPU_T_BLOCKS, out.blocks_failed, in.blocks_failed);
  set(QUIPU_T_LOSS, out.loss_db, in.loss_db);
  set(QUIPU_T_TEMPERATURE, out.temperature_c, in.temperature_c);
  set(QUIPU_T_STORED, out.stored_bits, in.stored_bits);
  out.detail.assign(in.detail, std::find(in.detail, in.detail + sizeof in.detail, '\0'));
  return out;
}

}  // namespace

Result<void> Session::run(const std::string& plugin) {
  for (;;) {
    QUIPU_TRY_ASSIGN(const auto frame, wait_for_frame(-1));
    if (!frame) continue;
    if (frame->type != FrameType::open && frame->type != FrameType::check)
      return fail(Errc::malformed, "the host did not begin with an open message");
    m_permanent = true;  // until the host, of another version, was started again
    QUIPU_TRY_ASSIGN(const OpenMessage message, parse_open(frame->body.view()));
    m_permanent = false;  // a plugin that cannot be loaded may be there in a moment: its package is being replaced
    QUIPU_TRY_ASSIGN(const DriverIdentity identity, introduce(plugin, message));
    if (frame->type == FrameType::check) return check(message);
    QUIPU_TRY(open(identity, message));
    return serve();
  }
}

Result<DriverIdentity> Session::introduce(const std::string& plugin, const OpenMessage& message) {
  QUIPU_TRY_ASSIGN(m_driver, load_plugin(plugin));
  QUIPU_TRY_ASSIGN(DriverIdentity identity, identify(*m_driver));
  m_bridge.begin(identity, message.window);
  m_bridge.send(FrameType::hello, encode(identity));
  return identity;
}

Result<void> Session::check(const OpenMessage& message) {
  CheckedMessage out{.known = m_driver->check != nullptr, .good = true, .wrong = message.options.size()};
  if (out.known) {
    const auto options = as_c(message.options);
    out.good = m_driver->check(&m_bridge.host(), options.data(), options.size(), &out.wrong) == QUIPU_OK;
    out.wrong = std::min(out.wrong, options.size());
  }
  m_bridge.send(FrameType::checked, encode(out));
  return {};
}

Result<void> Session::open(const DriverIdentity& identity, const OpenMessage& message) {
  if (identity.simulated && !message.allow_simulated) {
    m_permanent = true;
    return fail(Errc::policy, "driver " + identity.name + " simulates its device");  // the host says so in full
  }
  const auto options = as_c(message.options);
  struct quipu_device* device = nullptr;
  if (const int result = m_driver->open(&m_bridge.host(), options.data(), options.size(), &device);
      result != QUIPU_OK || device == nullptr) {
    m_permanent = result == QUIPU_E_OPTION || result == QUIPU_E_ARGUMENT;
    return fail(Errc::refused, "driver " + identity.name + " does not open its device: " +
                                   std::string(result_text(result)) + " (its log lines say more)");
  }
  m_device = {device, Close{m_driver}};
  if (const int result = m_driver->start(device); result != QUIPU_OK)
    return fail(Errc::refused, "driver " + identity.name + " does not start: " + std::string(result_text(result)));
  m_bridge.send(FrameType::opened, {});
  return {};
}

Result<void> Session::serve() {
  std::int64_t next_telemetry = now_ms();
  for (;;) {
    const std::int64_t now = now_ms();
    if (now >= next_telemetry) {
      send_telemetry();
      next_telemetry = now + kTelemetryIntervalMs;
    }
    auto frame = wait_for_frame(static_cast<int>(std::max<std::int64_t>(0, next_telemetry - now)));
    if (!frame && frame.error().code == Errc::closed) return {};
    if (!frame) return std::unexpected(frame.error());
    if (!*frame) continue;
    QUIPU_TRY_ASSIGN(const bool go_on, handle(**frame));
    if (!go_on) return {};
  }
}

// Empty after the timeout, or when a frame is not complete yet.
Result<std::optional<Frame>> Session::wait_for_frame(int timeout_ms) {
  pollfd waiting{m_socket, POLLIN, 0};
  if (::poll(&waiting, 1, timeout_ms) <= 0) return std::nullopt;
  const MutableBytes space = m_decoder.space();
  const ssize_t size = ::recv(m_socket, space.data(), space.size(), MSG_DONTWAIT);
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  if (size <= 0) return fail(Errc::closed, "the host has gone");
  return m_decoder.advance(static_cast<std::size_t>(size));
}

// False when the host wants an end.
Result<bool> Session::handle(const Frame& frame) {
  const ByteView body = frame.body.view();
  switch (frame.type) {
    case FrameType::stop: return false;
    case FrameType::credit: {
      QUIPU_TRY_ASSIGN(const std::uint32_t count, parse_credit(body));
      if (m_bridge.add_credit(count) && m_driver->resume != nullptr) m_driver->resume(m_device.get());
      return true;
    }
    case FrameType::peer_message:
      if (const int result = m_driver->peer_receive(m_device.get(), body.data(), body.size()); result != QUIPU_OK)
        m_bridge.send(FrameType::refused,
                      encode(OutcomeMessage{false, "peer message: " + std::string(result_text(result))}));
      return true;
    default: return fail(Errc::malformed, "the host sent a frame that does not belong here");
  }
}

void Session::send_telemetry() {
  struct quipu_telemetry telemetry{};
  telemetry.size = sizeof telemetry;
  DriverTelemetry out;
  out.state = DeviceState::fault;
  if (const int result = m_driver->telemetry(m_device.get(), &telemetry); result == QUIPU_OK)
    out = from_c(telemetry);
  else
    out.detail = "no telemetry: " + std::string(result_text(result));
  m_bridge.send(FrameType::telemetry, encode(out));
}

}  // namespace quipu::driver
