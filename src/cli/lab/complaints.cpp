// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/complaints.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "cli/control_client.h"
#include "control/status.h"

namespace quipu::cli::lab {
namespace {

template <class Status>
Result<Status> status_of(const std::filesystem::path& socket, Result<Status> (*read)(std::string_view)) {
  QUIPU_TRY_ASSIGN(control::Reply reply, ask(socket, control::StatusRequest{}));
  QUIPU_TRY_ASSIGN(const std::string json, result_of(std::move(reply)));
  return read(json);
}

class Complaints {
 public:
  void add(const control::KmsStatus& status) {
    add(status.kme, status.reason);
    for (const control::PoolStatus& pool : status.pools) {
      add("KM link with " + pool.peer_kme, pool.km_link_reason);
      add("nothing is relayed to " + pool.peer_kme, pool.relay_reason);
      for (const control::KeyLinkStatus& link : pool.links)
        if (link.state != "running") add("link " + link.name, link.state);
    }
  }

  void add(const control::DeviceStatus& status) {
    add(status.device, status.reason);
    for (const control::TunnelStatus& tunnel : status.tunnels)
      add("tunnel to " + tunnel.peer, tunnel.reason);
  }

  std::string text() const { return fmt::format("{}", fmt::join(m_list, "; ")); }

 private:
  void add(const std::string& of, const std::string& reason) {
    if (!reason.empty()) m_list.push_back(of + ": " + reason);
  }

  std::vector<std::string> m_list;
};

}  // namespace

std::string complaints_of(const Site& site) {
  Complaints complaints;
  if (const auto kms = status_of(site.kms_control_socket(), control::kms_status_from_json)) complaints.add(*kms);
  if (site.daemons > 1)
    if (const auto device = status_of(site.control_socket(), control::device_status_from_json)) complaints.add(*device);
  return complaints.text();
}

}  // namespace quipu::cli::lab
