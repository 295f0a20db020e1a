// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/relay_source.h"

#include <algorithm>

#include "kms/relay/hop_seal.h"
#include "kms/relay/shares.h"

namespace quipu::kms {
namespace {

constexpr std::size_t kMaxInFlight = 16;
// So that a path that fails at once does not burn its links' key for nothing.
constexpr Duration kFirstPause = std::chrono::milliseconds(100);
constexpr Duration kLongestPause = std::chrono::seconds(5);

}  // namespace

RelaySource::Way* RelaySource::InFlight::find(const KmeId& first) {
  const auto found = std::ranges::find(ways, first, [](const Way& way) { return way.path.front(); });
  return found == ways.end() ? nullptr : &*found;
}

const RelaySource::Way* RelaySource::InFlight::unanswered() const {
  const auto found = std::ranges::find(ways, false, &Way::answered);
  return found == ways.end() ? nullptr : &*found;
}

std::vector<RelaySource::Link> RelaySource::all_links(const InFlight& block) const {
  std::vector<Link> links;
  for (const Way& way : block.ways) {
    const KmeId* from = &m_site.config.id;
    for (const KmeId& to : way.path)
      links.emplace_back(*std::exchange(from, &to), to);
  }
  return links;
}

bool RelaySource::is_wanted() const {
  return far().is_up() && m_in_flight.size() < kMaxInFlight &&
         far().relay_stock_octets() + m_in_flight_octets < m_peer.relay_target_octets;
}

// Nor is key waited for without one: nobody would ask the link for it meanwhile.
const Route* RelaySource::wanted_route() {
  const bool wanted = m_site.now >= m_not_before && is_wanted();
  const Routes::Found* const found = wanted ? &m_routes.find(m_peer) : nullptr;
  if (found != nullptr && found->route) return &*found->route;
  m_key_awaited.reset();
  return nullptr;
}

RelaySource::Turn RelaySource::take_turn() {
  const Route* const route = wanted_route();
  return route != nullptr ? send(*route) : Turn::idle;
}

void RelaySource::look_for_key() {
  if (const Route* const route = wanted_route()) look_for_key(*route);
}

// The block is the exclusive or of shares that are random for themselves: any of them but all say nothing of it.
RelaySource::Turn RelaySource::send(const Route& route) {
  const std::uint32_t octets = route.block_size();
  if (!has_entropy(octets * route.paths.size())) return Turn::lacks_entropy;
  if (!look_for_key(route)) return Turn::idle;
  std::vector<CarvedPad> pads = carve_pads(route, pad_slots(octets));
  SourceBlock block{std::string(kRelaySource), BlockId(m_site.random_uuid()), SecretBytes(octets), route.simulated, {}};
  InFlight entry{{}, octets, m_site.now};
  wire::RelayHop hop;
  hop.relay = block.id;
  hop.shares = static_cast<std::uint8_t>(route.paths.size());
  hop.source = m_site.config.id;
  hop.destination = m_peer.id;
  hop.simulated = route.simulated;
  for (std::size_t i = 0; i < pads.size(); ++i) {
    const SecretBytes share = make_share(octets);
    xor_into(block.key.mutable_view(), share.view());
    hop.share = static_cast<std::uint8_t>(i + 1);
    send_share(route.paths[i], std::move(pads[i]), share.view(), hop);
    entry.ways.push_back({route.paths[i]});
  }
  m_in_flight.emplace(block.id, std::move(entry));
  m_in_flight_octets += octets;
  far().accept().await_relayed(std::move(block));
  return Turn::sent;
}

// All links are asked at once; the pads of those that have some are not wasted meanwhile.
bool RelaySource::look_for_key(const Route& route) {
  const std::uint32_t slots = pad_slots(route.block_size());
  std::vector<KmeId> lacking;
  for (const RelayPath& path : route.paths)
    if (!m_associations.at(path.front())->has_pad(slots)) lacking.push_back(path.front());
  if (lacking.empty())
    m_key_awaited.reset();
  else
    wait_for_key(lacking);
  return lacking.empty();
}

std::vector<CarvedPad> RelaySource::carve_pads(const Route& route, std::uint32_t slots) {
  std::vector<CarvedPad> pads;
  for (const RelayPath& path : route.paths) {
    auto pad = m_associations.at(path.front())->carve_pad(slots);
    QUIPU_ASSERT(pad);  // no two paths begin with one node
    pads.push_back(*std::move(pad));
  }
  return pads;
}

SecretBytes RelaySource::make_share(std::size_t octets) {
  SecretBytes share(octets);
  m_site.rng.fill(share.mutable_view());
  if (m_entropy != nullptr) m_entropy->mask(share.mutable_view());
  return share;
}

void RelaySource::send_share(const RelayPath& path, CarvedPad pad, ByteView share, wire::RelayHop hop) const {
  hop.path.assign(path.begin() + 1, path.end());
  hop.pad = std::move(pad.parts);
  seal_hop(hop, share, pad.octets.view());
  m_associations.at(path.front())->send_hop(std::move(hop));
}

void RelaySource::wait_for_key(const std::vector<KmeId>& lacking) {
  if (!m_key_awaited || std::ranges::find(lacking, m_key_awaited->first) == lacking.end())
    m_key_awaited.emplace(lacking.front(), m_site.now + kHopTime);
  if (m_site.now < m_key_awaited->second) return;
  const KmeId first = m_key_awaited->first;
  m_key_awaited.reset();
  back_off(wire::RefusalReason::no_key, {{m_site.config.id, first}});
}

void RelaySource::hop_answered(const RelayHopAnswered& answer) {
  const auto entry = m_in_flight.find(answer.relay);
  Way* const way = entry == m_in_flight.end() ? nullptr : entry->second.find(answer.by);
  if (way == nullptr) return;
  way->answered = true;
  if (answer.refused) give_up(entry, *answer.refused, {{m_site.config.id, answer.by}});
}

void RelaySource::failed(const RelayFailedReceived& news) {
  const auto entry = m_in_flight.find(news.message.relay);
  if (entry == m_in_flight.end() || entry->second.find(news.from) == nullptr) return;
  give_up(entry, news.message.reason, {{news.message.from, news.message.to}});
}

void RelaySource::ended(const RelayEnded& end) {
  const auto entry = m_in_flight.find(end.relay);
  if (entry == m_in_flight.end()) return;
  if (!end.relayed) {
    ++m_voided;
    back_off(wire::RefusalReason::forged, all_links(entry->second));
  } else {
    ++m_relayed;
    m_pause = {};
    m_failing = false;
  }
  m_in_flight_octets -= entry->second.octets;
  m_in_flight.erase(entry);
}

void RelaySource::contact_lost(const KmeId& peer) {
  for (auto it = m_in_flight.begin(); it != m_in_flight.end();) {
    const auto entry = it++;
    if (const Way* way = entry->second.find(peer); way != nullptr && !way->answered)
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
  m_failing = true;
  if (m_site.now < m_not_before) return;
  m_pause = std::clamp(2 * m_pause, kFirstPause, kLongestPause);
  // Nor over the path of before.
  m_not_before = std::max(m_site.now + m_pause, m_routes.next_search(m_peer.id).value_or(m_site.now));
  m_site.report(LogLevel::warning, "relay_failed", "a relayed block did not arrive; others are sent",
                {{"peer", m_peer.id.value()},
                 {"from", suspects.front().first.value()},
                 {"to", suspects.back().second.value()},
                 {"reason", std::string(wire::to_string(reason))}});
}

void RelaySource::handle_timeout() {
  for (auto it = m_in_flight.begin(); it != m_in_flight.end();) {
    const auto entry = it++;
    if (m_site.now < entry->second.due()) continue;
    const Way* silent = entry->second.unanswered();
    give_up(entry, wire::RefusalReason::timeout,
            silent != nullptr ? std::vector<Link>{{m_site.config.id, silent->path.front()}} : all_links(entry->second));
  }
}

std::optional<TimePoint> RelaySource::next_deadline() const {
  std::optional<TimePoint> next;
  const auto consider = [&](TimePoint due) { next = next ? std::min(*next, due) : due; };
  for (const auto& [id, entry] : m_in_flight)
    consider(entry.due());
  if (!is_wanted()) return next;
  if (m_not_before > m_site.now) consider(m_not_before);
  if (const auto search = m_routes.next_search(m_peer.id); search && *search > m_site.now) consider(*search);
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
  status.failing = m_failing;
}

}  // namespace quipu::kms
