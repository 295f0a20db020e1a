// SPDX-License-Identifier: Apache-2.0
#include "kmsd/status.h"

#include <algorithm>

#include "base/version.h"

namespace quipu::kmsd {
namespace {

control::LinkState to_control(kms::LinkState state) {
  switch (state) {
    case kms::LinkState::up: return control::LinkState::up;
    case kms::LinkState::contacting: return control::LinkState::connecting;
    case kms::LinkState::down:
    case kms::LinkState::refused: return control::LinkState::down;
  }
  return control::LinkState::down;
}

// A dead driver measures nothing: its last figures would look like those of a link that runs.
control::KeyLinkStatus link_status(const config::LinkConfig& config, const LinkReport& report) {
  const driver::DriverStatus& driver = report.driver;
  const bool running = driver.state == driver::HostState::running;
  control::KeyLinkStatus status;
  status.name = config.name;
  status.driver = config.driver;
  status.state = driver::to_string(driver.state);
  if (running && driver.telemetry) {
    status.state = driver::to_string(driver.telemetry->state);
    status.skr_bit_s = driver.telemetry->skr_bit_s;
    status.qber = driver.telemetry->qber;
  }
  if (!running && !driver.problem.empty()) status.state += ": " + driver.problem;
  status.simulated = report.simulated;
  status.blocks = driver.blocks;
  status.bits = report.octets * 8;
  return status;
}

// Why it ended last, and what is done to have it again.
std::string link_reason(const kms::PoolStatus& pool, const std::map<KmeId, std::string>& attempts) {
  const auto attempt = attempts.find(pool.peer);
  if (to_control(pool.link) != control::LinkState::down || attempt == attempts.end()) return pool.link_reason;
  return pool.link_reason.empty() ? attempt->second : pool.link_reason + "; " + attempt->second;
}

control::PoolBooks books_status(const kms::Books& books) {
  return {.received_bits = books.received * 8,
          .held_bits = books.held * 8,
          .stock_bits = books.stock * 8,
          .leased_bits = books.leased * 8,
          .delivered_bits = books.delivered * 8,
          .consumed_bits = books.consumed * 8,
          .burnt_bits = books.burnt * 8,
          .expired_bits = books.expired * 8,
          .voided_bits = books.voided * 8};
}

// Nothing to give from now, of what both ends may take and of what this one has taken: in short supply, other than
// stopped.
bool is_empty(const kms::PoolStatus& pool) {
  const std::uint64_t free = pool.link == kms::LinkState::up ? pool.stock_keys : 0;
  return pool.serving && free + pool.leased_keys == 0;
}

control::PoolStatus pool_status(const kms::PoolStatus& pool, const std::map<KmeId, std::string>& attempts) {
  control::PoolStatus status{.peer_kme = pool.peer.value(),
                             .km_link = to_control(pool.link),
                             .km_link_reason = link_reason(pool, attempts),
                             .serving = pool.serving,
                             .empty = is_empty(pool),
                             .simulated = pool.simulated,
                             .relayed = false,
                             .min_sources = pool.min_sources,
                             .sources = {},
                             .stock_bits = pool.stock_octets * 8,
                             .leased_bits = pool.leased_octets * 8,
                             .delivered_bits = pool.delivered_octets * 8,
                             .burnt_bits = pool.burnt_octets * 8,
                             .delivered_keys = pool.delivered_keys,
                             .refused_blocks = pool.refused_blocks,
                             .refused_requests = pool.refused_requests,
                             .violations = pool.violations,
                             .oldest_age_s = pool.oldest_age_s,
                             .runway_s = pool.runway_s,
                             .books = books_status(pool.books),
                             .links = {}};
  for (const kms::PartStatus& part : pool.parts)
    status.sources.push_back({.source = part.source, .stock_bits = part.octets * 8});
  return status;
}

bool is_relayed(const config::KmsdConfig& config, const KmeId& peer) {
  const config::PeerKmeConfig* const found = config.find_peer_kme(peer);
  return found != nullptr && found->relay_stock_bit != 0;
}

// Why nothing is relayed; empty when key is, or need not be.
std::string reason_of(const kms::RelayRouteStatus& route) {
  if (!route.starved) return "";
  if (!route.links.empty()) return route.failing ? "blocks do not arrive: " + route.last_failure : "";
  const std::string found = route.paths == 1 ? "no path over trusted nodes has enough key on every link"
                                             : "of " + std::to_string(route.paths) +
                                                   " paths over trusted nodes, without a node in common, " +
                                                   std::to_string(route.paths_found) + " have enough key on every link";
  return route.missing.empty() ? found : found + ": " + route.missing;
}

// Of the pool with that KME.
std::string relay_reason(const kms::RelayStatus& relay, const KmeId& peer) {
  const auto route = std::ranges::find(relay.routes, peer, &kms::RelayRouteStatus::peer);
  return route == relay.routes.end() ? "" : reason_of(*route);
}

control::RelayRouteStatus route_status(const kms::RelayRouteStatus& route) {
  control::RelayRouteStatus status{.peer_kme = route.peer.value(),
                                   .source = route.source,
                                   .configured = route.configured,
                                   .paths = route.paths,
                                   .paths_found = route.paths_found,
                                   .links = {},
                                   .reason = reason_of(route),
                                   .stock_bits = route.stock_octets * 8,
                                   .target_bits = route.target_octets * 8,
                                   .in_flight = route.in_flight,
                                   .relayed = route.relayed,
                                   .voided = route.voided,
                                   .failed = route.failed,
                                   .last_failure = route.last_failure};
  for (const kms::RelayLinkStatus& link : route.links)
    status.links.push_back({.from = link.from.value(),
                            .to = link.to.value(),
                            .path = link.path,
                            .stock_bits = link.octets * 8,
                            .simulated = link.simulated});
  return status;
}

std::string to_text(kms::EntropyState state) {
  switch (state) {
    case kms::EntropyState::testing: return "testing";
    case kms::EntropyState::good: return "good";
    case kms::EntropyState::failed: return "failed";
  }
  return "";
}

}  // namespace

// What has failed stays so, whether or not it is still there.
control::EntropyStatus make_entropy_status(const kms::EntropyStatus& entropy, const std::string& source,
                                           const std::string& problem) {
  control::EntropyStatus status{.source = source,
                                .state = to_text(entropy.state),
                                .reason = {},
                                .used_bits = entropy.used_octets * 8,
                                .ready_bits = entropy.ready_octets * 8};
  if (entropy.state == kms::EntropyState::failed || problem.empty()) return status;
  status.state = "absent";
  status.reason = problem;
  return status;
}

control::RelayStatus make_relay_status(const KmeId& own, const kms::RelayStatus& relay,
                                       std::optional<control::EntropyStatus> entropy) {
  control::RelayStatus status{.kme = own.value(),
                              .trusted_node = relay.trusted_node,
                              .forwarded = relay.forwarded,
                              .refused = relay.refused,
                              .forged = relay.forged,
                              .routes = {},
                              .entropy = std::move(entropy)};
  for (const kms::RelayRouteStatus& route : relay.routes)
    status.routes.push_back(route_status(route));
  return status;
}

control::KmsStatus make_status(const config::KmsdConfig& config, const Reports& reports) {
  control::KmsStatus status;
  status.version = kVersion;
  status.kme = config.kme.id.value();
  status.reason = reports.reason;
  status.uptime_s = std::chrono::duration<double>(reports.uptime).count();
  for (const auto& sae : config.saes)
    status.saes.push_back(sae.id.value());
  for (const kms::PoolStatus& pool : reports.pools) {
    status.pools.push_back(pool_status(pool, reports.attempts));
    status.pools.back().relayed = is_relayed(config, pool.peer);
    status.pools.back().relay_reason = relay_reason(reports.relay, pool.peer);
    for (const config::LinkConfig& link : config.links)
      if (const auto report = reports.links.find(link.name);
          link.peer_kme == pool.peer && report != reports.links.end())
        status.pools.back().links.push_back(link_status(link, report->second));
  }
  status.requests = reports.requests;
  for (const auto& [http_status, count] : reports.refused)
    status.refused[std::to_string(http_status)] = count;
  status.refused_connections = reports.refused_connections;
  status.store_syncs = reports.store_syncs;
  status.certificates = reports.certificates;
  status.relay_entropy = reports.relay_entropy;
  return status;
}

}  // namespace quipu::kmsd
