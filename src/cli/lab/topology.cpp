// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/topology.h"

namespace quipu::cli::lab {
namespace {

bool is_there(const Site& site) {
  std::error_code error;
  return std::filesystem::exists("/run/netns/" + site.network_namespace, error);
}

Result<void> configure_site(const Run& run, const Site& site) {
  const std::string& name = site.network_namespace;
  QUIPU_TRY(run_program({"ip", "-n", name, "link", "set", "lo", "up"}));
  QUIPU_TRY(run_program({"ip", "-n", name, "address", "add", site.underlay_address + "/24", "dev", run.veth(site)}));
  return run_program({"ip", "-n", name, "link", "set", run.veth(site), "up"});
}

}  // namespace

Result<void> make_topology(const Run& run) {
  const Site& a = run.sites[0];
  const Site& b = run.sites[1];
  for (const Site& site : run.sites)
    QUIPU_TRY(run_program({"ip", "netns", "add", site.network_namespace}));
  QUIPU_TRY(run_program({"ip", "link", "add", run.veth(a), "netns", a.network_namespace, "type", "veth", "peer", "name",
                         run.veth(b), "netns", b.network_namespace}));
  for (const Site& site : run.sites)
    QUIPU_TRY(configure_site(run, site));
  return {};
}

Result<void> remove_topology(const Run& run) {
  Result<void> outcome;
  for (const Site& site : run.sites) {
    if (!is_there(site)) continue;
    const auto removed = run_program({"ip", "netns", "delete", site.network_namespace});
    if (!removed && is_there(site)) outcome = removed;  // not when another `down` was faster
  }
  return outcome;
}

}  // namespace quipu::cli::lab
