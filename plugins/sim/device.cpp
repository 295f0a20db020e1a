// SPDX-License-Identifier: Apache-2.0
#include "device.h"

#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <charconv>

namespace quipu::sim {
namespace {

// Blocks that wait for the host; beyond that no more are made.
constexpr std::size_t kMostReady = 8;
constexpr Duration kLongestSleep = std::chrono::seconds(1);

TimePoint boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return TimePoint(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

std::int64_t wall_clock_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::optional<double> fraction(std::span<const struct quipu_option> arguments) {
  if (arguments.size() != 1 || std::string_view(arguments[0].key) != "fraction") return std::nullopt;
  const std::string_view text = arguments[0].value;
  double value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0 && value <= 1)) return std::nullopt;
  return value;
}

}  // namespace

Device::Device(const struct quipu_host& host, const SimOptions& options)
    : m_host(host),
      m_options(options),
      m_wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      m_exchange(options.role, options.block_octets, m_rng),
      m_fibre(options.role, options.fibre),
      m_model(options, boot_time()),
      m_published{} {
  QUIPU_ASSERT(m_wake);
}

Device::~Device() {
  stop();
}

int Device::start() {
  if (m_thread.joinable()) return QUIPU_E_STATE;
  m_wanted.stop = false;
  m_published.state = QUIPU_STATE_STARTING;
  m_thread = std::thread([this] { run(); });
  return QUIPU_OK;
}

void Device::stop() {
  if (!m_thread.joinable()) return;
  {
    const std::scoped_lock lock(m_mutex);
    m_wanted.stop = true;
  }
  wake();
  m_thread.join();
  m_published.state = QUIPU_STATE_STOPPED;
}

void Device::telemetry(struct quipu_telemetry& out) {
  const std::scoped_lock lock(m_mutex);
  const std::uint32_t size = out.size;
  out = m_published;
  out.size = size;
}

int Device::inject(std::string_view scenario, std::span<const struct quipu_option> arguments) {
  const auto intercepted = scenario == "intercept" ? fraction(arguments) : std::nullopt;
  const bool cut = scenario == "fibre_cut";
  if (!cut && scenario != "fibre_restore" && scenario != "intercept") return QUIPU_E_UNSUPPORTED;
  if (scenario == "intercept" ? !intercepted : !arguments.empty()) return QUIPU_E_ARGUMENT;
  {
    const std::scoped_lock lock(m_mutex);
    if (intercepted)
      m_wanted.intercepted = *intercepted;
    else
      m_wanted.cut = cut;
  }
  wake();
  return QUIPU_OK;
}

void Device::run() {
  for (;;) {
    const TimePoint now = boot_time();
    if (take_wishes(now).stop) break;
    m_model.advance(now, m_exchange.aligned() && has_room());
    serve_fibre(now);
    make_blocks(now);
    deliver();
    m_model.advance(now, m_exchange.aligned() && has_room());
    publish(now);
    wait(now);
  }
  deliver();  // both ends have counted these blocks
  drop(boot_time(), "stopped");
}

Device::Wanted Device::take_wishes(TimePoint now) {
  eventfd_t ignored = 0;
  ::eventfd_read(m_wake.get(), &ignored);
  Wanted wanted;
  {
    const std::scoped_lock lock(m_mutex);
    wanted = m_wanted;
  }
  m_model.set_intercepted(wanted.intercepted);
  m_fibre.set_cut(wanted.cut);
  if (wanted.cut && m_fibre.is_connected()) drop(now, "the fibre is cut");
  m_cut = wanted.cut;
  return wanted;
}

void Device::wait(TimePoint now) {
  std::vector<pollfd> descriptors = {{m_wake.get(), POLLIN, 0}};
  m_fibre.interest(descriptors);
  const auto left = std::max(Duration{}, next_wake(now) - boot_time());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  const timespec timeout{seconds.count(), (left - seconds).count()};
  ::ppoll(descriptors.data(), descriptors.size(), &timeout, nullptr);
}

TimePoint Device::next_wake(TimePoint now) const {
  TimePoint wake = now + kLongestSleep;
  if (const auto attempt = m_fibre.next_attempt()) wake = std::min(wake, *attempt);
  if (m_exchange.may_propose() && has_room()) wake = std::min(wake, m_model.next_block(now, m_options.block_octets));
  return wake;
}

