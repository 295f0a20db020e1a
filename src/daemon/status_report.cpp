// SPDX-License-Identifier: Apache-2.0
#include "daemon/status_report.h"

#include <algorithm>

#include "daemon/reasons.h"

namespace quipu::daemon {
namespace {

using protocol::DropReason;
using protocol::PeerStatus;

template <class Count>
std::optional<double> maybe_seconds(const std::optional<Count>& value) {
  if (!value) return std::nullopt;
  if constexpr (std::is_same_v<Count, Duration>)
    return seconds(*value);
  else
    return static_cast<double>(*value);
}

control::QkdState qkd_state(protocol::QkdState state) {
  switch (state) {
    case protocol::QkdState::off: return control::QkdState::off;
    case protocol::QkdState::ok: return control::QkdState::ok;
    case protocol::QkdState::reduced: return control::QkdState::reduced;
    case protocol::QkdState::stretch: return control::QkdState::stretch;
    case protocol::QkdState::block: return control::QkdState::block;
  }
  QUIPU_ASSERT(false);
  return control::QkdState::block;
}

control::TunnelState tunnel_state(const PeerStatus& peer) {
  if (peer.session_up) return control::TunnelState::up;
  if (peer.qkd == protocol::QkdState::block) return control::TunnelState::blocked;
  if (peer.handshake_under_way) return control::TunnelState::connecting;
  return peer.session_wanted ? control::TunnelState::down : control::TunnelState::idle;
}

std::string last_kms_error(const std::vector<control::KeySourceStatus>& sources) {
  for (const control::KeySourceStatus& source : sources)
    if (!source.last_error.empty()) return "KMS '" + source.kms + "': " + source.last_error;
  return {};
}

Reason told_by(protocol::RejectReason reject) {
  switch (reject) {
    case protocol::RejectReason::key_unknown: return Reason::unknown_keys_there;
    case protocol::RejectReason::kms_unavailable: return Reason::no_kms_there;
    case protocol::RejectReason::busy: return Reason::busy_there;
    case protocol::RejectReason::expired: return Reason::answered_before;
    case protocol::RejectReason::policy_mismatch: return Reason::configured_differently;
    case protocol::RejectReason::stamp_stale: return Reason::stamps_behind;
  }
  QUIPU_ASSERT(false);
  return Reason::no_answer;
}

std::string text_of(Reason reason, std::string_view detail = {}) {
  std::string text(to_string(reason));
  if (!detail.empty()) text.append(": ").append(detail);
  return text;
}

Reason told_by(protocol::Lack lack) {
  switch (lack) {
    case protocol::Lack::keys_here: return Reason::no_keys_here;
    case protocol::Lack::keys_there: return Reason::no_kms_there;
    case protocol::Lack::unknown_here: return Reason::unknown_keys_here;
    case protocol::Lack::unknown_there: return Reason::unknown_keys_there;
  }
  QUIPU_ASSERT(false);
  return Reason::no_keys_here;
}

bool is_there(protocol::Lack lack) {
  return lack == protocol::Lack::keys_there || lack == protocol::Lack::unknown_there;
}

// Which of the two sites has no keys to give. What the KMS here said last may be of long ago when it is not asked.
std::string shortage(const PeerStatus& peer, const std::string& kms) {
  const bool reduced = peer.qkd == protocol::QkdState::reduced;
  if (!kms.empty() && (reduced || !is_there(peer.lack))) return kms;
  return text_of(reduced ? Reason::nothing_lacks_here : told_by(peer.lack));
}

std::string reason_while_up(const PeerStatus& peer, const std::string& kms) {
  if (peer.silent) return text_of(Reason::silent);
  if (peer.unanswered) return text_of(Reason::unanswered);
  if (peer.qkd == protocol::QkdState::stretch) return text_of(Reason::keys_kept, shortage(peer, kms));
  if (peer.qkd == protocol::QkdState::reduced) return text_of(Reason::fewer_keys, shortage(peer, kms));
  return {};
}

std::string reason_of(const PeerStatus& peer, const control::TunnelStatus& out) {
  if (!peer.mismatch.empty()) return text_of(Reason::configured_differently, peer.mismatch);
  std::string kms = last_kms_error(out.sources);
  if (out.state == control::TunnelState::up) return reason_while_up(peer, kms);
  if (out.state == control::TunnelState::blocked) return text_of(Reason::blocked, shortage(peer, kms));
  if (!peer.endpoint) return text_of(Reason::no_endpoint);
  if (out.state == control::TunnelState::idle)
    return text_of(peer.statistics.epochs == 0 ? Reason::nothing_sent_yet : Reason::nothing_sent_lately);
  if (!kms.empty()) return kms;
  if (peer.last_reject) return text_of(told_by(*peer.last_reject));
  return text_of(out.state == control::TunnelState::connecting ? Reason::no_answer_yet : Reason::no_answer);
}

std::optional<double> age_of(const std::optional<TimePoint>& then, TimePoint now) {
  if (!then) return std::nullopt;
  return seconds(now - *then);
}

std::vector<control::KeySourceStatus> sources_of(const TablePeer& settings, const KeyFetcher& keys, TimePoint now) {
  std::vector<control::KeySourceStatus> out;
  for (const protocol::KeySource& source : settings.policy.sources) {
    const SourceHealth health = keys.health(source.kms, source.peer);
    out.push_back({.kms = source.kms,
                   .peer_sae_id = source.peer.value(),
                   .asked = health.asked,
                   .reachable = health.reachable,
                   .simulated = source.simulated || health.simulated,
                   .answered_s = age_of(health.answered, now),
                   .stock_keys = health.stock_keys,
                   .stock_age_s = age_of(health.stock_told, now),
                   .last_error = health.last_error});
  }
  return out;
}

bool any_simulated(const protocol::Policy& policy) {
  return std::ranges::any_of(policy.sources, &protocol::KeySource::simulated);
}

std::string required_protection(const protocol::Policy& policy) {
  std::string text = protocol::protection_text(policy.keys_needed(), any_simulated(policy));
  if (policy.qkd == protocol::QkdUse::preferred) text += "+qkd-preferred";
  return text;
}

void fill_counters(const protocol::PeerStatistics& from, control::TunnelStatus& out) {
  out.handshakes = {.initiated = from.attempts,
                    .completed = from.epochs,
                    .rejects_sent = from.rejects_sent,
                    .rejects_received = from.rejects_received};
  out.traffic = {.rx_bytes = from.rx_bytes,
                 .rx_packets = from.rx_packets,
                 .tx_bytes = from.tx_bytes,
                 .tx_packets = from.tx_packets};
  for (std::size_t i = 0; i < protocol::kDropReasons; ++i) {
    const auto reason = static_cast<DropReason>(i);
    auto& map = reason == DropReason::queue_full ? out.queue_drops : out.drops;
    map[std::string(to_string(reason))] = from.drops[i];
  }
  out.rekeys = from.epochs > 0 ? from.epochs - 1 : 0;
  if (const protocol::Latencies& warm = from.rekey_warm; warm.count() > 0) {
    out.last_rekey_ms = milliseconds(warm.last());
    out.rekey_p50_ms = milliseconds(warm.percentile(50));
    out.rekey_p99_ms = milliseconds(warm.percentile(99));
  }
  if (from.rekey_cold.count() > 0) out.rekey_cold_ms = milliseconds(from.rekey_cold.percentile(50));
  out.reduced_epochs = from.reduced_epochs;
  out.kms_failures = from.kms_failures;
  out.qkd_keys_used = from.keys_used;
  out.qkd_keys_burnt = from.keys_burnt;
}

}  // namespace

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

control::TunnelStatus tunnel_status(const PeerStatus& peer, const TablePeer& settings, const KeyFetcher& keys) {
  control::TunnelStatus out;
  out.peer = peer.name;
  out.state = tunnel_state(peer);
  out.endpoint = peer.endpoint ? peer.endpoint->text() : std::string();
  out.last_handshake_s = out.epoch_age_s = maybe_seconds(peer.key_age);
  out.epoch = peer.epoch;
  out.initiator = peer.initiator_of_epoch;
  out.rekey_interval_s = seconds(peer.rekey_interval);
  out.effective_rekey_interval_s = seconds(peer.effective_rekey_interval);
  out.protection_required = required_protection(settings.policy);
  out.protection_achieved = peer.protection;
  out.qkd = qkd_state(peer.qkd);
  fill_counters(peer.statistics, out);
  out.last_kms_failure_s = maybe_seconds(peer.last_kms_failure);
  if (peer.rtt > Duration::zero()) out.rtt_ms = milliseconds(peer.rtt);
  out.lanes = peer.lanes;
  out.lanes_in_use = peer.lanes_in_use;
  out.path_mtu = peer.path_mtu;
  out.sources = sources_of(settings, keys, net::Loop::now());
  // Of a stock that nobody can draw from, none lasts.
  if (std::ranges::all_of(out.sources, [](const auto& source) { return source.last_error.empty(); }))
    out.key_runway_s = maybe_seconds(peer.key_runway_s);
  out.simulated = std::ranges::any_of(out.sources, &control::KeySourceStatus::simulated);
  out.reason = reason_of(peer, out);
  return out;
}

std::vector<std::string> missing_offloads(const tun::Offloads& tun, const net::UdpOffloads& udp) {
  std::vector<std::string> out;
  for (const auto& [is_there, name] : {std::pair(tun.checksum, "tun_checksum"),
                                       {tun.tcp4 && tun.tcp6, "tun_tcp"},
                                       {tun.udp, "tun_udp"},
                                       {udp.segment, "udp_segment"},
                                       {udp.gather, "udp_gro"}})
    if (!is_there) out.emplace_back(name);
  return out;
}

std::map<std::string, std::uint64_t> datagram_drops(const protocol::DeviceStatistics& statistics) {
  return {{"unknown_index", statistics.unknown_index}, {"malformed", statistics.malformed},
          {"bad_mac1", statistics.bad_mac1},           {"unknown_peer", statistics.unknown_peer},
          {"no_route", statistics.no_route},           {"rate_limited", statistics.rate_limited}};
}

}  // namespace quipu::daemon
