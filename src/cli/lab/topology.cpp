// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/topology.h"

#include <tuple>

namespace quipu::cli::lab {
namespace {

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

void remove_topology(const Run& run) {
  // A namespace that was never made is not worth a message: this also clears what a crashed run left.
  for (const Site& site : run.sites)
    std::ignore = exit_status_of({"ip", "netns", "delete", site.network_namespace});
}

}  // namespace quipu::cli::lab
