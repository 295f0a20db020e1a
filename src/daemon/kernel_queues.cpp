// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_queues.h"

#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string>

namespace quipu::daemon {
namespace {

// Columns behind "NAME:": 8 of reception, then bytes, packets, errors and drops of transmission.
constexpr int kTransmitDropColumn = 11;

std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  return word;
}

std::optional<std::uint64_t> column(std::string_view columns, int number) {
  for (int i = 0; i < number; ++i)
    next_word(columns);
  const std::string_view word = next_word(columns);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::uint64_t> transmit_drops(std::string_view proc_net_dev, std::string_view interface) {
  while (!proc_net_dev.empty()) {
    std::string_view line = proc_net_dev.substr(0, proc_net_dev.find('\n'));
    proc_net_dev.remove_prefix(std::min(line.size() + 1, proc_net_dev.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view name = line.substr(0, colon);
    if (next_word(name) == interface) return column(line.substr(colon + 1), kTransmitDropColumn);
  }
  return std::nullopt;
}

std::uint64_t tun_queue_drops(std::string_view interface) {
  std::ifstream file("/proc/self/net/dev");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return transmit_drops(text, interface).value_or(0);
}

std::uint64_t receive_queue_drops(std::span<const int> sockets) {
  std::uint64_t drops = 0;
  for (const int socket : sockets) {
    std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
    socklen_t size = sizeof info;
    if (::getsockopt(socket, SOL_SOCKET, SO_MEMINFO, info.data(), &size) == 0) drops += info[SK_MEMINFO_DROPS];
  }
  return drops;
}

}  // namespace quipu::daemon
