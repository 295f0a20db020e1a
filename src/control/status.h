// SPDX-License-Identifier: Apache-2.0
// What the daemons tell about themselves. The JSON has the same names; keys are only ever added, never renamed, unless
// kSchemaVersion grows. A new member also goes into the list in fields.h, from which the JSON is made and read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quipu::control {

inline constexpr std::uint32_t kSchemaVersion = 1;

// idle: no session, and nobody wants one: the next packet makes it. down: wanted, and not there.
enum class TunnelState { up, idle, connecting, down, blocked };
// How the keys of the current epoch were had: from the KMS, fewer than wanted (where the policy allows it), from an
// epoch that lives on because the KMS has none, or not at all.
enum class QkdState { ok, reduced, stretch, block, off };

// not_yet: its first second is still to come. ends_soon: in less than 30 days; a list of revoked certificates in less
// than a quarter of its time. revoked: a list that its authority signed names it.
enum class CertificateState { good, not_yet, ends_soon, over, revoked };

std::string_view to_string(TunnelState state);
std::string_view to_string(QkdState state);
std::string_view to_string(CertificateState state);

// Whether anybody accepts it.
inline bool is_valid(CertificateState state) {
  return state == CertificateState::good || state == CertificateState::ends_soon;
}

// Of a certificate by which others know this daemon, or of the lists of revoked ones that it holds others against.
struct CertificateStatus {
  std::string setting{};  // the key of the configuration that names its file: "km_link.cert"
  CertificateState state = CertificateState::good;
  std::string not_before{};  // the first second in which it is valid, RFC 3339 in UTC
  std::string not_after{};   // and the last
  double remaining_s = 0;    // until the last; negative when it is over

  bool operator==(const CertificateStatus&) const = default;
};

struct HandshakeCounters {
  std::uint64_t initiated = 0;  // attempts of this end
  std::uint64_t completed = 0;  // keypairs that came into use, whoever initiated
  std::uint64_t rejects_sent = 0;
  std::uint64_t rejects_received = 0;

  bool operator==(const HandshakeCounters&) const = default;
};

struct TrafficCounters {
  std::uint64_t rx_bytes = 0;
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t tx_packets = 0;

  bool operator==(const TrafficCounters&) const = default;
};

struct KeySourceStatus {
  std::string kms{};
  std::string peer_sae_id{};
  bool asked = true;                          // for a key, since quipud was started or this KMS configured
  bool reachable = false;                     // at the last question
  bool simulated = false;                     // marked so in the configuration, or its KMS says so
  std::optional<double> answered_s{};         // age of the KMS's last answer, a refusal included
  std::optional<std::uint64_t> stock_keys{};  // as the KMS last said
  std::optional<double> stock_age_s{};        // when that was
  std::string last_error{};                   // empty when the last request succeeded

  bool operator==(const KeySourceStatus&) const = default;
};

struct TunnelStatus {
  std::string peer{};
  TunnelState state = TunnelState::down;
  std::string endpoint{};                    // empty: not known
  std::optional<double> last_handshake_s{};  // age
  std::uint64_t epoch = 0;                   // number of keypairs so far
  bool initiator = false;                    // of the present epoch: this end asked for its keys
  std::optional<double> epoch_age_s{};
  double rekey_interval_s = 0;
  double effective_rekey_interval_s = 0;
  std::string protection_required{};
  std::string protection_achieved{};  // "x25519+mlkem768+psk+qkd(2)"; empty without a session
  QkdState qkd = QkdState::off;
  // Why the state is not up, or what is wrong though it is (a KMS gives no new keys, the interface is down, a route of
  // somebody else); empty when there is neither.
  std::string reason{};
  HandshakeCounters handshakes{};
  TrafficCounters traffic{};
  std::map<std::string, std::uint64_t> drops{};  // data packets by reason
  std::map<std::string, std::uint64_t> queue_drops{};
  std::uint64_t rekeys = 0;  // keypairs after the first
  // From the decision to rekey to the first packet under the new key, over the last 256 that this end initiated with
  // keys that had been fetched ahead; absent where there were none.
  std::optional<double> last_rekey_ms{};
  std::optional<double> rekey_p50_ms{};
  std::optional<double> rekey_p99_ms{};
  std::optional<double> rekey_cold_ms{};       // the median of those that had to wait for a KMS
  std::uint64_t reduced_epochs = 0;            // with fewer QKD keys than sources
  std::uint64_t kms_failures = 0;              // handshakes that failed for want of a key from either end's KMS
  std::optional<double> last_kms_failure_s{};  // age of the last of them
  std::uint64_t qkd_keys_used = 0;
  std::uint64_t qkd_keys_burnt = 0;
  std::optional<double> key_runway_s{};  // absent while a KMS gives no keys
  std::optional<double> rtt_ms{};
  std::uint64_t lanes = 1;         // that both ends have; 1 while down
  std::uint64_t lanes_in_use = 1;  // of these: the first, and those that get through to the peer
  std::uint64_t path_mtu = 0;      // octets of the largest packet that gets through to the peer, as far as is known
  bool simulated = false;          // a source is a simulation
  std::vector<KeySourceStatus> sources{};

