// SPDX-License-Identifier: Apache-2.0
#include "control/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace quipu::control {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Every member differs from its default, so that one left out of the list of fields is seen.
DeviceStatus full_device() {
  TunnelStatus tunnel{
      .peer = "dc-b",
      .state = TunnelState::up,
      .endpoint = "192.0.2.2:51900",
      .last_handshake_s = 4.25,
      .epoch = 26113,
      .initiator = true,
      .epoch_age_s = 4.125,
      .rekey_interval_s = 10,
      .effective_rekey_interval_s = 10.5,
      .protection_required = "qkd required",
      .protection_achieved = "x25519+mlkem768+psk+qkd(1)",
      .qkd = QkdState::stretch,
      .reason = "r",
      .handshakes = {.initiated = 1, .completed = 2, .rejects_sent = 3, .rejects_received = 4},
      .traffic = {.rx_bytes = std::numeric_limits<std::uint64_t>::max(),
                  .rx_packets = 2,
                  .tx_bytes = 3,
                  .tx_packets = 4},
      .drops = {{"replay", 1}},
      .queue_drops = {{"tun", 2}},
      .rekeys = 7,
      .last_rekey_ms = 2.5,
      .rekey_p50_ms = 3.5,
      .rekey_p99_ms = 4.5,
      .rekey_cold_ms = 5.5,
      .reduced_epochs = 10,
      .kms_failures = 11,
      .last_kms_failure_s = 1.25,
      .qkd_keys_used = 8,
      .qkd_keys_burnt = 9,
      .key_runway_s = 12000,
      .rtt_ms = 0.5,
      .lanes = 4,
      .lanes_in_use = 3,
      .path_mtu = 1299,
      .simulated = true,
      .sources = {{.kms = "local",
                   .peer_sae_id = "sae-b",
                   .asked = false,
                   .reachable = true,
                   .simulated = true,
                   .answered_s = 6,
                   .stock_keys = 5,
                   .stock_age_s = 7,
                   .last_error = "e"}},
  };
  return {.version = "0.1.0",
          .device = "quipu0",
          .public_key = "k",
          .listen_port = 65535,
          .uptime_s = 1.5,
          .mtu = 1400,
          .tunnels = {tunnel, TunnelStatus{.peer = "dc-c"}},
          .drops = {{"no_peer", 3}},
          .cookies_sent = 5,
          .queue_drops = {{"udp_send", 4}},
          .errors = {{"udp_refused", 6}},
          .offload_missing = {"tun_udp"},
          .reason = "d",
          .certificates = {{.setting = "kms.local.cert",
                            .state = CertificateState::over,
                            .not_before = "2026-03-01T00:00:00Z",
                            .not_after = "2027-03-01T00:00:00Z",
                            .remaining_s = -1.5}}};
}

KmsStatus full_kms() {
  return {.version = "0.1.0",
          .kme = "kme-a",
          .uptime_s = 2,
          .saes = {"sae-a"},
          .pools = {{.peer_kme = "kme-b",
                     .km_link = LinkState::up,
                     .km_link_reason = "r",
                     .serving = false,
                     .empty = true,
                     .simulated = true,
                     .relayed = true,
                     .relay_reason = "p",
                     .min_sources = 2,
                     .sources = {{.source = "a-b", .stock_bits = 13}},
                     .stock_bits = 1,
                     .leased_bits = 2,
                     .delivered_bits = 3,
                     .burnt_bits = 4,
                     .delivered_keys = 5,
                     .oldest_age_s = 6,
                     .runway_s = 7,
                     .books = {1, 2, 3, 4, 5, 6, 7, 8, 9},
                     .links = {{.name = "a-b",
                                .driver = "sim",
                                .state = "running",
                                .simulated = true,
                                .skr_bit_s = 2392,
                                .qber = 0.015625,
                                .blocks = 8,
                                .bits = 9}}}},
          .requests = 10,
          .refused = {{"503", 11}},
          .store_syncs = 12,
          .certificates = {{.setting = "km_link.cert",
                            .state = CertificateState::ends_soon,
                            .not_before = "2026-03-01T00:00:00Z",
                            .not_after = "2027-03-01T00:00:00Z",
                            .remaining_s = 12}}};
}

