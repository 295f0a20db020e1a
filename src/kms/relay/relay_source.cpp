// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/relay_source.h"

#include <algorithm>

#include "kms/relay/hop_seal.h"

namespace quipu::kms {
namespace {

constexpr std::size_t kMaxInFlight = 16;
// So that a path that fails at once does not burn its links' key for nothing.
constexpr Duration kFirstPause = std::chrono::milliseconds(100);
constexpr Duration kLongestPause = std::chrono::seconds(5);

std::vector<std::pair<KmeId, KmeId>> links_of(const KmeId& own, const std::vector<KmeId>& path) {
  std::vector<std::pair<KmeId, KmeId>> links;
  links.reserve(path.size());
  const KmeId* from = &own;
  for (const KmeId& to : path)
    links.emplace_back(*std::exchange(from, &to), to);
  return links;
}

}  // namespace

bool RelaySource::is_wanted() const {
  return far().is_up() && m_in_flight.size() < kMaxInFlight &&
         far().relay_stock_octets() + m_in_flight_octets < m_peer.relay_target_octets;
}

void RelaySource::progress() {
  while (m_site.now >= m_not_before && is_wanted()) {
    const Route* route = m_routes.find(m_peer.id);
    if (route == nullptr) m_key_awaited.reset();
    if (route == nullptr || !send(*route)) return;
  }
}

bool RelaySource::send(const Route& route) {
  Association& first = *m_associations.at(route.path.front());
  const std::uint32_t octets = route.block_size();
  auto pad = first.carve_pad(pad_slots(octets));
  if (!pad) {
    wait_for_key(route.path.front());
    return false;
  }
  m_key_awaited.reset();
  SourceBlock block{std::string(kRelaySource), BlockId(m_site.random_uuid()), SecretBytes(octets), route.simulated, {}};
  m_site.rng.fill(block.key.mutable_view());
  wire::RelayHop hop;
  hop.relay = block.id;
  hop.source = m_site.config.id;
  hop.destination = m_peer.id;
  hop.path.assign(route.path.begin() + 1, route.path.end());
  hop.simulated = route.simulated;
  hop.pad = std::move(pad->parts);
  seal_hop(hop, block.key.view(), pad->octets.view());
  m_in_flight.emplace(block.id, InFlight{route.path, octets, false, m_site.now});
  m_in_flight_octets += octets;
  far().accept().await_relayed(std::move(block));
  first.send_hop(std::move(hop));
  return true;
}

void RelaySource::wait_for_key(const KmeId& first) {
  if (!m_key_awaited || m_key_awaited->first != first) m_key_awaited.emplace(first, m_site.now + kHopTime);
  if (m_site.now < m_key_awaited->second) return;
  m_key_awaited.reset();
  back_off(wire::RefusalReason::no_key, {{m_site.config.id, first}});
}

void RelaySource::hop_answered(const RelayHopAnswered& answer) {
  const auto entry = m_in_flight.find(answer.relay);
  if (entry == m_in_flight.end() || entry->second.path.front() != answer.by) return;
  entry->second.answered = true;
  if (answer.refused) give_up(entry, *answer.refused, {{m_site.config.id, answer.by}});
}

void RelaySource::failed(const RelayFailedReceived& news) {
  const auto entry = m_in_flight.find(news.message.relay);
  if (entry == m_in_flight.end() || entry->second.path.front() != news.from) return;
  give_up(entry, news.message.reason, {{news.message.from, news.message.to}});
}

void RelaySource::ended(const RelayEnded& end) {
  const auto entry = m_in_flight.find(end.relay);
  if (entry == m_in_flight.end()) return;
  if (!end.relayed) {
    ++m_voided;
    back_off(wire::RefusalReason::forged, links_of(m_site.config.id, entry->second.path));
  } else {
    ++m_relayed;
    m_pause = {};
  }
  m_in_flight_octets -= entry->second.octets;
  m_in_flight.erase(entry);
}

void RelaySource::contact_lost(const KmeId& peer) {
  for (auto it = m_in_flight.begin(); it != m_in_flight.end();) {
    const auto entry = it++;
    if (!entry->second.answered && entry->second.path.front() == peer)
      give_up(entry, wire::RefusalReason::no_link, {{m_site.config.id, peer}});
  }
}

void RelaySource::give_up(Entry entry, wire::RefusalReason reason, const std::vector<Link>& suspects) {
  ++m_failed;
  far().accept().abandon_relayed(entry->first);
  m_in_flight_octets -= entry->second.octets;
  m_in_flight.erase(entry);
  back_off(reason, suspects);
}

// Many blocks fail at one link: one pause for all of them.
void RelaySource::back_off(wire::RefusalReason reason, const std::vector<Link>& suspects) {
  // What the destination thinks of a block is no fault of the path.
  if (reason != wire::RefusalReason::not_taken)
    for (const auto& [from, to] : suspects)
      m_routes.avoid(from, to);
  m_last_failure = std::string(wire::to_string(reason)) + " from " + suspects.front().first.value() + " to " +
                   suspects.back().second.value();
  if (m_site.now < m_not_before) return;
  m_pause = std::clamp(2 * m_pause, kFirstPause, kLongestPause);
  m_not_before = m_site.now + m_pause;
  m_site.report(LogLevel::warning, "relay_failed", "A relayed block did not arrive; others are sent.",
                {{"peer", m_peer.id.value()},
                 {"from", suspects.front().first.value()},
                 {"to", suspects.back().second.value()},
                 {"reason", std::string(wire::to_string(reason))}});
}

void RelaySource::handle_timeout() {
  for (auto it = m_in_flight.begin(); it != m_in_flight.end();) {
    const auto entry = it++;
    if (m_site.now < entry->second.due()) continue;
    auto suspects = links_of(m_site.config.id, entry->second.path);
    if (!entry->second.answered) suspects.resize(1);
    give_up(entry, wire::RefusalReason::timeout, suspects);
  }
}

std::optional<TimePoint> RelaySource::next_deadline() const {
  std::optional<TimePoint> next;
  const auto consider = [&](TimePoint due) { next = next ? std::min(*next, due) : due; };
  for (const auto& [id, entry] : m_in_flight)
    consider(entry.due());
  if (!is_wanted()) return next;
  if (m_not_before > m_site.now) consider(m_not_before);
  if (m_key_awaited && m_key_awaited->second > m_site.now) consider(m_key_awaited->second);
  return next;
}

void RelaySource::describe(RelayRouteStatus& status) const {
  status.source = true;
  status.in_flight = m_in_flight.size();
  status.relayed = m_relayed;
  status.voided = m_voided;
  status.failed = m_failed;
  status.last_failure = m_last_failure;
}

}  // namespace quipu::kms
