// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/link_states.h"

#include <algorithm>
#include <compare>

namespace quipu::kms {
namespace {

// No KME comes this far by itself: what others say is ours from here on is a lie, and going beyond that would leave no
// sequence that a peer takes. It ages away.
constexpr std::uint64_t kPlausible = wire::kMaxSequence / 2;

// The higher sequence is newer. An origin that was restarted, and has not heard of its last state, says other words
// with a sequence that it has used: of these two any order does that all agree on (RFC 2328 section 13.1 takes the
// checksum), so that one of them reaches everybody, the origin as well, which then goes beyond it.
std::strong_ordering compare(const wire::LinkState& a, const wire::LinkState& b) {
  if (a.sequence != b.sequence || a == b) return a.sequence <=> b.sequence;
  const SecretBytes words = wire::encode(a);
  const SecretBytes others = wire::encode(b);
  return std::lexicographical_compare_three_way(words.view().begin(), words.view().end(), others.view().begin(),
                                                others.view().end());
}

}  // namespace

LinkStates::Reception LinkStates::receive(const wire::LinkState& state, TimePoint now) {
  Dated told{state, now - std::chrono::seconds(state.age_s)};
  told.state.age_s = 0;
  if (state.origin == m_own) {
    const wire::LinkState* own = find(m_own);
    if (own != nullptr && state.sequence < own->sequence) return Reception::older;
    if (own != nullptr && *own == told.state) return Reception::same;
    if (state.sequence >= kPlausible) return Reception::forged;
    m_sequence = std::max(m_sequence, state.sequence);
    return Reception::own_old;
  }
  const auto found = m_states.find(state.origin);
  if (found == m_states.end()) {
    if (m_states.size() >= kMaxOrigins || told.published + kStateLifetime <= now) return Reception::no_room;
    take(m_states[state.origin], std::move(told), now);
    return Reception::newer;
  }
  Entry& entry = found->second;
  const auto order = compare(told.state, entry.current.state);
  if (order < 0) return Reception::older;
  if (order == 0) return Reception::same;
  // The sender would be given the current one for it, which is no newer: neither would ever rest.
  if (entry.waiting && compare(told.state, entry.waiting->state) <= 0) return Reception::waiting;
  if (now < entry.taken + kStateInterval) {
    entry.waiting = std::move(told);
    return Reception::waiting;
  }
  take(entry, std::move(told), now);
  return Reception::newer;
}

void LinkStates::take(Entry& entry, Dated state, TimePoint now) {
  entry = {std::move(state), now, {}};
  ++m_version;
}

std::vector<KmeId> LinkStates::take_waiting(TimePoint now) {
  std::vector<KmeId> out;
  for (auto& [origin, entry] : m_states) {
    if (!entry.waiting || now < entry.taken + kStateInterval) continue;
    Dated newest = std::move(*entry.waiting);
    take(entry, std::move(newest), now);
    out.push_back(origin);
  }
  return out;
}

void LinkStates::publish(bool trusted_node, std::vector<wire::Neighbour> neighbours, TimePoint now) {
  wire::LinkState own{
      .origin = m_own, .sequence = ++m_sequence, .trusted_node = trusted_node, .neighbours = std::move(neighbours)};
  take(m_states[m_own], {std::move(own), now}, now);
}

void LinkStates::age(TimePoint now) {
  const std::size_t dropped = std::erase_if(m_states, [&](const auto& each) {
    return each.first != m_own && each.second.current.published + kStateLifetime <= now;
  });
  if (dropped != 0) ++m_version;
}

std::optional<TimePoint> LinkStates::next_deadline() const {
  std::optional<TimePoint> next;
  for (const auto& [origin, entry] : m_states)
    if (entry.waiting) next = std::min(next.value_or(TimePoint::max()), entry.taken + kStateInterval);
  return next;
}

const wire::LinkState* LinkStates::find(const KmeId& origin) const {
  const auto found = m_states.find(origin);
  return found == m_states.end() ? nullptr : &found->second.current.state;
}

// Rounded up, so that no way that it may take makes it younger.
std::optional<wire::LinkState> LinkStates::aged(const KmeId& origin, TimePoint now) const {
  const auto found = m_states.find(origin);
  if (found == m_states.end()) return std::nullopt;
  const auto age = std::chrono::ceil<std::chrono::seconds>(now - found->second.current.published);
  if (age > kStateLifetime) return std::nullopt;
  wire::LinkState state = found->second.current.state;
  state.age_s = static_cast<std::uint8_t>(age.count());
  return state;
}

std::vector<KmeId> LinkStates::origins() const {
  std::vector<KmeId> out;
  out.reserve(m_states.size());
  for (const auto& [origin, entry] : m_states)
    out.push_back(origin);
  return out;
}

}  // namespace quipu::kms