void Device::serve_fibre(TimePoint now) {
  switch (m_fibre.service(now)) {
    case Fibre::Change::connected: send(m_exchange.connected(), now); break;
    case Fibre::Change::disconnected: m_exchange.disconnected(); break;
    case Fibre::Change::none: break;
  }
  handle_received(now);
  announce();
}

void Device::handle_received(TimePoint now) {
  while (m_fibre.is_connected()) {
    const auto parsed = parse_message(m_fibre.received());
    if (!parsed) return drop(now, parsed.error().text);
    if (!*parsed) return;
    m_fibre.consume((*parsed)->size);
    auto step = m_exchange.handle((*parsed)->message);
    if (!step) return drop(now, step.error().text);
    // The block is the pair's from here on, whether or not the message still gets through.
    if (step->deliver) m_ready.push_back(std::move(*step->deliver));
    if (!step->send.empty()) send(step->send, now);
  }
}

void Device::make_blocks(TimePoint now) {
  if (!has_room() || m_model.aborted(now)) return;
  if (m_exchange.may_propose() && m_model.take_block(m_options.block_octets)) send(m_exchange.propose(), now);
  if (m_exchange.may_accept()) send(m_exchange.accept(), now);
}

bool Device::has_room() const {
  return m_ready.size() < kMostReady;
}

void Device::send(ByteView message, TimePoint now) {
  if (!m_fibre.send(message)) drop(now, "the fibre broke");
}

void Device::drop(TimePoint now, const std::string& reason) {
  m_fibre.drop(now, reason);
  m_exchange.disconnected();
}

void Device::deliver() {
  while (!m_ready.empty()) {
    const KeyBlock& ready = m_ready.front();
    struct quipu_block block{};
    block.size = sizeof block;
    block.flags = QUIPU_BLOCK_SIMULATED;
    std::copy(ready.id.octets.begin(), ready.id.octets.end(), block.id);
    block.octets = ready.key.view().data();
    block.octet_count = ready.key.size();
    block.created_ns = wall_clock_ns();
    block.sequence = ready.sequence;
    block.failure_probability = -1;
    if (m_host.deliver_block(m_host.context, &block) != QUIPU_OK) return;
    ++m_delivered;
    m_ready.pop_front();
  }
}

void Device::publish(TimePoint now) {
  const bool running = m_exchange.aligned();
  const bool aborted = running && m_model.aborted(now);
  struct quipu_telemetry out{};
  out.present = QUIPU_T_SKR | QUIPU_T_BLOCKS | QUIPU_T_STORED | (running ? QUIPU_T_QBER | QUIPU_T_LOSS : 0);
  out.state = aborted                  ? QUIPU_STATE_ABORTED
              : running                ? QUIPU_STATE_RUNNING
              : m_fibre.is_connected() ? QUIPU_STATE_ALIGNING
                                       : QUIPU_STATE_LINK_DOWN;
  out.skr_bit_s = running ? m_model.skr_bit_s(now) : 0;
  out.qber = m_model.qber(now);
  out.loss_db = m_options.loss_db;
  out.blocks_delivered = m_delivered;
  out.blocks_failed = m_exchange.failed();
  for (const KeyBlock& block : m_ready)
    out.stored_bits += 8 * block.key.size();
  std::string detail = "SIMULATED";
  if (aborted) detail += ": QBER too high for a secret key";
  if (!running) detail += ": " + (m_cut ? "the fibre is cut" : m_fibre.reason());
  detail.copy(out.detail, sizeof out.detail - 1);
  const std::scoped_lock lock(m_mutex);
  m_published = out;
}

// Each new reason once; the port matters when the system chose it.
void Device::announce() {
  std::string now;
  if (m_exchange.aligned())
    now = "the simulated fibre to the other end is up";
  else if (m_fibre.is_listening() && m_announced.empty())
    now = "the simulated fibre listens at " + m_fibre.endpoint().text();
  else if (!m_fibre.is_connected())
    now = "the simulated fibre is down: " + m_fibre.reason();
  if (now.empty() || now == m_announced) return;
  m_announced = now;
  say(QUIPU_LOG_INFO, now);
}

void Device::say(std::uint32_t level, const std::string& text) const {
  m_host.log(m_host.context, level, text.c_str());
}

void Device::wake() {
  ::eventfd_write(m_wake.get(), 1);
}

}  // namespace quipu::sim