  bool operator==(const TunnelStatus&) const = default;
};

struct DeviceStatus {
  std::string version{};
  std::string device{};
  std::string public_key{};
  std::uint16_t listen_port = 0;
  std::uint64_t lanes = 1;  // from that port on
  double uptime_s = 0;
  std::uint64_t mtu = 0;  // octets of the largest packet that the interface takes
  std::vector<TunnelStatus> tunnels{};
  std::map<std::string, std::uint64_t> drops{};  // datagrams that belong to no tunnel, by reason
  std::uint64_t cookies_sent = 0;                // answers to handshakes while too many came at once
  // Packets of any tunnel that a full queue of the kernel lost: "tun", "udp_send", "udp_receive".
  std::map<std::string, std::uint64_t> queue_drops{};
  // Those that were longer than any may be: "tun_read", "udp_too_long"; that are no packets: "tun_packet"; and that the
  // kernel would not take from us: "tun_write", "udp_refused".
  std::map<std::string, std::uint64_t> errors{};
  // What makes packets cheap to carry and this kernel does not have: "tun_checksum", "tun_tcp", "tun_udp" (runs of
  // segments from and to the interface), "udp_segment", "udp_gro" (trains of datagrams out and in).
  std::vector<std::string> offload_missing{};
  // What is wrong with the interface or the routes, and so with all tunnels; empty when nothing is.
  std::string reason{};
  std::vector<CertificateStatus> certificates{};

  bool operator==(const DeviceStatus&) const = default;
};

enum class LinkState { up, down, connecting };

std::string_view to_string(LinkState state);

struct KeyLinkStatus {
  std::string name{};
  std::string driver{};
  std::string state{};  // as the driver host says: "running", "starting", "failed: ..."
  bool simulated = false;
  // What the device measures now; absent while its driver does not run.
  std::optional<double> skr_bit_s{};  // secret key rate
  std::optional<double> qber{};       // ratio
  // Delivered by the driver in this run of the daemon.
  std::uint64_t blocks = 0;
  std::uint64_t bits = 0;

  bool operator==(const KeyLinkStatus&) const = default;
};

// What a pool has of one of the sources that its keys are combined from.
struct SourceStockStatus {
  std::string source{};          // name of the link, or "(relay)"
  std::uint64_t stock_bits = 0;  // not leased yet

  bool operator==(const SourceStockStatus&) const = default;
};

// Of all key material since the pool's creation, at this end; received is the sum of the others.
struct PoolBooks {
  std::uint64_t received_bits = 0;
  std::uint64_t held_bits = 0;  // the other end has not shown yet that it has it
  std::uint64_t stock_bits = 0;
  std::uint64_t leased_bits = 0;
  std::uint64_t delivered_bits = 0;  // to SAEs here
  std::uint64_t consumed_bits = 0;   // as pads of the relay
  std::uint64_t burnt_bits = 0;      // given up
  std::uint64_t expired_bits = 0;    // meant for an SAE here that did not fetch in time
  std::uint64_t voided_bits = 0;     // in blocks that were voided

  bool operator==(const PoolBooks&) const = default;
};

struct PoolStatus {
  std::string peer_kme{};
  LinkState km_link = LinkState::down;
  std::string km_link_reason{};              // why it is not up
  bool serving = true;                       // requests are answered with keys
  bool empty = false;                        // they would be, but there is no key of the default size to give
  bool simulated = false;                    // some material that this run had came from a simulated device
  bool relayed = false;                      // fed by relay over trusted nodes
  std::string relay_reason{};                // why it is not fed by relay now
  std::uint64_t min_sources = 1;             // that each key is combined from (xor); 1: keys are not combined (any)
  std::vector<SourceStockStatus> sources{};  // where keys are combined
  // Of key, but for burnt_bits:
  std::uint64_t stock_bits = 0;   // free to be leased
  std::uint64_t leased_bits = 0;  // in open leases of either end, with what was handed out of them
  // In this run of the daemon: handed to SAEs here, and given up of all sources together.
  std::uint64_t delivered_bits = 0;
  std::uint64_t burnt_bits = 0;
  std::uint64_t delivered_keys = 0;
  // Likewise in this run:
  std::uint64_t refused_blocks = 0;      // of devices and of relay
  std::uint64_t refused_requests = 0;    // of the peer, on the KM link
  std::uint64_t violations = 0;          // KM links that were closed because the peer broke its rules
  std::optional<double> oldest_age_s{};  // of the oldest block in stock
  std::optional<double> runway_s{};
  PoolBooks books{};
  std::vector<KeyLinkStatus> links{};

