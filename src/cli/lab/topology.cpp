// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/topology.h"

namespace quipu::cli::lab {
namespace {

constexpr const char* kBridge = "bridge0";

bool is_there(const std::string& network_namespace) {
  std::error_code error;
  return std::filesystem::exists("/run/netns/" + network_namespace, error);
}

Result<void> join_site(const Run& run, const Site& site, const std::string& mtu) {
  const std::string& name = site.network_namespace;
  const std::string outside = run.outside_namespace();
  const std::string veth = run.veth(site);
  QUIPU_TRY(run_program({"ip", "netns", "add", name}));
  QUIPU_TRY(run_program({"ip", "link", "add", veth, "netns", name, "mtu", mtu, "type", "veth", "peer", "name", veth,
                         "netns", outside, "mtu", mtu}));
  QUIPU_TRY(run_program({"ip", "-n", outside, "link", "set", veth, "master", kBridge, "up"}));
  QUIPU_TRY(run_program({"ip", "-n", name, "link", "set", "lo", "up"}));
  QUIPU_TRY(run_program({"ip", "-n", name, "address", "add", site.underlay_address + "/24", "dev", veth}));
  return run_program({"ip", "-n", name, "link", "set", veth, "up"});
}

Result<void> remove_namespace(const std::string& name) {
  if (!is_there(name)) return {};
  auto removed = run_program({"ip", "netns", "delete", name});
  return !removed && is_there(name) ? removed : Result<void>();  // gone when another `down` was faster
}

}  // namespace

Result<void> make_topology(const Run& run, int path_mtu) {
  const std::string outside = run.outside_namespace();
  QUIPU_TRY(run_program({"ip", "netns", "add", outside}));
  QUIPU_TRY(run_program({"ip", "-n", outside, "link", "add", kBridge, "type", "bridge"}));
  QUIPU_TRY(run_program({"ip", "-n", outside, "link", "set", kBridge, "up"}));
  for (const Site& site : run.sites)
    QUIPU_TRY(join_site(run, site, std::to_string(path_mtu)));
  return {};
}

Result<void> remove_topology(const Run& run) {
  Result<void> outcome = remove_namespace(run.outside_namespace());
  for (const Site& site : run.sites)
    if (auto removed = remove_namespace(site.network_namespace); !removed) outcome = std::move(removed);
  return outcome;
}

}  // namespace quipu::cli::lab
