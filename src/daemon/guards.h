// SPDX-License-Identifier: Apache-2.0
// The guards of protected prefixes (blackhole routes and the rule that has them asked), apart from any tunnel: they
// need the configuration and nothing that it names, so they stand before a key is read and where no key can be. Where
// even the configuration is not to be had, what was last in effect is guarded.
#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "netlink/link_plan.h"

namespace quipu::daemon {

// As RouteSocket::guard.
Result<void> set_guards(const netlink::LinkPlan& plan);

// Where what was last in effect is listed: in the folder that the service manager gives, else in /var/lib/quipu. Not in
// device.state_dir, which nobody knows where the configuration cannot be read.
std::string guard_list_file();
// Remembers, durably, what the plan guards; and what was remembered, of a plan that has no more than that.
Result<void> remember_guards(const netlink::LinkPlan& plan);
Result<netlink::LinkPlan> remembered_guards();

// Prefixes with a blackhole of ours, whoever set it and when.
Result<std::vector<IpPrefix>> standing_guards();

struct RemovedGuards {
  std::vector<IpPrefix> removed;
  std::vector<IpPrefix> left;  // blackholes of ours that still stand: an older configuration's, or another device's
};

// Opens `prefixes` to ordinary routing. Errors as RouteSocket::remove_guards.
Result<RemovedGuards> remove_guards(const std::vector<IpPrefix>& prefixes);

// Prefixes as an admin writes them, as a plan has them. The text of an error names the one that is none.
Result<std::vector<IpPrefix>> parse_prefixes(const std::vector<std::string>& texts);

}  // namespace quipu::daemon
