// SPDX-License-Identifier: Apache-2.0
// /etc/quipu/quipu.toml, typed and validated. Holds no secret: private key, pre-shared keys and TLS keys are named by
// file.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/log.h"
#include "config/types.h"

namespace quipu::config {

// Names a peer and its tunnel in a file, a log and a metric: 1 to 32 of a-z A-Z 0-9 . _ -
using PeerName = std::string;
using KmsName = std::string;
// A static X25519 public key.
using PublicKey = std::array<std::uint8_t, 32>;

struct DeviceConfig {
  std::string name{};  // of the network interface
  FileName private_key_file{};
  std::uint16_t listen_port = 0;      // 0: any free one
  std::uint8_t lanes = 0;             // up to 16; 0: as many as suit the machine
  std::vector<IpPrefix> addresses{};  // interface addresses: host bits are kept
  // This site's own, inside the prefixes of peers: not tunnelled. Host bits zero, never a prefix of a peer.
  std::vector<IpPrefix> local_networks{};
  std::uint32_t mtu = 0;         // octets
  bool copy_dscp = false;        // from packets to their datagrams
  std::string state_dir{};       // stamps and whatever else outlives a run
  std::string control_socket{};  // unix socket
  LogLevel log_level = LogLevel::info;

  bool operator==(const DeviceConfig&) const = default;
};

enum class KmsMethod { automatic, post, get };

// A KMS that is asked for keys by ETSI GS QKD 014.
struct KmsConfig {
  KmsName name{};
  HttpsUrl url{};
  std::vector<HttpsUrl> standby_urls{};  // in the order in which they stand in for `url`
  KmsMethod method = KmsMethod::automatic;
  std::string size_parameter = "size";
  std::string key_id_parameter = "key_ID";
  bool master_in_key_ids = false;
  SaeId sae_id{};  // our own identity there
  Position sae_id_position{};
  TlsFiles tls{};

  bool operator==(const KmsConfig&) const = default;
};

struct SourceConfig {
  KmsName kms{};
  SaeId peer_sae_id{};
  bool simulated = false;  // its keys come from a simulation: bound into the policy and shown in every status

  bool operator==(const SourceConfig&) const = default;
};

enum class QkdPolicy { required, preferred, off };

std::string_view to_string(QkdPolicy policy);

struct PeerConfig {
  PeerName name{};
  PublicKey public_key{};
  FileName psk_file{};
  std::optional<HostPort> endpoint{};   // absent: this peer calls us
  std::vector<IpPrefix> allowed_ips{};  // host bits zero, no prefix twice in the file
  std::chrono::seconds rekey_interval{0};
  std::vector<SourceConfig> sources{};  // slots in this order
  QkdPolicy qkd = QkdPolicy::required;
  std::uint32_t min_sources = 0;  // of `sources`, for qkd = "required"; all when the file does not say
  std::chrono::seconds max_key_age{0};
  bool always_on = false;
  std::uint32_t tunnel_id = 0;
  std::chrono::seconds persistent_keepalive{0};  // 0: none
  Position position{};                           // of [[peer]]

  bool operator==(const PeerConfig&) const = default;
};

struct QuipudConfig {
  DeviceConfig device{};
  std::vector<KmsConfig> kms{};
  std::vector<PeerConfig> peers{};

  bool operator==(const QuipudConfig&) const = default;

  const KmsConfig* find_kms(std::string_view name) const;
};

// Never throws, reads nothing but `text`. All problems are reported at once.
Parsed<QuipudConfig> parse_quipud(std::string_view text);

// The device's own key as a peer's: known only after private_key_file was read.
Parsed<void> refuse_own_key(const QuipudConfig& config, const PublicKey& own);

}  // namespace quipu::config
