// SPDX-License-Identifier: Apache-2.0
#include "kmsd/status.h"

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

control::KeyLinkStatus link_status(const config::LinkConfig& config, const driver::DriverStatus& driver) {
  control::KeyLinkStatus status;
  status.name = config.name;
  status.driver = config.driver;
  status.state = driver::to_string(driver.state);
  if (driver.telemetry && driver.state == driver::HostState::running)
    status.state = driver::to_string(driver.telemetry->state);
  if (!driver.problem.empty() && driver.state != driver::HostState::running) status.state += ": " + driver.problem;
  status.simulated = driver.identity && driver.identity->simulated;
  if (driver.telemetry) {
    status.skr_bit_s = driver.telemetry->skr_bit_s;
    status.qber = driver.telemetry->qber;
  }
  status.blocks = driver.blocks;
  return status;
}

control::PoolStatus pool_status(const kms::PoolStatus& pool) {
  return {.peer_kme = pool.peer.value(),
          .km_link = to_control(pool.link),
          .km_link_reason = pool.link_reason,
          .stock_bits = pool.books.stock * 8,
          .leased_bits = pool.books.leased * 8,
          .delivered_bits = pool.books.delivered * 8,
          .burnt_bits = pool.books.burnt * 8,
          .delivered_keys = pool.delivered_keys,
          .oldest_age_s = pool.oldest_age_s,
          .runway_s = pool.runway_s,
          .links = {}};
}

}  // namespace

control::KmsStatus make_status(const config::KmsdConfig& config, const std::vector<kms::PoolStatus>& pools,
                               const Links& links, const EtsiServer& etsi, Duration uptime) {
  control::KmsStatus status;
  status.version = kVersion;
  status.kme = config.kme.id.value();
  status.uptime_s = std::chrono::duration<double>(uptime).count();
  for (const auto& sae : config.saes)
    status.saes.push_back(sae.id.value());
  for (const kms::PoolStatus& pool : pools) {
    status.pools.push_back(pool_status(pool));
    for (const config::LinkConfig& link : config.links)
      if (const auto* driver = links.status(link.name); link.peer_kme == pool.peer && driver != nullptr)
        status.pools.back().links.push_back(link_status(link, *driver));
  }
  status.requests = etsi.requests();
  for (const auto& [http_status, count] : etsi.refused())
    status.refused[std::to_string(http_status)] = count;
  return status;
}

}  // namespace quipu::kmsd
