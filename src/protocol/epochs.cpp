// SPDX-License-Identifier: Apache-2.0
#include "protocol/epochs.h"

#include <algorithm>

namespace quipu::protocol {

Epoch* Epochs::find(SessionIndex local, TimePoint now) {
  for (auto* slot : {&m_current, &m_next, &m_previous})
    if (*slot && (*slot)->keypair->local() == local) return now < (*slot)->dies ? &**slot : nullptr;
  return nullptr;
}

void Epochs::erase(std::optional<Epoch>& slot, IndexTable& indices) {
  if (!slot) return;
  indices.release(slot->keypair->local());
  slot.reset();
}

void Epochs::install(Epoch epoch, IndexTable& indices) {
  keep_current_as_previous(indices);
  erase(m_current, indices);
  m_current.emplace(std::move(epoch));
}

void Epochs::keep_current_as_previous(IndexTable& indices) {
  if (!m_current || (!m_current->confirmed && m_previous)) return;
  erase(m_previous, indices);
  m_previous.emplace(std::move(*m_current));
  m_current.reset();
}

void Epochs::set_next(Epoch epoch, IndexTable& indices) {
  erase(m_next, indices);
  m_next.emplace(std::move(epoch));
}

void Epochs::extend_next(TimePoint dies) {
  if (m_next) m_next->dies = std::max(m_next->dies, dies);
}

bool Epochs::promote_next(std::uint64_t order, TimePoint dies, TimePoint previous_dies, IndexTable& indices) {
  if (m_current && m_next->order < m_current->order) return false;
  keep_current_as_previous(indices);
  erase(m_current, indices);
  if (m_previous) m_previous->dies = std::min(m_previous->dies, previous_dies);
  m_current.emplace(std::move(*m_next));
  m_next.reset();
  m_current->order = order;
  m_current->dies = dies;
  m_current->confirmed = true;
  return true;
}

void Epochs::confirm_current(TimePoint previous_dies) {
  m_current->confirmed = true;
  if (m_previous) m_previous->dies = std::min(m_previous->dies, previous_dies);
}

bool Epochs::newly_under_attack() {
  bool found = false;
  for (auto* slot : {&m_current, &m_previous, &m_next})
    if (*slot && !(*slot)->alarmed && (*slot)->keypair->under_attack()) found = (*slot)->alarmed = true;
  return found;
}

void Epochs::expire(TimePoint now, IndexTable& indices) {
  for (auto* slot : {&m_current, &m_previous, &m_next})
    if (*slot && (*slot)->dies <= now) erase(*slot, indices);
}

void Epochs::erase_all(IndexTable& indices) {
  for (auto* slot : {&m_current, &m_previous, &m_next})
    erase(*slot, indices);
}

std::optional<TimePoint> Epochs::next_deadline() const {
  std::optional<TimePoint> next;
  for (const auto* slot : {&m_current, &m_previous, &m_next})
    if (*slot && (!next || (*slot)->dies < *next)) next = (*slot)->dies;
  return next;
}

}  // namespace quipu::protocol