  bool operator==(const PoolStatus&) const = default;
};

// A random number generator that blocks for relay are made of, besides the kernel's.
struct EntropyStatus {
  std::string source{};          // device or FIFO
  std::string state{};           // absent, testing, good or failed
  std::string reason{};          // why it is absent
  std::uint64_t used_bits = 0;   // since the daemon was started
  std::uint64_t ready_bits = 0;  // that have passed the health tests and wait

  bool operator==(const EntropyStatus&) const = default;
};

struct KmsStatus {
  std::string version{};
  std::string kme{};
  // Why it is out of service, and what to do: there are no pools then. Empty when it is not.
  std::string reason{};
  double uptime_s = 0;
  std::vector<std::string> saes{};
  std::vector<PoolStatus> pools{};
  std::uint64_t requests = 0;
  std::map<std::string, std::uint64_t> refused{};  // 014 requests by HTTP status
  // By listener, "etsi014" and "km_link": clients that were refused before a request of theirs was taken.
  std::map<std::string, std::uint64_t> refused_connections{};
  std::uint64_t store_syncs = 0;  // times that the store waited for its disk
  std::vector<CertificateStatus> certificates{};
  std::optional<EntropyStatus> relay_entropy{};  // empty: there is none but the kernel

  bool operator==(const KmsStatus&) const = default;
};

// One link of a path of relayed key, as its first end tells it.
struct RelayLinkStatus {
  std::string from{};
  std::string to{};
  std::uint32_t path = 1;        // number of the path that it is on
  std::uint64_t stock_bits = 0;  // that the first end could use towards the second
  bool simulated = false;

  bool operator==(const RelayLinkStatus&) const = default;
};

// The way of relayed key into one pool.
struct RelayRouteStatus {
  std::string peer_kme{};
  bool source = false;                   // this KME makes the blocks; else the peer does
  bool configured = false;               // a fixed path
  std::uint32_t paths = 1;               // that each block takes, in as many shares
  std::uint32_t paths_found = 0;         // that there are now: with enough key, and no node on two
  std::vector<RelayLinkStatus> links{};  // of each path, from here to the peer; empty: there are not enough paths
  std::string reason{};                  // why nothing is relayed; as relay_reason of the pool
  std::uint64_t stock_bits = 0;          // of the pool
  std::uint64_t target_bits = 0;         // that relay keeps it at
  // Of a source. Since the daemon was started, but for the first:
  std::uint64_t in_flight = 0;  // blocks that are on their way
  std::uint64_t relayed = 0;    // blocks that both ends have taken
  std::uint64_t voided = 0;     // blocks that arrived with other octets
  std::uint64_t failed = 0;     // blocks that did not arrive
  std::string last_failure{};   // why and where; empty before the first

  bool operator==(const RelayRouteStatus&) const = default;
};

struct RelayStatus {
  std::string kme{};
  bool trusted_node = false;
  // Since the daemon was started:
  std::uint64_t forwarded = 0;  // blocks of others that the next KME has
  std::uint64_t refused = 0;    // blocks that a neighbour sent and that were refused here
  std::uint64_t forged = 0;     // of those, because they had been altered on the way
  std::vector<RelayRouteStatus> routes{};
  std::optional<EntropyStatus> entropy{};  // as in KmsStatus

  bool operator==(const RelayStatus&) const = default;
};

// One line of JSON with "schema_version".
std::string to_json(const DeviceStatus& status);
std::string to_json(const KmsStatus& status);
std::string to_json(const RelayStatus& status);

// Members unknown to this version are passed over, and those that an older daemon does not have keep their default; a
// mistyped one, or another schema_version, is an error that names it.
Result<DeviceStatus> device_status_from_json(std::string_view json);
Result<KmsStatus> kms_status_from_json(std::string_view json);
Result<RelayStatus> relay_status_from_json(std::string_view json);

}  // namespace quipu::control
