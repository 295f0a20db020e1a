// SPDX-License-Identifier: Apache-2.0
// The QKD devices of this site: one quipu-driver process for each configured link.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "config/kmsd_config.h"
#include "driver/driver_host.h"
#include "kms/kme.h"
#include "net/loop.h"

namespace quipu::kmsd {

// Where quipu-driver and the plugins lie.
struct DriverFiles {
  std::string program;
  std::string plugin_folder;
};

// Beside this program in a build, else where the Debian packages put them.
DriverFiles find_driver_files();

// How the driver of that link is run.
driver::DriverHostConfig host_config(const DriverFiles& files, const config::LinkConfig& link);

// What is known about one link.
struct LinkReport {
  driver::DriverStatus driver;
  bool simulated = false;    // its driver said so once in this run; stays while the driver is started again
  std::uint64_t octets = 0;  // of all blocks it delivered in this run
};

class Links {
 public:
  struct Events {
    // Blocks that came together, gathered for a tenth of a second. What the core did with them is durable when this
    // returns.
    std::function<void(std::vector<kms::SourceBlock>)> blocks;
    // Whether the KM link with that KME takes a message; else it waits, and in the end the driver does.
    std::function<bool(const KmeId& peer)> has_room;
    std::function<void(const std::string& link, SecretBytes message)> peer_message;
  };

  // Starts every driver. One that cannot be started is tried again, and its status says why.
  static std::unique_ptr<Links> start(net::Loop& loop, const DriverFiles& files,
                                      const std::vector<config::LinkConfig>& configs, const Events& events,
                                      LogSink& log);
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;
  ~Links();

  // From the driver at the other end of that link. A driver that is not there misses it, and has to ask again.
  void deliver(const std::string& link, ByteView message);
  // There is more room than there was.
  void send_waiting();
  // By name of the link.
  std::map<std::string, LinkReport> reports() const;
  // Asks every driver to close its device; those that do not are killed when this ends.
  void stop();

 private:
  class Link;

  Links() = default;

  std::vector<std::unique_ptr<Link>> m_links;
};

}  // namespace quipu::kmsd
