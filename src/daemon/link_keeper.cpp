// SPDX-License-Identifier: Apache-2.0
#include "daemon/link_keeper.h"

#include <algorithm>
#include <tuple>

#include "daemon/event_names.h"

namespace quipu::daemon {
namespace {

// After a failure, which no notification may ever follow.
constexpr Duration kRetry = std::chrono::seconds(1);
// A connected network that was gone for less was told already: router advertisements can make it come and go.
constexpr Duration kForgotten = std::chrono::minutes(1);

std::string missing_text(const netlink::Findings& found) {
  std::string out;
  for (const auto* list : {&found.missing_guards, &found.missing_tunnels})
    for (const std::string& text : *list)
      out += (out.empty() ? "" : ", ") + text;
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
    if (m_monitor.take_changes()) check_in(m_pace.pause(net::Loop::now()));
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
  auto found = m_routes.inspect(m_plan);
  if (!found) {
    // What is missing is not known; guards need no interface, and are there again in any case.
    std::ignore = m_routes.guard(m_plan);
    tell_restored({}, std::unexpected(found.error()));
    return check_in(kRetry);
  }
  tell_link(found->link_up);
  if (!found->missing_guards.empty() || !found->missing_tunnels.empty()) {
    const Result<void> done = restore(found->link_up);
    m_pace.restored(net::Loop::now());
    tell_restored(*found, done);
    if (!done) check_in(kRetry);
  } else {
    m_failure.clear();
  }
  tell_bypasses(std::move(found->bypasses));
  tell_connected(found->connected);
}

// Both steps, whatever becomes of the first: a prefix whose blackhole cannot be set needs its tunnel all the more.
Result<void> LinkKeeper::restore(bool link_up) {
  Result<void> done = m_routes.guard(m_plan);
  if (!link_up) return done;
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

// Without its guards a protected packet could have left in clear: that wants a look, also when it is over.
void LinkKeeper::tell_restored(const netlink::Findings& found, const Result<void>& done) {
  if (done) {
    m_failure.clear();
    std::vector<LogField> fields = {{"missing", missing_text(found)}};
    if (!found.missing_guards.empty()) fields.push_back({"alarm", "yes"});
    m_log.write(LogLevel::warning, event::kRoutesRestored,
                "something had taken away what the tunnel needs: it is there again", fields);
  } else if (m_failure != done.error().text) {
    m_failure = done.error().text;
    m_log.error(event::kRoutesNotRestored, "what the tunnel needs is missing: tried again every second",
                {{"missing", missing_text(found)}, error_field(done.error()), {"alarm", "yes"}});
  }
}

std::string LinkKeeper::trouble() const {
  if (!m_link_up) return "the interface " + m_plan.name + " was set down: 'ip link set " + m_plan.name + " up'";
  if (!m_failure.empty()) return m_failure;
  if (!m_bypasses.empty()) return "this may take packets away: " + m_bypasses.front() + ": remove it";
  return {};
}

void LinkKeeper::tell_bypasses(std::vector<std::string> bypasses) {
  for (const std::string& text : bypasses)
    if (std::ranges::find(m_bypasses, text) == m_bypasses.end())
      m_log.warning(event::kBypassed, "the kernel asks this before it asks for the tunnel: packets may leave in clear",
                    {{"text", text}, {"alarm", "yes"}});
  m_bypasses = std::move(bypasses);
}

void LinkKeeper::tell_connected(const std::vector<netlink::ConnectedNetwork>& connected) {
  const TimePoint now = net::Loop::now();
  for (const netlink::ConnectedNetwork& network : connected)
    if (m_connected.insert_or_assign(network, now).second)
      m_log.warning(event::kConnectedProtected,
                    "a connected network is protected: its hosts are reached through the tunnel only; list it if it is "
                    "this site's own",
                    {{"prefix", network.prefix.text()}, {"via", network.via}, {"setting", "device.local_networks"}});
  std::erase_if(m_connected, [&](const auto& known) { return now - known.second > kForgotten; });
}

}  // namespace quipu::daemon
