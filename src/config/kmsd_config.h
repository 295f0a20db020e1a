// SPDX-License-Identifier: Apache-2.0
// /etc/quipu/kms.toml, typed and validated. Holds no secret: the store key and the TLS keys are named by file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/log.h"
#include "config/types.h"

namespace quipu::config {

struct KmeConfig {
  KmeId id{};
  Position id_position{};
  std::string store{};  // database file
  Position store_position{};
  FileName store_key_file{};
  FileName previous_store_key_file{};  // without a name: none
  std::uint32_t audit_keep_days = 0;
  std::string control_socket{};
  Position control_socket_position{};
  LogLevel log_level = LogLevel::info;

  bool operator==(const KmeConfig&) const = default;
};

// Where an application's certificate names its SAE id.
enum class SaeIdFrom : std::uint8_t { san_or_cn, uri_san, dns_san, cn };

// What one request can be given. Each of its keys takes whole parts of kKeyPartBit.
inline constexpr std::uint32_t kMaxRequestBit = 262'144;
inline constexpr std::uint32_t kKeyPartBit = 256;

// The ETSI GS QKD 014 server.
struct Etsi014Config {
  Endpoint listen{};  // port 0: any free one
  TlsFiles tls{};
  bool allow_tls12 = false;
  SaeIdFrom sae_id_from = SaeIdFrom::san_or_cn;
  std::uint32_t key_size_bit = 0;  // what an application gets that names no size
  std::uint32_t min_key_size_bit = 0;
  std::uint32_t max_key_size_bit = 0;
  std::uint32_t max_key_per_request = 0;

  bool operator==(const Etsi014Config&) const = default;
};

// Our end of the KM links to other sites' KMEs.
struct KmLinkConfig {
  Endpoint listen{};
  TlsFiles tls{};

  bool operator==(const KmLinkConfig&) const = default;
};

// An application or encryptor that is served here.
struct SaeConfig {
  SaeId id{};
  std::optional<std::uint64_t> max_rate_bit_s{};  // of keys by enc_keys
  bool uses_reserve = false;
  std::optional<std::uint32_t> max_unfetched_keys{};

  bool operator==(const SaeConfig&) const = default;
};

struct PeerKmeConfig {
  KmeId id{};
  HostPort address{};                 // of its KM link
  std::vector<SaeId> saes{};          // served there
  std::uint32_t reserve_keys = 0;     // of the default size
  std::uint32_t low_stock_keys = 0;   // likewise
  std::uint32_t relay_stock_bit = 0;  // 0: the pool is not fed by relay
  std::uint32_t relay_paths = 1;      // that each relayed block takes, none of whose nodes is on two
  std::uint32_t min_sources = 1;      // that each key is combined from; 1: keys are not combined
  Position position{};

  bool operator==(const PeerKmeConfig&) const = default;
};

// What a driver can be handed: the limits of include/quipu/driver.h.
inline constexpr std::size_t kMaxLinkOptions = 64;
inline constexpr std::size_t kMaxLinkOptionSize = 1024;  // octets of a value, none of them zero

// One QKD device (or simulation of one) feeding the pool shared with `peer_kme`.
struct LinkConfig {
  std::string name{};
  KmeId peer_kme{};
  std::string driver{};
  bool allow_simulated = false;
  std::map<std::string, std::string> options{};  // handed to the driver as they are; numbers in their shortest form
  Position position{};
  // Where the keys stand, for what only the driver can say about them.
  Position driver_position{};
  Position allow_simulated_position{};
  std::map<std::string, Position> option_positions{};

  bool operator==(const LinkConfig&) const = default;
};

// A fixed path of relayed key.
struct RelayRouteConfig {
  KmeId to{};
  std::vector<KmeId> via{};

  bool operator==(const RelayRouteConfig&) const = default;
};

struct RelayConfig {
  bool trusted_node = false;
  std::vector<RelayRouteConfig> routes{};
  std::string entropy_source{};  // a device or FIFO; empty: none but the kernel
  Position entropy_source_position{};

  bool operator==(const RelayConfig&) const = default;
};

struct KmsdConfig {
  KmeConfig kme{};
  Etsi014Config etsi014{};
  KmLinkConfig km_link{};
  std::vector<SaeConfig> saes{};
  std::vector<PeerKmeConfig> peer_kmes{};
  std::vector<LinkConfig> links{};
  RelayConfig relay{};

  bool operator==(const KmsdConfig&) const = default;

  const PeerKmeConfig* find_peer_kme(const KmeId& id) const;
  // By a [[link]].
  bool is_linked_with(const KmeId& id) const;
  // Whether that link's key may carry relayed blocks: not where keys may be relayed ones themselves (docs/km-link.md,
  // section 10).
  bool carries_hops(const KmeId& id) const;
};

// Never throws, reads nothing but `text`. All problems are reported at once.
Parsed<KmsdConfig> parse_kmsd(std::string_view text);

}  // namespace quipu::config
