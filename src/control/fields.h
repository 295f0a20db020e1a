// SPDX-License-Identifier: Apache-2.0
// The one list of members per document: writing and reading both go through it. Inside src/control only.
#pragma once

#include <array>
#include <concepts>
#include <type_traits>

#include "control/audit.h"
#include "control/message.h"
#include "control/status.h"

namespace quipu::control {

// S is T or const T.
template <class S, class T>
concept Is = std::same_as<std::remove_const_t<S>, T>;

template <Is<CertificateStatus> S, class F>
void each_field(S& s, F&& f) {
  f("setting", s.setting);
  f("state", s.state);
  f("not_before", s.not_before);
  f("not_after", s.not_after);
  f("remaining_s", s.remaining_s);
}

template <Is<HandshakeCounters> S, class F>
void each_field(S& s, F&& f) {
  f("initiated", s.initiated);
  f("completed", s.completed);
  f("rejects_sent", s.rejects_sent);
  f("rejects_received", s.rejects_received);
}

template <Is<TrafficCounters> S, class F>
void each_field(S& s, F&& f) {
  f("rx_bytes", s.rx_bytes);
  f("rx_packets", s.rx_packets);
  f("tx_bytes", s.tx_bytes);
  f("tx_packets", s.tx_packets);
}

template <Is<KeySourceStatus> S, class F>
void each_field(S& s, F&& f) {
  f("kms", s.kms);
  f("peer_sae_id", s.peer_sae_id);
  f("asked", s.asked);
  f("reachable", s.reachable);
  f("simulated", s.simulated);
  f("answered_s", s.answered_s);
  f("stock_keys", s.stock_keys);
  f("stock_age_s", s.stock_age_s);
  f("last_error", s.last_error);
}

template <Is<TunnelStatus> S, class F>
void each_field(S& s, F&& f) {
  f("peer", s.peer);
  f("state", s.state);
  f("endpoint", s.endpoint);
  f("last_handshake_s", s.last_handshake_s);
  f("epoch", s.epoch);
  f("initiator", s.initiator);
  f("epoch_age_s", s.epoch_age_s);
  f("rekey_interval_s", s.rekey_interval_s);
  f("effective_rekey_interval_s", s.effective_rekey_interval_s);
  f("protection_required", s.protection_required);
  f("protection_achieved", s.protection_achieved);
  f("qkd", s.qkd);
  f("reason", s.reason);
  f("handshakes", s.handshakes);
  f("traffic", s.traffic);
  f("drops", s.drops);
  f("queue_drops", s.queue_drops);
  f("rekeys", s.rekeys);
  f("last_rekey_ms", s.last_rekey_ms);
  f("rekey_p50_ms", s.rekey_p50_ms);
  f("rekey_p99_ms", s.rekey_p99_ms);
  f("rekey_cold_ms", s.rekey_cold_ms);
  f("reduced_epochs", s.reduced_epochs);
  f("kms_failures", s.kms_failures);
  f("last_kms_failure_s", s.last_kms_failure_s);
  f("qkd_keys_used", s.qkd_keys_used);
  f("qkd_keys_burnt", s.qkd_keys_burnt);
  f("key_runway_s", s.key_runway_s);
  f("rtt_ms", s.rtt_ms);
  f("lanes", s.lanes);
  f("lanes_in_use", s.lanes_in_use);
  f("path_mtu", s.path_mtu);
  f("simulated", s.simulated);
  f("sources", s.sources);
}

template <Is<DeviceStatus> S, class F>
void each_field(S& s, F&& f) {
  f("version", s.version);
  f("device", s.device);
  f("public_key", s.public_key);
  f("listen_port", s.listen_port);
  f("lanes", s.lanes);
  f("uptime_s", s.uptime_s);
  f("mtu", s.mtu);
  f("tunnels", s.tunnels);
  f("drops", s.drops);
  f("cookies_sent", s.cookies_sent);
  f("queue_drops", s.queue_drops);
  f("errors", s.errors);
  f("offload_missing", s.offload_missing);
  f("reason", s.reason);
  f("certificates", s.certificates);
}

template <Is<KeyLinkStatus> S, class F>
void each_field(S& s, F&& f) {
  f("name", s.name);
  f("driver", s.driver);
  f("state", s.state);
  f("simulated", s.simulated);
  f("skr_bit_s", s.skr_bit_s);
  f("qber", s.qber);
  f("blocks", s.blocks);
  f("bits", s.bits);
}

template <Is<SourceStockStatus> S, class F>
void each_field(S& s, F&& f) {
  f("source", s.source);
  f("stock_bits", s.stock_bits);
}

template <Is<PoolBooks> S, class F>
void each_field(S& s, F&& f) {
  f("received_bits", s.received_bits);
  f("held_bits", s.held_bits);
  f("stock_bits", s.stock_bits);
  f("leased_bits", s.leased_bits);
  f("delivered_bits", s.delivered_bits);
  f("consumed_bits", s.consumed_bits);
  f("burnt_bits", s.burnt_bits);
  f("expired_bits", s.expired_bits);
  f("voided_bits", s.voided_bits);
}

template <Is<PoolStatus> S, class F>
void each_field(S& s, F&& f) {
  f("peer_kme", s.peer_kme);
  f("km_link", s.km_link);
  f("km_link_reason", s.km_link_reason);
  f("serving", s.serving);
  f("empty", s.empty);
  f("simulated", s.simulated);
  f("relayed", s.relayed);
  f("relay_reason", s.relay_reason);
  f("min_sources", s.min_sources);
  f("sources", s.sources);
  f("stock_bits", s.stock_bits);
  f("leased_bits", s.leased_bits);
  f("delivered_bits", s.delivered_bits);
  f("burnt_bits", s.burnt_bits);
  f("delivered_keys", s.delivered_keys);
  f("refused_blocks", s.refused_blocks);
  f("refused_requests", s.refused_requests);
  f("violations", s.violations);
  f("oldest_age_s", s.oldest_age_s);
  f("runway_s", s.runway_s);
  f("books", s.books);
  f("links", s.links);
}

template <Is<EntropyStatus> S, class F>
void each_field(S& s, F&& f) {
  f("source", s.source);
  f("state", s.state);
  f("reason", s.reason);
  f("used_bits", s.used_bits);
  f("ready_bits", s.ready_bits);
}

template <Is<KmsStatus> S, class F>
void each_field(S& s, F&& f) {
  f("version", s.version);
  f("kme", s.kme);
  f("reason", s.reason);
  f("uptime_s", s.uptime_s);
  f("saes", s.saes);
  f("pools", s.pools);
  f("requests", s.requests);
  f("refused", s.refused);
  f("refused_connections", s.refused_connections);
  f("store_syncs", s.store_syncs);
  f("certificates", s.certificates);
  f("relay_entropy", s.relay_entropy);
}

template <Is<RelayLinkStatus> S, class F>
void each_field(S& s, F&& f) {
  f("from", s.from);
  f("to", s.to);
  f("path", s.path);
  f("stock_bits", s.stock_bits);
  f("simulated", s.simulated);
}

template <Is<RelayRouteStatus> S, class F>
void each_field(S& s, F&& f) {
  f("peer_kme", s.peer_kme);
  f("source", s.source);
  f("configured", s.configured);
  f("paths", s.paths);
  f("paths_found", s.paths_found);
  f("links", s.links);
  f("reason", s.reason);
  f("stock_bits", s.stock_bits);
  f("target_bits", s.target_bits);
  f("in_flight", s.in_flight);
  f("relayed", s.relayed);
  f("voided", s.voided);
  f("failed", s.failed);
  f("last_failure", s.last_failure);
}

template <Is<RelayStatus> S, class F>
void each_field(S& s, F&& f) {
  f("kme", s.kme);
  f("trusted_node", s.trusted_node);
  f("forwarded", s.forwarded);
  f("refused", s.refused);
  f("forged", s.forged);
  f("routes", s.routes);
  f("entropy", s.entropy);
}

template <Is<VoidResult> S, class F>
void each_field(S& s, F&& f) {
  f("voided_bits", s.voided_bits);
}

template <Is<BackupResult> S, class F>
void each_field(S& s, F&& f) {
  f("file", s.file);
}

template <Is<ReloadResult> S, class F>
void each_field(S& s, F&& f) {
  f("added", s.added);
  f("removed", s.removed);
  f("changed", s.changed);
  f("needs_restart", s.needs_restart);
  f("unprotected", s.unprotected);
}

template <Is<RekeyedPeer> S, class F>
void each_field(S& s, F&& f) {
  f("peer", s.peer);
  f("latency_ms", s.latency_ms);
  f("key_prefetched", s.key_prefetched);
  f("since_asked_ms", s.since_asked_ms);
}

template <Is<UnrekeyedPeer> S, class F>
void each_field(S& s, F&& f) {
  f("peer", s.peer);
  f("reason", s.reason);
}

template <Is<RekeyResult> S, class F>
void each_field(S& s, F&& f) {
  f("rekeys", s.rekeys);
  f("failed", s.failed);
}

inline constexpr auto all_values(TunnelState /*type*/) {
  return std::array{TunnelState::up, TunnelState::idle, TunnelState::connecting, TunnelState::down,
                    TunnelState::blocked};
}

inline constexpr auto all_values(QkdState /*type*/) {
  return std::array{QkdState::ok, QkdState::reduced, QkdState::stretch, QkdState::block, QkdState::off};
}

inline constexpr auto all_values(CertificateState /*type*/) {
  return std::array{CertificateState::good, CertificateState::not_yet, CertificateState::ends_soon,
                    CertificateState::over, CertificateState::revoked};
}

inline constexpr auto all_values(LinkState /*type*/) {
  return std::array{LinkState::up, LinkState::down, LinkState::connecting};
}

template <Is<AuditEntry> S, class F>
void each_field(S& s, F&& f) {
  f("time", s.time);
  f("event", s.event);
  f("sae", s.sae);
  f("named", s.named);
  f("kme", s.kme);
  f("key_IDs", s.key_ids);
  f("text", s.text);
}

template <Is<AuditPage> S, class F>
void each_field(S& s, F&& f) {
  f("number", s.number);
  f("previous", s.previous);
  f("text", s.text);
  f("hash", s.hash);
}

template <Is<AuditPages> S, class F>
void each_field(S& s, F&& f) {
  f("pages", s.pages);
}

}  // namespace quipu::control
