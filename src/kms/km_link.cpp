// SPDX-License-Identifier: Apache-2.0
#include "kms/km_link.h"

#include <algorithm>

namespace quipu::kms {

void KmLink::connect(LinkId link) {
  if (m_link) close(wire::GoodbyeReason::replaced, "replaced by a newer connection");
  m_link = link;
  m_up = false;
  m_connected_at = m_site.now;
  m_received_at = m_site.now;
  m_last_number = 0;
  m_reason = "comparing inventories";
}

void KmLink::drop() {
  if (up()) m_site.relay_events.emplace_back(ContactLost{m_peer});
  m_link.reset();
  m_up = false;
  m_unanswered.clear();
}

void KmLink::set_up() {
  m_up = true;
  m_reason.clear();
}

void KmLink::send(const wire::Message& message) {
  if (std::holds_alternative<wire::Refused>(message)) ++m_refused_requests;
  if (m_link) m_site.act(SendLink{*m_link, wire::encode(message)});
}

void KmLink::remember(wire::RequestNumber number, RequestSent what) {
  m_unanswered.emplace(number, Unanswered{std::move(what), m_site.now});
}

std::optional<RequestSent> KmLink::take(wire::RequestNumber number) {
  const auto node = m_unanswered.extract(number);
  if (node.empty()) return std::nullopt;
  return node.mapped().what;
}

bool KmLink::is_pinging() const {
  return std::ranges::any_of(m_unanswered,
                             [](const auto& each) { return std::holds_alternative<PingSent>(each.second.what); });
}

void KmLink::close(wire::GoodbyeReason reason, std::string why) {
  if (!m_link) return;
  if (reason == wire::GoodbyeReason::violation) ++m_violations;
  send(wire::Goodbye{reason});
  m_site.report(LogLevel::warning, "km_link_closed", "the KM link was closed by this end",
                {{"peer", m_peer.value()}, {"reason", why}});
  hang_up(std::move(why));
}

void KmLink::hang_up(std::string why) {
  m_site.act(CloseLink{*m_link});
  m_reason = std::move(why);
  drop();
}

void KmLink::handle_timeout() {
  if (!m_link) return;
  if (!m_up && m_site.now >= m_connected_at + kContactTimeout)
    return close(wire::GoodbyeReason::timeout, "no contact in time");
  if (!m_unanswered.empty() && m_site.now >= m_unanswered.begin()->second.sent + kAnswerTimeout)
    return close(wire::GoodbyeReason::timeout, "a request was not answered in time");
  if (m_up && m_unanswered.empty() && m_site.now >= m_received_at + kPingInterval) ping();
}

std::optional<TimePoint> KmLink::next_deadline() const {
  if (!m_link) return std::nullopt;
  if (!m_unanswered.empty()) return m_unanswered.begin()->second.sent + kAnswerTimeout;
  return m_up ? m_received_at + kPingInterval : m_connected_at + kContactTimeout;
}

}  // namespace quipu::kms
