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

bool is_whole(const netlink::Findings& found) {
  return found.missing_guards.empty() && found.missing_tunnels.empty();
}

// What was missing and is no more.
netlink::Findings without(netlink::Findings found, const netlink::Findings& left) {
  const auto remove = [](std::vector<std::string>& list, const std::vector<std::string>& gone) {
    std::erase_if(list, [&](const std::string& text) { return std::ranges::find(gone, text) != gone.end(); });
  };
  remove(found.missing_guards, left.missing_guards);
  remove(found.missing_tunnels, left.missing_tunnels);
  return found;
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
    if (m_monitor.take_changes()) check_in(pause());
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
    tell_not_restored({}, found.error());
    return check_in(kRetry);
  }
  tell_link(found->link_up);
  if (is_whole(*found))
    m_failure.clear();
  else
    mend(*found);
  tell_bypasses(std::move(found->bypasses));
  tell_connected(found->connected);
}

void LinkKeeper::mend(const netlink::Findings& found) {
  const std::uint64_t before = m_routes.changes();
  const Result<void> done = restore(found.link_up);
  // Also where the same is missing again by now. What cannot be put back makes nothing else wait.
  if (m_routes.changes() != before) m_pace.restored(net::Loop::now());
  if (done) {
    m_failure.clear();
    return tell_restored(found);
  }
  check_in(kRetry);
  if (m_failure == done.error().text && m_left == missing_text(found)) return;
  const auto left = m_routes.inspect(m_plan);
  if (left) tell_restored(without(found, *left));
  tell_not_restored(left ? *left : found, done.error());
}

// Both steps, whatever becomes of the first: a prefix whose blackhole cannot be set needs its tunnel all the more.
Result<void> LinkKeeper::restore(bool link_up) {
  Result<void> guarded = m_routes.guard(m_plan);
  if (!link_up) return guarded;
  Result<void> applied = m_routes.apply(m_plan);
  if (guarded || applied) return guarded ? applied : guarded;
  return fail(guarded.error().code, guarded.error().text + "; " + applied.error().text);
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
void LinkKeeper::tell_restored(const netlink::Findings& restored) {
  if (is_whole(restored)) return;
  std::vector<LogField> fields = {{"missing", missing_text(restored)}};
  if (!restored.missing_guards.empty()) fields.push_back({"alarm", "yes"});
  m_log.write(LogLevel::warning, event::kRoutesRestored,
              "something had taken away what the tunnel needs: it is there again", fields);
}

void LinkKeeper::tell_not_restored(const netlink::Findings& left, const Error& error) {
  const std::string missing = missing_text(left);
  if (m_failure == error.text && m_left == missing) return;
  m_failure = error.text;
  m_left = missing;
  m_log.error(event::kRoutesNotRestored, "what the tunnel needs is missing: tried again every second",
              {{"missing", missing}, error_field(error), {"alarm", "yes"}});
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
