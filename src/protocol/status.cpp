// SPDX-License-Identifier: Apache-2.0
#include "protocol/status.h"

#include <algorithm>

namespace quipu::protocol {

std::string_view to_string(DropReason reason) {
  switch (reason) {
    case DropReason::queue_full: return "queue_full";
    case DropReason::blocked: return "blocked";
    case DropReason::key_limit: return "key_limit";
    case DropReason::unknown_index: return "unknown_index";
    case DropReason::failed_open: return "failed_open";
    case DropReason::replay: return "replay";
    case DropReason::expired_key: return "expired_key";
    case DropReason::source_not_allowed: return "source_not_allowed";
    case DropReason::malformed: return "malformed";
    case DropReason::congestion: return "congestion";
    case DropReason::too_big: return "too_big";
    case DropReason::count_: break;
  }
  return "unknown";
}

DropReason drop_reason(Errc error) {
  switch (error) {
    case Errc::already_used: return DropReason::replay;
    case Errc::authentication: return DropReason::failed_open;
    case Errc::limit_reached: return DropReason::key_limit;
    case Errc::expired: return DropReason::expired_key;
    case Errc::too_large: return DropReason::too_big;
    case Errc::not_permitted: return DropReason::source_not_allowed;
    default: return DropReason::malformed;
  }
}

std::string_view to_string(RejectReason reason) {
  switch (reason) {
    case RejectReason::key_unknown: return "key-unknown";
    case RejectReason::kms_unavailable: return "kms-unavailable";
    case RejectReason::busy: return "busy";
    case RejectReason::expired: return "expired";
    case RejectReason::policy_mismatch: return "policy-mismatch";
    case RejectReason::stamp_stale: return "stamp-stale";
  }
  return "unknown";
}

void Latencies::add(Duration value) {
  m_ring[m_count % m_ring.size()] = value;
  ++m_count;
}

Duration Latencies::last() const {
  return m_count == 0 ? Duration{} : m_ring[(m_count - 1) % m_ring.size()];
}

Duration Latencies::percentile(int percent) const {
  const std::size_t kept = std::min<std::size_t>(m_count, m_ring.size());
  if (kept == 0) return {};
  auto sorted = m_ring;
  const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(kept);
  std::sort(sorted.begin(), end);
  const std::size_t rank = (kept * static_cast<std::size_t>(percent) + 99) / 100;
  return sorted[std::clamp<std::size_t>(rank, 1, kept) - 1];
}

}  // namespace quipu::protocol
