// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/link_states.h"

#include <algorithm>

namespace quipu::kms {
namespace {

// No KME comes this far by itself: what others say is ours beyond it is a lie, and going beyond that would leave no
// sequence that a peer takes. It ages away.
constexpr std::uint64_t kPlausible = wire::kMaxSequence / 2;

}  // namespace

LinkStates::Reception LinkStates::receive(const wire::LinkState& state, TimePoint now) {
  if (state.origin == m_own) {
    if (state.sequence < m_sequence) return Reception::older;
    if (const wire::LinkState* own = find(m_own); own != nullptr && *own == state) return Reception::same;
    if (state.sequence > kPlausible) return Reception::same;
    m_sequence = state.sequence;
    return Reception::own_old;
  }
  const auto found = m_states.find(state.origin);
  if (found == m_states.end() && m_states.size() >= kMaxOrigins) return Reception::no_room;
  if (found != m_states.end() && state.sequence <= found->second.state.sequence)
    return state.sequence < found->second.state.sequence ? Reception::older : Reception::same;
  m_states.insert_or_assign(state.origin, Entry{state, now});
  return Reception::newer;
}

const wire::LinkState& LinkStates::publish(bool trusted_node, std::vector<wire::Neighbour> neighbours, TimePoint now) {
  Entry& own = m_states[m_own];
  own = {{m_own, ++m_sequence, trusted_node, std::move(neighbours)}, now};
  return own.state;
}

void LinkStates::age(TimePoint now) {
  std::erase_if(m_states,
                [&](const auto& each) { return each.first != m_own && each.second.heard + kStateLifetime <= now; });
}

const wire::LinkState* LinkStates::find(const KmeId& origin) const {
  const auto found = m_states.find(origin);
  return found == m_states.end() ? nullptr : &found->second.state;
}

std::vector<wire::LinkState> LinkStates::all() const {
  std::vector<wire::LinkState> out;
  out.reserve(m_states.size());
  for (const auto& [origin, entry] : m_states)
    out.push_back(entry.state);
  return out;
}

}  // namespace quipu::kms
