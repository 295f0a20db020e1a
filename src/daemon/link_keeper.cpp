// SPDX-License-Identifier: Apache-2.0
#include "daemon/link_keeper.h"

#include <algorithm>

#include "daemon/event_names.h"

namespace quipu::daemon {
namespace {

// Between two looks, so that another program that takes away what is put back does not keep the loop busy.
constexpr Duration kPause = std::chrono::milliseconds(100);
// After a failure, which no notification may ever follow.
constexpr Duration kRetry = std::chrono::seconds(1);

bool is_lacking(const netlink::Lacking& lacking) {
  return !lacking.blackholes.empty() || !lacking.routes.empty() || !lacking.addresses.empty();
}

std::string what_lacks(const netlink::Lacking& lacking) {
  std::string out;
  const auto add = [&](std::string_view kind, const std::vector<IpPrefix>& prefixes) {
    for (const IpPrefix& prefix : prefixes)
      out += (out.empty() ? "" : ", ") + std::string(kind) + " " + prefix.text();
  };
  add("blackhole", lacking.blackholes);
  add("route", lacking.routes);
  add("address", lacking.addresses);
  return out;
}

}  // namespace

LinkKeeper::LinkKeeper(net::Loop& loop, netlink::RouteMonitor monitor, netlink::RouteSocket& routes,
                       const netlink::LinkPlan& plan, LogSink& log)
    : m_monitor(std::move(monitor)),
      m_routes(routes),
      m_plan(plan),
      m_log(log),
      m_watch(loop, m_monitor.fd()),
      m_timer(loop, [this] { check(); }) {
  m_watch.on_readable([this] {
    if (m_monitor.take_changes(m_plan)) check_in(kPause);
  });
  check_in(Duration::zero());
}

// At once when the last look was longer ago than the pause. An earlier appointment stands.
void LinkKeeper::check_in(Duration pause) {
  const TimePoint now = net::Loop::now();
  const TimePoint due = m_last ? std::max(now, *m_last + pause) : now;
  if (m_due && *m_due <= due) return;
  m_due = due;
  m_timer.set(due);
}

void LinkKeeper::check() {
  m_timer.cancel();
  m_due.reset();
  m_last = net::Loop::now();
  const auto lacking = m_routes.lacking(m_plan);
  if (!lacking) {
    tell_restored({}, std::unexpected(lacking.error()));
    return check_in(kRetry);
  }
  tell_link(lacking->link_up);
  if (is_lacking(*lacking)) {
    const Result<void> done = restore(*lacking);
    tell_restored(*lacking, done);
    if (!done) check_in(kRetry);
  } else {
    m_failure.clear();
  }
  tell_foreign_routes();
}

// Both steps, whatever becomes of the first: a prefix whose blackhole cannot be set needs its tunnel all the more.
Result<void> LinkKeeper::restore(const netlink::Lacking& lacking) {
  Result<void> done = m_routes.guard(m_plan);
  if (!lacking.link_up) return done;
  Result<void> applied = m_routes.apply(m_plan);
  return done ? applied : done;
}

void LinkKeeper::tell_link(bool up) {
  if (up == std::exchange(m_link_up, up)) return;
  if (up)
    m_log.info(event::kLinkUp, "the tunnel's interface is up again", {{"device", m_plan.name}});
  else
    m_log.warning(event::kLinkDown, "the tunnel's interface was set down: protected packets are dropped",
                  {{"device", m_plan.name}, {"alarm", "yes"}});
}

void LinkKeeper::tell_restored(const netlink::Lacking& lacking, const Result<void>& done) {
  if (done) {
    m_failure.clear();
    m_log.warning(event::kRoutesRestored, "something had taken away what the tunnel needs: it is there again",
                  {{"missing", what_lacks(lacking)}});
  } else if (m_failure != done.error().text) {
    m_failure = done.error().text;
    m_log.error(event::kRoutesNotRestored, "what the tunnel needs is missing: tried again every second",
                {{"missing", what_lacks(lacking)}, error_field(done.error()), {"alarm", "yes"}});
  }
}

std::string LinkKeeper::trouble_of(std::span<const IpPrefix> allowed_ips) const {
  if (!m_link_up) return "the interface " + m_plan.name + " was set down: 'ip link set " + m_plan.name + " up'";
  if (!m_failure.empty()) return m_failure;
  for (const netlink::ForeignRoute& route : m_foreign)
    if (std::ranges::any_of(allowed_ips, [&](const IpPrefix& prefix) { return prefix.contains(route.prefix.address); }))
      return "another route to " + route.prefix.text() + " (" + route.via + ", metric " + std::to_string(route.metric) +
             ") takes packets away: remove it";
  return {};
}

void LinkKeeper::tell_foreign_routes() {
  auto foreign = m_routes.foreign_routes(m_plan);
  if (!foreign) return;
  for (const netlink::ForeignRoute& route : *foreign)
    if (std::ranges::find(m_foreign, route) == m_foreign.end())
      m_log.warning(event::kForeignRoute, "another route takes packets away from a protected prefix",
                    {{"prefix", route.prefix.text()},
                     {"via", route.via},
                     {"metric", std::to_string(route.metric)},
                     {"alarm", "yes"}});
  m_foreign = std::move(*foreign);
}

}  // namespace quipu::daemon
