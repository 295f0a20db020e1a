// SPDX-License-Identifier: Apache-2.0
#include "kmsd/links.h"

#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>

#include "kmsd/gathered_blocks.h"
#include "quipu/driver.h"

namespace quipu::kmsd {

static_assert(config::kMaxLinkOptions == QUIPU_MAX_OPTIONS && config::kMaxLinkOptionSize == QUIPU_MAX_TEXT);

DriverFiles find_driver_files() {
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  if (::access((own / "quipu-driver").c_str(), X_OK) == 0)
    return {.program = own / "quipu-driver", .plugin_folder = own.parent_path() / "drivers"};
  return {.program = "/usr/lib/quipu/quipu-driver", .plugin_folder = "/usr/lib/quipu/drivers"};
}

driver::DriverHostConfig host_config(const DriverFiles& files, const config::LinkConfig& link) {
  driver::DriverHostConfig host;
  host.program = files.program;
  host.plugin = files.plugin_folder + "/" + link.driver + ".so";
  host.driver = link.driver;
  host.link = link.name;
  host.options.assign(link.options.begin(), link.options.end());
  host.allow_simulated = link.allow_simulated;
  return host;
}

class Links::Link final : public driver::DriverEvents {
 public:
  Link(net::Loop& loop, driver::DriverHostConfig config, KmeId peer, const Events& events, LogSink& log)
      : m_name(config.link),
        m_peer(std::move(peer)),
        m_events(events),
        m_host(std::move(config), *this, log),
        m_watch(loop, m_host.fd()),
        m_deadline(loop, [this] {
          m_host.handle_deadline(net::Loop::now());
          after_event();
        }) {
    m_watch.on_readable([this] {
      m_host.handle_readable(net::Loop::now());
      after_event();
    });
  }

  const std::string& name() const { return m_name; }

  driver::DriverHost& host() { return m_host; }

  void start() {
    m_host.start(net::Loop::now());
    after_event();
  }

  void stop() {
    m_stopping = true;
    m_host.stop(net::Loop::now());
    after_event();
  }

  // Messages that wait for room.
  std::size_t waiting() const { return m_messages.size(); }

  LinkReport report() const {
    const driver::DriverStatus& status = m_host.status();
    const bool says_so = status.identity && status.identity->simulated;
    return {.driver = status, .simulated = m_simulated || says_so, .octets = m_octets};
  }

  void on_status(const driver::DriverStatus& status) override {
    m_simulated = m_simulated || (status.identity && status.identity->simulated);
  }

  void on_block(driver::DriverBlock block) override {
    m_octets += block.key.size();
    m_blocks.add({.source = m_name,
                  .id = block.id,
                  .key = std::move(block.key),
                  .simulated = block.simulated,
                  .sequence = block.durable_sequence ? std::optional(block.sequence) : std::nullopt},
                 net::Loop::now());
  }

  void on_peer_message(SecretBytes message) override { m_messages.push_back(std::move(message)); }

  void after_event() {
    if (const auto due = m_blocks.due(); due && (m_stopping || net::Loop::now() >= *due)) hand_over_blocks();
    send_messages();
    set_deadline();
  }

 private:
  void hand_over_blocks() {
    std::vector<kms::SourceBlock> blocks = m_blocks.take();
    const auto count = static_cast<std::uint32_t>(blocks.size());
    m_events.blocks(std::move(blocks));
    m_host.acknowledge(count);
  }

  void set_deadline() {
    std::optional<TimePoint> due = m_host.next_deadline();
    if (const auto blocks = m_blocks.due()) due = std::min(due.value_or(*blocks), *blocks);
    if (due) {
      m_deadline.set(*due);
    } else {
      m_deadline.cancel();
    }
  }

  // The driver's window bounds what waits; what is left of a process that has ended goes with it.
  void send_messages() {
    while (!m_messages.empty() && m_events.has_room(m_peer)) {
      SecretBytes message = std::move(m_messages.front());
      m_messages.pop_front();
      m_host.acknowledge();
      m_events.peer_message(m_name, std::move(message));  // which may end in stop()
    }
    if (m_host.pid()) return;
    m_host.acknowledge(static_cast<std::uint32_t>(m_messages.size()));
    m_messages.clear();
  }

  std::string m_name;
  KmeId m_peer;
  const Events m_events;
  bool m_simulated = false;
  std::uint64_t m_octets = 0;
  GatheredBlocks m_blocks;
  bool m_stopping = false;  // nothing is gathered any more
  std::deque<SecretBytes> m_messages;
  driver::DriverHost m_host;
  net::FdWatch m_watch;
  net::Timer m_deadline;
};

std::unique_ptr<Links> Links::start(net::Loop& loop, const DriverFiles& files,
                                    const std::vector<config::LinkConfig>& configs, const Events& events,
                                    LogSink& log) {
  std::unique_ptr<Links> links(new Links);
  for (const config::LinkConfig& config : configs) {
    links->m_links.push_back(std::make_unique<Link>(loop, host_config(files, config), config.peer_kme, events, log));
    links->m_links.back()->start();
  }
  return links;
}

Links::~Links() = default;

void Links::deliver(const std::string& link, ByteView message) {
  for (const auto& candidate : m_links) {
    if (candidate->name() != link) continue;
    [[maybe_unused]] const auto sent = candidate->host().send_peer_message(message);
  }
}

// In turn: whose message goes first comes last the next time. One whose peer has no room keeps nobody from that.
void Links::send_waiting() {
  auto first = m_links.end();
  for (auto link = m_links.begin(); link != m_links.end(); ++link) {
    const std::size_t before = (*link)->waiting();
    if (before == 0) continue;
    (*link)->after_event();
    if (first == m_links.end() && (*link)->waiting() < before) first = link;
  }
  if (first != m_links.end()) std::ranges::rotate(m_links, first + 1);
}

std::map<std::string, LinkReport> Links::reports() const {
  std::map<std::string, LinkReport> out;
  for (const auto& link : m_links)
    out.emplace(link->name(), link->report());
  return out;
}

void Links::stop() {
  for (const auto& link : m_links)
    link->stop();
}

}  // namespace quipu::kmsd
