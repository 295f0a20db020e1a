// SPDX-License-Identifier: Apache-2.0
// One good configuration of each kind, and how tests break it.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"

namespace quipu::config {

inline constexpr std::string_view kQuipudSample = R"([device]
name = "quipu0"
private_key_file = "/etc/quipu/device.key"
listen_port = 51900
addresses = ["10.70.0.1/24", "fd70::1/64"]

[kms.local]
url = "https://127.0.0.1:8014"
sae_id = "sae-a"
ca = "/etc/quipu/pki/ca.pem"
cert = "/etc/quipu/pki/sae-a.pem"
key = "credential:sae-a.key"

[[peer]]
name = "dc-b"
public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
psk_file = "/etc/quipu/dc-b.psk"
endpoint = "192.0.2.2:51900"
allowed_ips = ["10.70.0.2/32", "10.2.0.0/16"]
rekey_interval_s = 10
sources = [{ kms = "local", peer_sae_id = "sae-b" }]
)";

// To be put behind the sample.
inline constexpr std::string_view kSecondPeer = R"(
[[peer]]
name = "dc-c"
public_key = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
psk_file = "/etc/quipu/dc-c.psk"
allowed_ips = ["10.3.0.0/16"]
qkd = "off"
)";

inline constexpr std::string_view kKmsdSample = R"([kme]
id = "kme-a"
store = "/var/lib/quipu-kms/kms.db"
store_key_file = "/etc/quipu/kms-store.key"

[etsi014]
listen = "127.0.0.1:8014"
ca = "/etc/quipu/pki/ca.pem"
cert = "/etc/quipu/pki/kms-a.pem"
key = "/etc/quipu/pki/kms-a.key"

[km_link]
listen = "192.0.2.1:8020"
ca = "/etc/quipu/pki/ca.pem"
cert = "/etc/quipu/pki/kme-a.pem"
key = "/etc/quipu/pki/kme-a.key"

[[sae]]
id = "sae-a"

[[peer_kme]]
id = "kme-b"
address = "192.0.2.2:8020"
saes = ["sae-b"]

[[link]]
name = "a-b"
peer_kme = "kme-b"
driver = "sim"
allow_simulated = true
[link.options]
role = "alice"
fibre = "192.0.2.1:8030"
skr_bit_s = 100000
qber = 0.019
)";

// The text with the first `from` replaced; an absent `from` makes the test fail.
inline std::string with(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const std::size_t at = out.find(from);
  EXPECT_NE(at, std::string::npos) << "no such text: " << from;
  if (at != std::string::npos) out.replace(at, from.size(), to);
  return out;
}

// All problems as one text, empty when there are none.
template <class T>
std::string problems_of(const Parsed<T>& parsed) {
  return parsed ? std::string() : to_error("FILE", parsed.error()).text;
}

}  // namespace quipu::config
