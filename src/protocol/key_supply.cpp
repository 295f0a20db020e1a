// SPDX-License-Identifier: Apache-2.0
#include "protocol/key_supply.h"

#include <algorithm>

#include "crypto/hash.h"
#include "protocol/policy.h"

namespace quipu::protocol {
namespace {

constexpr std::size_t kMaxLate = 4 * kMaxSources;

template <class T, class Predicate>
std::optional<T> take_first(std::vector<T>& from, Predicate matches) {
  const auto found = std::ranges::find_if(from, matches);
  if (found == from.end()) return std::nullopt;
  T taken = std::move(*found);
  from.erase(found);
  return taken;
}

}  // namespace

bool KeySupply::put_own(HeldKey& key) {
  const auto same_slot = [&](const HeldKey& held) { return held.reference.slot == key.reference.slot; };
  if (std::ranges::any_of(m_own, same_slot)) return false;
  m_own.push_back(std::move(key));
  return true;
}

std::optional<HeldKey> KeySupply::take_own(std::uint8_t slot) {
  return take_first(m_own, [&](const HeldKey& held) { return held.reference.slot == slot; });
}

std::vector<KeyReference> KeySupply::own_references() const {
  std::vector<KeyReference> out;
  for (const HeldKey& held : m_own)
    out.push_back(held.reference);
  std::ranges::sort(out, {}, &KeyReference::slot);
  return out;
}

std::optional<HeldKey> KeySupply::put_named(HeldKey key) {
  const auto same_slot = [&](const HeldKey& held) { return held.reference.slot == key.reference.slot; };
  std::optional<HeldKey> out;
  if (static_cast<std::size_t>(std::ranges::count_if(m_named, same_slot)) > kLateKeysPerPeer)
    out = take_first(m_named, same_slot);
  m_named.push_back(std::move(key));
  return out;
}

std::optional<HeldKey> KeySupply::take_named(const KeyReference& reference) {
  return take_first(m_named, [&](const HeldKey& held) { return held.reference == reference; });
}

void KeySupply::put_late(KeyFetch::Late late) {
  if (m_late.size() >= kMaxLate) m_late.erase(m_late.begin());
  m_late.push_back(std::move(late));
}

std::optional<KeyFetch::Late> KeySupply::take_late(KeyRequestId id) {
  return take_first(m_late, [&](const KeyFetch::Late& late) { return late.id == id; });
}

std::optional<KeyFetch::Late> KeySupply::take_late(std::uint8_t slot, const std::optional<KeyId>& key_id,
                                                   TimePoint asked_after) {
  return take_first(m_late, [&](const KeyFetch::Late& late) {
    return late.slot == slot && late.key_id == key_id && late.asked_at > asked_after;
  });
}

bool KeySupply::has_named(const KeyReference& reference) const {
  return std::ranges::any_of(m_named, [&](const HeldKey& held) { return held.reference == reference; });
}

std::vector<HeldKey> KeySupply::take_expired(TimePoint now) {
  std::vector<HeldKey> out;
  for (auto* keys : {&m_own, &m_named})
    while (auto expired = take_first(*keys, [&](const HeldKey& held) { return held.expires <= now; }))
      out.push_back(*std::move(expired));
  return out;
}

std::vector<HeldKey> KeySupply::take_everything() {
  m_late.clear();
  return take_expired(TimePoint::max());
}

std::optional<TimePoint> KeySupply::next_deadline() const {
  std::optional<TimePoint> next;
  for (const auto* keys : {&m_own, &m_named})
    for (const HeldKey& held : *keys)
      if (!next || held.expires < *next) next = held.expires;
  return next;
}

std::uint64_t UsedKeys::digest(const KeyReference& reference) {
  const std::array<std::uint8_t, 2> head{reference.slot, static_cast<std::uint8_t>(reference.kind)};
  const auto hash = crypto::blake2b_256({head, as_bytes(reference.key_id.value())});
  return ByteReader(hash).u64();
}

void UsedKeys::add(const KeyReference& reference) {
  if (m_ring.size() < kKept) {
    m_ring.push_back(digest(reference));
    return;
  }
  m_ring[m_at] = digest(reference);
  m_at = (m_at + 1) % kKept;
}

bool UsedKeys::contains(const KeyReference& reference) const {
  return std::ranges::find(m_ring, digest(reference)) != m_ring.end();
}

}  // namespace quipu::protocol
