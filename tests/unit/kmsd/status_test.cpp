// SPDX-License-Identifier: Apache-2.0
#include "kmsd/status.h"

#include <gmock/gmock.h>

namespace quipu::kmsd {
namespace {

using driver::HostState;

config::KmsdConfig configuration() {
  config::KmsdConfig config;
  config.kme.id = KmeId("kme-a");
  config.saes = {{SaeId("sae-a")}};
  config.peer_kmes = {{.id = KmeId("kme-b"), .address = {}, .saes = {}, .position = {}}};
  config.links = {{.name = "a-b",
                   .peer_kme = KmeId("kme-b"),
                   .driver = "sim",
                   .allow_simulated = true,
                   .options = {},
                   .position = {}}};
  return config;
}

kms::PoolStatus pool() {
  kms::PoolStatus pool;
  pool.peer = KmeId("kme-b");
  pool.link = kms::LinkState::up;
  return pool;
}

LinkReport running_link() {
  LinkReport link;
  link.driver.state = HostState::running;
  link.driver.identity = driver::DriverIdentity{};
  link.driver.telemetry = driver::DriverTelemetry{};
  link.driver.telemetry->state = driver::DeviceState::running;
  link.driver.telemetry->skr_bit_s = 2400;
  link.driver.telemetry->qber = 0.02;
  link.driver.blocks = 3;
  link.simulated = true;
  link.octets = 3 * std::uint64_t{4096};
  return link;
}

control::KeyLinkStatus link_of(const LinkReport& link) {
  return make_status(configuration(), {.pools = {pool()}, .links = {{"a-b", link}}, .requests = 0, .refused = {}})
      .pools.at(0)
      .links.at(0);
}

TEST(KmsStatus, ShowsTheCertificates) {
  const control::CertificateStatus certificate{"km_link.cert", control::CertificateState::ends_soon, "before", "then",
                                               7};
  Reports reports;
  reports.certificates = {certificate};
  EXPECT_EQ(make_status(configuration(), reports).certificates, std::vector{certificate});
}

TEST(KmsStatus, ShowsWhatWasRefused) {
  kms::PoolStatus refusing = pool();
  refusing.refused_blocks = 1;
  refusing.refused_requests = 2;
  refusing.violations = 3;
  Reports reports{.pools = {refusing}};
  reports.refused_connections = {{"etsi014", 4}};
  const control::KmsStatus status = make_status(configuration(), reports);
  EXPECT_EQ(status.pools.at(0).refused_blocks, 1U);
  EXPECT_EQ(status.pools.at(0).refused_requests, 2U);
  EXPECT_EQ(status.pools.at(0).violations, 3U);
  EXPECT_EQ(status.refused_connections, reports.refused_connections);
}

TEST(KmsStatus, SaysWhatIsDoneToHaveTheKmLink) {
  Reports reports{.pools = {pool()}, .links = {}, .requests = 0, .refused = {}};
  reports.attempts[KmeId("kme-b")] = "calling kme-b at 192.0.2.2:8020";
  const auto reason = [&] { return make_status(configuration(), reports).pools.at(0).km_link_reason; };
  EXPECT_EQ(reason(), "");
  reports.pools[0].link = kms::LinkState::down;
  EXPECT_EQ(reason(), "calling kme-b at 192.0.2.2:8020");
  reports.pools[0].link_reason = "closed: the peer closed the connection";
  EXPECT_EQ(reason(), "closed: the peer closed the connection; calling kme-b at 192.0.2.2:8020");
  reports.pools[0].link = kms::LinkState::contacting;
  reports.pools[0].link_reason = "comparing inventories";
  EXPECT_EQ(reason(), "comparing inventories");
}

TEST(KmsStatus, ShowsWhatALinkDelivered) {
  const auto link = link_of(running_link());
  EXPECT_EQ(link.name, "a-b");
  EXPECT_EQ(link.driver, "sim");
  EXPECT_EQ(link.state, "running");
  EXPECT_TRUE(link.simulated);
  EXPECT_EQ(link.skr_bit_s, 2400);
  EXPECT_EQ(link.qber, 0.02);
  EXPECT_EQ(link.blocks, 3U);
  EXPECT_EQ(link.bits, 3 * 4096 * 8U);
}

TEST(KmsStatus, ADeadDriverMeasuresNothingAndStaysSimulated) {
  LinkReport dead = running_link();
  dead.driver.identity.reset();
  dead.driver.problem = "the driver's process ended: signal 9";
  for (const HostState state : {HostState::backoff, HostState::starting, HostState::failed}) {
    dead.driver.state = state;
    const auto link = link_of(dead);
    EXPECT_EQ(link.state, std::string(driver::to_string(state)) + ": the driver's process ended: signal 9");
    EXPECT_FALSE(link.skr_bit_s.has_value());
    EXPECT_FALSE(link.qber.has_value());
    EXPECT_TRUE(link.simulated);
    EXPECT_EQ(link.bits, 3 * 4096 * 8U);
  }
}

TEST(KmsStatus, TellsAPoolThatGivesNoKeys) {
  kms::PoolStatus stopped = pool();
  for (const bool serving : {false, true}) {
    stopped.serving = serving;
    const auto status = make_status(configuration(), {.pools = {stopped}, .links = {}, .requests = 0, .refused = {}});
    EXPECT_EQ(status.pools.at(0).serving, serving);
  }
}

// By what a request of the default size would get: only without contact, nothing of what is free.
TEST(KmsStatus, TellsAPoolThatHasNoKeyToGive) {
  kms::PoolStatus poor = pool();
  const auto empty = [&] {
    return make_status(configuration(), {.pools = {poor}, .links = {}, .requests = 0, .refused = {}}).pools.at(0).empty;
  };
  EXPECT_FALSE(empty()) << "it is stopped";
  poor.serving = true;
  EXPECT_TRUE(empty());
  poor.leased_keys = 1;
  EXPECT_FALSE(empty());
  poor.leased_keys = 0;
  poor.stock_keys = 1;
  EXPECT_FALSE(empty());
  poor.link = kms::LinkState::down;
  EXPECT_TRUE(empty());
}

TEST(KmsStatus, SaysWhyNothingIsRelayedIntoAPool) {
  const auto told = [](const kms::RelayRouteStatus& route) {
    return make_status(configuration(), {.pools = {pool()}, .relay = {.routes = {route}}}).pools.at(0).relay_reason;
  };
  kms::RelayRouteStatus route;
  route.peer = pool().peer;
  route.paths = 1;
  EXPECT_EQ(told(route), "") << "it has what it shall have";
  route.starved = true;
  EXPECT_EQ(told(route), "no path over trusted nodes has enough key on every link");
  route.missing = "the link b to c is down";
  EXPECT_EQ(told(route), "no path over trusted nodes has enough key on every link: the link b to c is down");
  EXPECT_EQ(make_relay_status(KmeId("a"), {.routes = {route}}, {}).routes.at(0).reason, told(route));
  route.paths = 3;
  route.paths_found = 2;
  EXPECT_THAT(told(route), testing::HasSubstr("of 3 paths over trusted nodes, without a node in common, 2 have"));
  route.links.push_back({KmeId("a"), KmeId("b"), 1, 4'096, false});
  EXPECT_EQ(told(route), "");
  route.failing = true;
  route.last_failure = "paths from kme-b to kme-c";
  EXPECT_EQ(told(route), "blocks do not arrive: paths from kme-b to kme-c");
  route.links.clear();
  route.peer = KmeId("another");
  EXPECT_EQ(told(route), "");
}

TEST(KmsStatus, CountsDeliveredBitsAndKeysAlike) {
  kms::PoolStatus busy = pool();
  busy.simulated = true;
  busy.min_sources = 2;
  busy.parts = {{"a-b", 4096}, {"a-b-2", 3584}};
  busy.stock_octets = 3584;
  busy.leased_octets = 512;
  busy.books = {.received = 4096, .held = 0, .stock = 3584, .leased = 512};
  busy.delivered_keys = 1;
  busy.delivered_octets = 32;
  busy.burnt_octets = 64;
  const auto status =
      make_status(configuration(), {.pools = {busy}, .links = {}, .requests = 2, .refused = {{503, 1}}});
  ASSERT_EQ(status.pools.size(), 1U);
  EXPECT_TRUE(status.pools[0].simulated);
  EXPECT_EQ(status.pools[0].min_sources, 2U);
  EXPECT_EQ(status.pools[0].sources.at(0),
            (control::SourceStockStatus{.source = "a-b", .stock_bits = std::uint64_t{4096} * 8}));
  EXPECT_EQ(status.pools[0].sources.at(1).source, "a-b-2");
  EXPECT_EQ(status.pools[0].stock_bits, 3584 * 8U);
  EXPECT_EQ(status.pools[0].leased_bits, 512 * 8U);
  EXPECT_EQ(status.pools[0].delivered_bits, 256U);
  EXPECT_EQ(status.pools[0].delivered_keys, 1U);
  EXPECT_EQ(status.pools[0].burnt_bits, 512U);
  EXPECT_EQ(status.pools[0].books,
            (control::PoolBooks{.received_bits = 32768, .stock_bits = 28672, .leased_bits = 4096}));
  EXPECT_TRUE(status.pools[0].links.empty());
  EXPECT_EQ(status.requests, 2U);
  EXPECT_EQ(status.refused.at("503"), 1U);
}

TEST(EntropyStatus, WhatHasFailedStaysSoWhetherOrNotItIsThere) {
  const auto state = [](kms::EntropyState core, const std::string& problem) {
    const auto status = make_entropy_status({core, 1, 2}, "/dev/qrandom0", problem);
    EXPECT_EQ(status.source, "/dev/qrandom0");
    EXPECT_EQ(status.used_bits, 8U);
    EXPECT_EQ(status.ready_bits, 16U);
    return status.state + " " + status.reason;
  };
  EXPECT_EQ(state(kms::EntropyState::testing, ""), "testing ");
  EXPECT_EQ(state(kms::EntropyState::good, ""), "good ");
  EXPECT_EQ(state(kms::EntropyState::good, "gone"), "absent gone");
  EXPECT_EQ(state(kms::EntropyState::failed, "gone"), "failed ");
}

}  // namespace
}  // namespace quipu::kmsd
