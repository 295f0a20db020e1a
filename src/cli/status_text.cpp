// SPDX-License-Identifier: Apache-2.0
#include "cli/status_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <optional>

namespace quipu::cli {
namespace {

using control::CertificateState;
using control::CertificateStatus;
using control::DeviceStatus;
using control::KeyLinkStatus;
using control::KeySourceStatus;
using control::KmsStatus;
using control::PoolStatus;
using control::QkdState;
using control::TunnelState;
using control::TunnelStatus;

// A daemon asks a KMS that works for its stock every 10 s at the most; what is older says how old it is.
constexpr double kOldFigure_s = 30;

std::string capitals(std::string_view word) {
  std::string out(word);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

std::string age_text(const std::optional<double>& seconds) {
  return seconds ? duration_text(*seconds) : "-";
}

std::string ms_text(const std::optional<double>& ms) {
  return ms ? fmt::format("{:.1f} ms", *ms) : "-";
}

std::string bits_text(std::uint64_t bits) {
  if (bits < 10'000) return fmt::format("{} bit", bits);
  if (bits < 10'000'000) return fmt::format("{:.1f} kbit", static_cast<double>(bits) / 1e3);
  return fmt::format("{:.1f} Mbit", static_cast<double>(bits) / 1e6);
}

// "replay 3, no_key 1"; empty when nothing was counted.
std::string counts_text(const std::map<std::string, std::uint64_t>& counts) {
  std::string out;
  for (const auto& [reason, count] : counts)
    if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", reason, count);
  return out;
}

void append_counts(std::string& out, std::string_view label, const std::map<std::string, std::uint64_t>& counts) {
  if (const std::string text = counts_text(counts); !text.empty()) out += fmt::format("  {} {}\n", label, text);
}

std::string stock_text(const KeySourceStatus& source) {
  return source.stock_keys ? fmt::format("{} keys in stock", *source.stock_keys) : "";
}

// What was once so, and may no longer be.
bool is_old(const KeySourceStatus& source) {
  if (!source.reachable) return source.answered_s || source.stock_age_s;
  return source.answered_s.value_or(0) >= kOldFigure_s || source.stock_age_s.value_or(0) >= kOldFigure_s;
}

std::string old_text(const KeySourceStatus& source) {
  std::string out;
  if (source.answered_s) out += fmt::format("last answer {} ago", duration_text(*source.answered_s));
  if (source.stock_keys) out += fmt::format("{}{}", out.empty() ? "" : ", ", stock_text(source));
  if (source.stock_age_s) out += fmt::format(" as of {} ago", duration_text(*source.stock_age_s));
  return fmt::format("    {}\n", out);
}

std::string to_text(const KeySourceStatus& source) {
  std::string out = fmt::format("  source {} for {}: ", source.kms, source.peer_sae_id);
  out += source.reachable ? "reachable" : source.asked ? "NOT REACHABLE" : "not asked yet";
  if (source.simulated) out += ", SIMULATED";
  if (const std::string stock = stock_text(source); !stock.empty() && !is_old(source)) out += ", " + stock;
  if (!source.last_error.empty()) out += fmt::format(" ({})", source.last_error);
  out += "\n";
  if (is_old(source)) out += old_text(source);
  return out;
}

std::string epoch_text(const TunnelStatus& tunnel) {
  std::string out = fmt::format("  epoch {} ({} of {})  rekeys {}", tunnel.epoch, age_text(tunnel.epoch_age_s),
                                duration_text(tunnel.effective_rekey_interval_s), tunnel.rekeys);
  if (tunnel.last_rekey_ms)
    out += fmt::format("  last {}  p50 {}  p99 {}", ms_text(tunnel.last_rekey_ms), ms_text(tunnel.rekey_p50_ms),
                       ms_text(tunnel.rekey_p99_ms));
  return out + "\n";
}

std::string keys_text(const TunnelStatus& tunnel) {
  std::string out = fmt::format("  QKD {}  keys used {}  burnt {}", to_string(tunnel.qkd), tunnel.qkd_keys_used,
                                tunnel.qkd_keys_burnt);
  if (tunnel.key_runway_s) out += fmt::format("  runway {}", duration_text(*tunnel.key_runway_s));
  if (tunnel.reduced_epochs > 0) out += fmt::format("  reduced epochs {}", tunnel.reduced_epochs);
  out += "\n";
  if (tunnel.kms_failures == 0) return out;
  out += fmt::format("  KMS failures {}", tunnel.kms_failures);
  if (tunnel.last_kms_failure_s) out += fmt::format("  last {} ago", duration_text(*tunnel.last_kms_failure_s));
  return out + "\n";
}

bool is_well(const TunnelStatus& tunnel) {
  return tunnel.state == TunnelState::up || tunnel.state == TunnelState::idle;
}

bool is_short_of_keys(const TunnelStatus& tunnel) {
  return tunnel.qkd == QkdState::reduced || tunnel.qkd == QkdState::stretch ||
         std::ranges::any_of(tunnel.sources,
                             [](const KeySourceStatus& source) { return source.asked && !source.reachable; });
}

// Well by its state, and something is wrong all the same. The reason of an idle tunnel says only since when it is.
bool is_degraded(const TunnelStatus& tunnel) {
  const bool has_fault = tunnel.state == TunnelState::up && !tunnel.reason.empty();
  return is_well(tunnel) && (has_fault || is_short_of_keys(tunnel));
}

std::string to_text(const CertificateStatus& certificate) {
  const std::string left = duration_text(std::abs(certificate.remaining_s));
  switch (certificate.state) {
    case CertificateState::good:
      return fmt::format("  certificate {}  ends {}  in {}\n", certificate.setting, certificate.not_after, left);
    case CertificateState::not_yet:
      return fmt::format("  certificate {}  NOT VALID YET  from {}\n", certificate.setting, certificate.not_before);
    case CertificateState::ends_soon:
      return fmt::format("  certificate {}  ENDS SOON  {}  in {}\n", certificate.setting, certificate.not_after, left);
    case CertificateState::over:
      return fmt::format("  certificate {}  OVER  {}  {} ago\n", certificate.setting, certificate.not_after, left);
    case CertificateState::revoked: return fmt::format("  certificate {}  REVOKED\n", certificate.setting);
  }
  return {};
}

bool all_are_valid(const std::vector<CertificateStatus>& certificates) {
  return std::ranges::all_of(certificates, control::is_valid, &CertificateStatus::state);
}

// `mtu`: of the interface, octets.
std::string to_text(const TunnelStatus& tunnel, std::uint64_t mtu) {
  std::string out = fmt::format("tunnel {}  {}{}{}\n", tunnel.peer, capitals(to_string(tunnel.state)),
                                is_degraded(tunnel) ? "  DEGRADED" : "", tunnel.simulated ? "  SIMULATED" : "");
  if (!tunnel.reason.empty()) out += fmt::format("  reason {}\n", tunnel.reason);
  out +=
      fmt::format("  protection {}  (required {})\n",
                  tunnel.protection_achieved.empty() ? "none" : tunnel.protection_achieved, tunnel.protection_required);
  out += fmt::format("  endpoint {}  last handshake {}{}\n", tunnel.endpoint.empty() ? "-" : tunnel.endpoint,
                     age_text(tunnel.last_handshake_s), tunnel.last_handshake_s ? " ago" : "");
  if (tunnel.lanes > 1) out += fmt::format("  lanes {} of {} in use\n", tunnel.lanes_in_use, tunnel.lanes);
  if (tunnel.path_mtu < mtu) out += fmt::format("  packets up to {} octets get through the path\n", tunnel.path_mtu);
  out += epoch_text(tunnel);
  out += keys_text(tunnel);
  for (const KeySourceStatus& source : tunnel.sources)
    out += to_text(source);
  out += fmt::format("  data received {} in {}  sent {} in {}\n", size_text(tunnel.traffic.rx_bytes),
                     tunnel.traffic.rx_packets, size_text(tunnel.traffic.tx_bytes), tunnel.traffic.tx_packets);
  append_counts(out, "dropped", tunnel.drops);
  append_counts(out, "queues full", tunnel.queue_drops);
  return out;
}

std::string to_text(const KeyLinkStatus& link) {
  std::string out = fmt::format("  link {}  driver {}  {}{}", link.name, link.driver, link.state,
                                link.simulated ? "  SIMULATED" : "");
  if (link.skr_bit_s) out += fmt::format("  SKR {:.0f} bit/s", *link.skr_bit_s);
  if (link.qber) out += fmt::format("  QBER {:.2f} %", *link.qber * 100);
  return out + fmt::format("  {} blocks\n", link.blocks);
}

std::string combined_text(const PoolStatus& pool) {
  std::vector<std::string> stocks;
  stocks.reserve(pool.sources.size());
  for (const control::SourceStockStatus& each : pool.sources)
    stocks.push_back(fmt::format("{} of {}", bits_text(each.stock_bits), each.source));
  return fmt::format("  each key is the xor of {} sources, in stock: {}\n", pool.min_sources,
                     stocks.empty() ? "nothing" : fmt::format("{}", fmt::join(stocks, ", ")));
}

std::string to_text(const PoolStatus& pool) {
  std::string out = fmt::format("pool with {}  KM link {}{}{}{}\n", pool.peer_kme, capitals(to_string(pool.km_link)),
                                !pool.serving ? "  STOPPED"
                                : pool.empty  ? "  EMPTY"
                                              : "",
                                pool.simulated ? "  SIMULATED" : "", pool.relayed ? "  by relay" : "");
  if (!pool.km_link_reason.empty()) out += fmt::format("  reason {}\n", pool.km_link_reason);
  if (!pool.relay_reason.empty()) out += fmt::format("  NOTHING IS RELAYED  reason {}\n", pool.relay_reason);
  out += fmt::format("  stock {}  leased {}  delivered {} in {} keys  burnt {}\n", bits_text(pool.stock_bits),
                     bits_text(pool.leased_bits), bits_text(pool.delivered_bits), pool.delivered_keys,
                     bits_text(pool.burnt_bits));
  append_counts(out, "refused:",
                {{"blocks", pool.refused_blocks},
                 {"requests of the peer", pool.refused_requests},
                 {"violations of the peer", pool.violations}});
  if (pool.min_sources > 1) out += combined_text(pool);
  if (pool.oldest_age_s) out += fmt::format("  oldest key material {} old\n", duration_text(*pool.oldest_age_s));
  if (pool.runway_s) out += fmt::format("  the stock lasts {} at this rate\n", duration_text(*pool.runway_s));
  for (const KeyLinkStatus& link : pool.links)
    out += to_text(link);
  return out;
}

std::string to_text(const std::optional<control::EntropyStatus>& entropy) {
  if (!entropy) return "";
  return fmt::format("  entropy of relayed blocks {}  {}  used {}  ready {}\n{}", entropy->source,
                     capitals(entropy->state), bits_text(entropy->used_bits), bits_text(entropy->ready_bits),
                     entropy->reason.empty() ? "" : fmt::format("  reason {}\n", entropy->reason));
}

bool is_good(const std::optional<control::EntropyStatus>& entropy) {
  return !entropy || entropy->state == "good";
}

std::string to_text(const control::RelayRouteStatus& route) {
  std::string out =
      fmt::format("pool with {}  {}  stock {} of {}\n", route.peer_kme, route.source ? "source here" : "source there",
                  bits_text(route.stock_bits), bits_text(route.target_bits));
  if (!route.reason.empty())
    out += fmt::format("  NOTHING IS RELAYED  reason {}\n", route.reason);
  else if (route.links.empty())
    out += "  no path in use now\n";
  if (route.configured) out += "  configured path\n";
  for (const control::RelayLinkStatus& link : route.links)
    out += fmt::format("  {}link {} to {}  stock {}{}\n", route.paths == 1 ? "" : fmt::format("path {}  ", link.path),
                       link.from, link.to, bits_text(link.stock_bits), link.simulated ? "  SIMULATED" : "");
  if (route.source)
    out += fmt::format("  blocks relayed {}  voided {}  failed {}  on their way {}\n", route.relayed, route.voided,
                       route.failed, route.in_flight);
  if (!route.last_failure.empty()) out += fmt::format("  last failure {}\n", route.last_failure);
  return out;
}

}  // namespace

std::string to_text(const DeviceStatus& status) {
  const std::string ports =
      status.lanes == 1 ? fmt::format("port {}", status.listen_port)
                        : fmt::format("ports {} to {}", status.listen_port, status.listen_port + status.lanes - 1);
  std::string out = fmt::format("device {}  quipud {}  up {}  {}\n  public key {}\n", status.device, status.version,
                                duration_text(status.uptime_s), ports, status.public_key);
  if (!status.reason.empty()) out += fmt::format("  reason {}\n", status.reason);
  for (const CertificateStatus& certificate : status.certificates)
    out += to_text(certificate);
  append_counts(out, "dropped", status.drops);
  if (status.cookies_sent > 0) out += fmt::format("  cookies sent {}\n", status.cookies_sent);
  append_counts(out, "queues full", status.queue_drops);
  append_counts(out, "errors", status.errors);
  if (!status.offload_missing.empty())
    out += fmt::format("  this kernel lacks {}: less throughput\n", fmt::join(status.offload_missing, ", "));
  for (const TunnelStatus& tunnel : status.tunnels)
    out += to_text(tunnel, status.mtu);
  return out;
}

std::string to_text(const control::RelayStatus& status) {
  std::string out =
      fmt::format("relay of {}  {}\n", status.kme, status.trusted_node ? "TRUSTED NODE" : "relays for nobody");
  if (status.forwarded + status.refused != 0)
    out += fmt::format("  passed on {} blocks  refused {}  of these altered {}\n", status.forwarded, status.refused,
                       status.forged);
  out += to_text(status.entropy);
  for (const control::RelayRouteStatus& route : status.routes)
    out += to_text(route);
  return out;
}

std::string to_text(const KmsStatus& status) {
  std::string out = fmt::format("KMS {}  quipu-kmsd {}  up {}  serves {}  requests {}\n", status.kme, status.version,
                                duration_text(status.uptime_s), fmt::join(status.saes, ", "), status.requests);
  if (!status.reason.empty()) out += fmt::format("  OUT OF SERVICE  reason {}\n", status.reason);
  for (const CertificateStatus& certificate : status.certificates)
    out += to_text(certificate);
  append_counts(out, "refused, by HTTP status:", status.refused);
  append_counts(out, "connections refused:", status.refused_connections);
  out += to_text(status.relay_entropy);
  for (const PoolStatus& pool : status.pools)
    out += to_text(pool);
  return out;
}

ExitCode judge(const DeviceStatus& status) {
  const auto& tunnels = status.tunnels;
  if (std::ranges::any_of(tunnels, [](const TunnelStatus& tunnel) { return tunnel.state == TunnelState::blocked; }))
    return ExitCode::policy_block;
  if (!tunnels.empty() && std::ranges::none_of(tunnels, is_well)) return ExitCode::down;
  const bool all_well = std::ranges::all_of(tunnels, is_well) && std::ranges::none_of(tunnels, is_degraded);
  return all_well && status.reason.empty() && all_are_valid(status.certificates) ? ExitCode::ok : ExitCode::degraded;
}

ExitCode judge(const KmsStatus& status) {
  const auto& pools = status.pools;
  const auto is_up = [](const PoolStatus& pool) { return pool.km_link == control::LinkState::up && pool.serving; };
  const auto links_run = [](const PoolStatus& pool) {
    return std::ranges::all_of(pool.links, [](const KeyLinkStatus& link) { return link.state == "running"; });
  };
  if (!status.reason.empty() || (!pools.empty() && std::ranges::none_of(pools, is_up))) return ExitCode::down;
  const auto is_fed = [](const PoolStatus& pool) { return pool.relay_reason.empty(); };
  const bool all_well = std::ranges::all_of(pools, is_up) && std::ranges::all_of(pools, links_run) &&
                        std::ranges::all_of(pools, is_fed) && std::ranges::none_of(pools, &PoolStatus::empty);
  return all_well && all_are_valid(status.certificates) && is_good(status.relay_entropy) ? ExitCode::ok
                                                                                         : ExitCode::degraded;
}

ExitCode judge(const control::RelayStatus& status) {
  const auto is_fed = [](const control::RelayRouteStatus& route) { return route.reason.empty(); };
  return std::ranges::all_of(status.routes, is_fed) && is_good(status.entropy) ? ExitCode::ok : ExitCode::degraded;
}

ExitCode graver(ExitCode a, ExitCode b) {
  constexpr std::array kFromMildToGrave{ExitCode::ok, ExitCode::degraded, ExitCode::error, ExitCode::down,
                                        ExitCode::policy_block};
  return std::max(std::ranges::find(kFromMildToGrave, a), std::ranges::find(kFromMildToGrave, b))[0];
}

std::string duration_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

std::string size_text(std::uint64_t octets) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (octets < 1024) return fmt::format("{} B", octets);
  auto value = static_cast<double>(octets);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit)
    value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace quipu::cli
