// SPDX-License-Identifier: Apache-2.0
// Runs one driver plugin in a process of its own (the program quipu-driver) and speaks with it over a socketpair.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace quipu::driver {

using Options = std::vector<std::pair<std::string, std::string>>;

// One block as the driver delivered it. The key has been in locked memory since it left the socket.
struct DriverBlock {
  BlockId id;
  SecretBytes key;
  bool simulated = false;
  std::optional<WallTime> created;
  std::uint64_t sequence = 0;
  bool durable_sequence = false;
  std::optional<double> failure_probability;
};

enum class DeviceState : std::uint8_t { stopped, starting, aligning, running, link_down, aborted, fault };
std::string_view to_string(DeviceState state);

// A field that the device does not report is empty.
struct DriverTelemetry {
  DeviceState state = DeviceState::stopped;
  std::optional<double> skr_bit_s;
  std::optional<double> qber;  // ratio
  std::optional<double> visibility;
  std::optional<double> excess_noise_snu;
  std::optional<double> sifted_bit_s;
  std::optional<double> detections_s;
  std::optional<std::uint64_t> blocks_delivered;
  std::optional<std::uint64_t> blocks_failed;
  std::optional<double> loss_db;
  std::optional<double> temperature_c;
  std::optional<std::uint64_t> stored_bits;
  std::string detail;

  bool operator==(const DriverTelemetry&) const = default;
};

// What the plugin says about itself.
struct DriverIdentity {
  std::string name;
  std::string version;
  bool key_source = false;
  bool entropy_source = false;
  bool push = false;
  bool pull = false;
  bool peer_messages = false;
  bool simulated = false;
  bool inject = false;
  std::uint32_t technology = 0;  // QUIPU_TECH_...

  bool operator==(const DriverIdentity&) const = default;
};

enum class HostState : std::uint8_t {
  stopped,
  starting,  // the process runs and has not opened its device yet
  running,   // blocks may come; DriverTelemetry::state says how the device is
  backoff,   // the process ended; another follows at next_deadline()
  failed,    // starting it again will not help: status().problem says why
};
std::string_view to_string(HostState state);

struct DriverStatus {
  HostState state = HostState::stopped;
  std::optional<DriverIdentity> identity;
  std::optional<DriverTelemetry> telemetry;
  std::uint64_t restarts = 0;
  std::uint64_t blocks = 0;
  std::string problem;  // the last one, for people; empty when there was none
};

// Called from within handle_* and start of the host; must not destroy it.
class DriverEvents {
 public:
  virtual ~DriverEvents() = default;
  // Answer with acknowledge(1) once the block is dealt with: this is what lets the driver go on.
  virtual void on_block(DriverBlock block) = 0;

  // To be carried to the driver at the other end of the link (send_peer_message there). To be acknowledged as a block,
  // once it is on its way.
  virtual void on_peer_message(SecretBytes /*message*/) {}

  // The host's state, the device's state or telemetry changed: see status().
  virtual void on_status(const DriverStatus& /*status*/) {}
};

inline constexpr std::uint32_t kDeliveryWindow = 16;

struct DriverHostConfig {
  std::string program;  // path of quipu-driver
  std::string plugin;   // path of the shared object
  std::string driver;   // the name that the plugin has to give itself
  std::string link;     // for log lines
  Options options;
  bool allow_simulated = false;
  // Blocks and peer messages that may be on their way and not acknowledged; when they are used up the driver gets BUSY.
  std::uint32_t window = kDeliveryWindow;
  Duration start_timeout = std::chrono::seconds(15);
  // Without a sign of life for so long the process counts as hung, and is killed.
  Duration hang_timeout = std::chrono::seconds(10);
  // Delay before the first restart; doubles up to the longest, and starts over after a run of ten times the longest.
  Duration first_backoff = std::chrono::milliseconds(500);
  Duration longest_backoff = std::chrono::seconds(30);
};

// One thread. Reads no clock: `now` is CLOCK_BOOTTIME and comes in with each call. Malformed frames, a crash, a hang or
// a broken promise of the plugin end its process and are followed by a restart with back-off; nothing that the process
// does reaches the caller but through DriverEvents. The destructor kills the process.
class DriverHost {
 public:
  // `events` and `log` outlive the host.
  DriverHost(DriverHostConfig config, DriverEvents& events, LogSink& log);
  ~DriverHost();
  DriverHost(const DriverHost&) = delete;
  DriverHost& operator=(const DriverHost&) = delete;

  // A program that cannot be started is tried again with back-off, as one that ended: status().problem says why.
  void start(TimePoint now);
  // Asks the driver to stop and close its device, and kills it if it does not: after next_deadline() at the latest.
  void stop(TimePoint now);

  // Readable when handle_readable() has work to do; stays the same across restarts (it is an epoll set).
  int fd() const;
  void handle_readable(TimePoint now);
  std::optional<TimePoint> next_deadline() const;
  void handle_deadline(TimePoint now);

  // So many blocks and peer messages are dealt with.
  void acknowledge(std::uint32_t count = 1);
  // Errc::unavailable when no driver runs, unsupported when it takes no peer messages, busy when its pipe is full,
  // too_large.
  Result<void> send_peer_message(ByteView message);

  const DriverStatus& status() const;
  // Process id of the driver, while there is one.
  std::optional<int> pid() const;

 private:
  class Process;
  struct State;
  std::unique_ptr<State> m_state;
};

}  // namespace quipu::driver