TEST(Status, SurvivesJson) {
  const auto device = device_status_from_json(to_json(full_device()));
  ASSERT_TRUE(device.has_value()) << device.error().text;
  EXPECT_EQ(*device, full_device());
  const auto kms = kms_status_from_json(to_json(full_kms()));
  ASSERT_TRUE(kms.has_value()) << kms.error().text;
  EXPECT_EQ(*kms, full_kms());
}

TEST(Status, SaysItsSchemaVersionAndReadableNumbers) {
  EXPECT_THAT(to_json(full_device()), StartsWith(R"({"schema_version":1,"version":"0.1.0",)"));
  EXPECT_THAT(to_json(full_device()), HasSubstr(R"("rekey_interval_s":10,"effective_rekey_interval_s":10.5,)"));
  EXPECT_THAT(to_json(full_device()), HasSubstr(R"("rx_bytes":18446744073709551615,)"));
  EXPECT_THAT(to_json(DeviceStatus{.tunnels = {TunnelStatus{}}}), HasSubstr(R"("epoch_age_s":null)"));
}

TEST(Status, NumbersThatJsonCannotSayAreNull) {
  DeviceStatus status{.tunnels = {TunnelStatus{.rtt_ms = std::numeric_limits<double>::infinity()}}};
  const auto read = device_status_from_json(to_json(status));
  ASSERT_TRUE(read.has_value()) << read.error().text;
  EXPECT_FALSE(read->tunnels[0].rtt_ms.has_value());
}

std::string refusal(std::string_view from, std::string_view to) {
  std::string json = to_json(full_device());
  const std::size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  const auto read = device_status_from_json(json.replace(at, from.size(), to));
  return read ? std::string() : read.error().text;
}

TEST(Status, ErrorsNameTheMember) {
  EXPECT_EQ(refusal(R"("epoch":26113)", R"("epoch":-1)"),
            "status.tunnels[0].epoch has to be an unsigned integer in range");
  EXPECT_EQ(refusal(R"("epoch":26113)", R"("epoch":1.5)"),
            "status.tunnels[0].epoch has to be an unsigned integer in range");
  EXPECT_EQ(refusal(R"("listen_port":65535)", R"("listen_port":65536)"),
            "status.listen_port has to be an unsigned integer in range");
  EXPECT_EQ(refusal(R"("state":"up")", R"("state":"sideways")"),
            "status.tunnels[0].state has to be a word known to this version");
  EXPECT_EQ(refusal(R"("device":"quipu0",)", R"("device":null,)"), "status.device has to be a text");
  EXPECT_EQ(refusal(R"("replay":1)", R"("replay":"1")"),
            "status.tunnels[0].drops.replay has to be an unsigned integer in range");
  EXPECT_THAT(refusal(R"("schema_version":1)", R"("schema_version":2)"), HasSubstr("schema_version is 2"));
  EXPECT_THAT(refusal(R"("schema_version":1,)", ""), HasSubstr("schema_version is 0"));
}

