// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "protocol/key_fetch.h"

namespace quipu::protocol {

// The QKD keys of one peer outside of a handshake, in memory only and each with an end: what was fetched ahead, what a
// reject told us to keep, what the peer named ahead of time, and what a KMS delivered too late. A key leaves once, into
// one handshake, or is burnt.
class KeySupply {
 public:
  // --- ours: fresh keys for our own next attempt, one per slot at most ---
  // False when the slot has one already: the key is for the caller to burn.
  bool put_own(HeldKey& key);
  std::optional<HeldKey> take_own(std::uint8_t slot);

  std::size_t own_count() const { return m_own.size(); }

  std::vector<KeyReference> own_references() const;

  // --- the peer's: keys that it named ---
  // At most kLateKeysPerPeer + 1 per slot; the oldest of the slot gives way and is returned.
  std::optional<HeldKey> put_named(HeldKey key);
  std::optional<HeldKey> take_named(const KeyReference& reference);
  bool has_named(const KeyReference& reference) const;

  // Requests that outlived their round. The oldest gives way; its answer, if one comes, is burnt.
  void put_late(KeyFetch::Late late);
  std::optional<KeyFetch::Late> take_late(KeyRequestId id);
  // The request for this key of this slot (without key_id, for a fresh one) that went out after `asked_after`.
  std::optional<KeyFetch::Late> take_late(std::uint8_t slot, const std::optional<KeyId>& key_id, TimePoint asked_after);

  std::size_t count() const { return m_own.size() + m_named.size(); }

  std::vector<HeldKey> take_expired(TimePoint now);
  std::vector<HeldKey> take_everything();
  std::optional<TimePoint> next_deadline() const;

 private:
  std::vector<HeldKey> m_own;
  std::vector<HeldKey> m_named;
  std::vector<KeyFetch::Late> m_late;
};

// The key_IDs that entered a handshake or were burnt, so that a KMS or a peer that names one again is refused: the last
// 1,024, as 64 bits of their hash.
class UsedKeys {
 public:
  void add(const KeyReference& reference);
  bool contains(const KeyReference& reference) const;

 private:
  static std::uint64_t digest(const KeyReference& reference);

  static constexpr std::size_t kKept = 1024;
  std::vector<std::uint64_t> m_ring;
  std::size_t m_at = 0;
};

}  // namespace quipu::protocol