// What quipud and quipu-kmsd 0.1.0 said, to the letter: a daemon that runs on after an upgrade says it to newer
// programs.
constexpr std::string_view kDeviceOf010 =
    R"~({"schema_version":1,"version":"0.1.0","device":"quipu0","public_key":"2iPuzyqmWC2PAPz7nHELe8/4OOT/Z/1Ch5z9rW2n3jA=",)~"
    R"~("listen_port":51900,"uptime_s":14.25,"tunnels":[{"peer":"site-b","state":"up","endpoint":"192.0.2.2:51900",)~"
    R"~("last_handshake_s":1.5,"epoch":7,"initiator":true,"epoch_age_s":1.5,"rekey_interval_s":2,)~"
    R"~("effective_rekey_interval_s":2,"protection_required":"x25519+mlkem768+psk+qkd(1)",)~"
    R"~("protection_achieved":"x25519+mlkem768+psk+qkd(1)","qkd":"ok","reason":"","handshakes":{"initiated":7,)~"
    R"~("completed":7,"rejects_sent":0,"rejects_received":0},"traffic":{"rx_bytes":5460,"rx_packets":65,)~"
    R"~("tx_bytes":5460,"tx_packets":65},"drops":{"blocked":69,"replay":0},"queue_drops":{"queue_full":0},"rekeys":6,)~"
    R"~("last_rekey_ms":1.75,"rekey_p50_ms":1.5,"rekey_p99_ms":1.75,"rekey_cold_ms":null,"reduced_epochs":0,)~"
    R"~("kms_failures":1,"qkd_keys_used":7,"qkd_keys_burnt":0,"key_runway_s":17656,"rtt_ms":0.25,"simulated":false,)~"
    R"~("sources":[{"kms":"local","peer_sae_id":"sae-b","reachable":true,"stock_keys":8828,"last_error":""}]}],)~"
    R"~("drops":{"no_route":3,"cookies_sent":0},"queue_drops":{"tun":0,"udp_send":0,"udp_receive":0}})~";
constexpr std::string_view kKmsOf010 =
    R"({"schema_version":1,"version":"0.1.0","kme":"kme-a","uptime_s":14.25,"saes":["sae-a"],"pools":[{"peer_kme":"kme-b",)"
    R"("km_link":"up","km_link_reason":"","stock_bits":2357504,"leased_bits":67328,"delivered_bits":0,"burnt_bits":0,)"
    R"("delivered_keys":8,"oldest_age_s":14,"runway_s":null,"links":[{"name":"a-b","driver":"sim","state":"running",)"
    R"("simulated":true,"skr_bit_s":99892,"qber":0.0191,"blocks":74,"bits":0}]}],"requests":10,"refused":{}})";

TEST(Status, OfTheRelaySurvivesTheJson) {
  const RelayStatus full{
      .kme = "kme-a",
      .trusted_node = true,
      .forwarded = 1,
      .refused = 2,
      .forged = 3,
      .routes = {{
          .peer_kme = "kme-d",
          .source = true,
          .configured = true,
          .paths = 2,
          .paths_found = 3,
          .links = {{.from = "kme-a", .to = "kme-b", .path = 11, .stock_bits = 4, .simulated = true}},
          .reason = "blocks do not arrive",
          .stock_bits = 5,
          .target_bits = 6,
          .in_flight = 7,
          .relayed = 8,
          .voided = 9,
          .failed = 10,
          .last_failure = "no_key",
      }},
      .entropy = EntropyStatus{
          .source = "/dev/qrandom0", .state = "absent", .reason = "it has ended", .used_bits = 12, .ready_bits = 13}};
  const auto read = relay_status_from_json(to_json(full));
  ASSERT_TRUE(read.has_value()) << read.error().text;
  EXPECT_EQ(*read, full);
}

TEST(Status, OfAnOlderDaemonIsRead) {
  const auto device = device_status_from_json(kDeviceOf010);
  ASSERT_TRUE(device.has_value()) << device.error().text;
  EXPECT_EQ(device->tunnels.at(0).state, TunnelState::up);
  EXPECT_EQ(device->tunnels[0].sources.at(0).stock_keys, 8828U);
  EXPECT_FALSE(device->tunnels[0].sources[0].simulated);
  EXPECT_EQ(device->cookies_sent, 0U);
  EXPECT_TRUE(device->errors.empty());
  const auto kms = kms_status_from_json(kKmsOf010);
  ASSERT_TRUE(kms.has_value()) << kms.error().text;
  EXPECT_EQ(kms->pools.at(0).delivered_keys, 8U);
  EXPECT_FALSE(kms->pools[0].simulated);
  EXPECT_TRUE(kms->pools[0].links.at(0).simulated);
}

TEST(Status, PassesOverMembersOfLaterVersions) {
  EXPECT_EQ(refusal(R"("device":)", R"("colour":{"a":[1]},"device":)"), "");
  EXPECT_EQ(refusal(R"("key_runway_s":12000,)", ""), "");
}

}  // namespace
}  // namespace quipu::control
