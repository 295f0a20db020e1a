// SPDX-License-Identifier: Apache-2.0
// What a Device tells about its peers: the source of `quipu status`, of metrics and of the demo's figures. No secret is
// in it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/errc.h"
#include "base/ip.h"
#include "base/time.h"
#include "protocol/policy.h"

namespace quipu::protocol {

// Why a packet was dropped. The names are those of metrics and JSON.
enum class DropReason : std::uint8_t {
  queue_full,          // waited for a session behind 128 others, or for too long
  blocked,             // policy: no epoch may be made
  key_limit,           // the key has sealed all it may
  unknown_index,       // type 4 for a session that we do not hold (counted per Device)
  failed_open,         // the tag did not verify
  replay,              // counter seen before or behind the window
  expired_key,         // the keypair is past its life
  source_not_allowed,  // inner source outside the peer's AllowedIps
  malformed,           // opened, and then did not parse
  congestion,          // a router marked its datagram, and the packet cannot say so (RFC 6040)
  too_big,             // larger than what gets through the path
  count_,
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count_);

std::string_view to_string(DropReason reason);
// Of a packet that was not sealed, or a datagram that was not opened.
DropReason drop_reason(Errc error);
// As docs/protocol.md names it.
std::string_view to_string(RejectReason reason);

using DropCounts = std::array<std::uint64_t, kDropReasons>;

// The last 256 durations.
class Latencies {
 public:
  void add(Duration value);

  std::uint64_t count() const { return m_count; }

  // All zero while empty.
  Duration last() const;
  // Nearest rank over those kept; `percent` 1 to 100.
  Duration percentile(int percent) const;

 private:
  std::array<Duration, 256> m_ring{};
  std::uint64_t m_count = 0;
};

struct PeerStatistics {
  std::uint64_t rx_packets = 0;  // IP packets and their octets, without overhead
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_bytes = 0;
  DropCounts drops{};
  std::uint64_t epochs = 0;    // keypairs that became current
  std::uint64_t attempts = 0;  // messages 1 made
  std::uint64_t rejects_sent = 0;
  std::uint64_t rejects_received = 0;
  std::uint64_t keys_used = 0;   // QKD keys that entered the keys of an epoch, at the responder with its message 2
  std::uint64_t keys_burnt = 0;  // QKD keys that a KMS delivered in vain
  std::uint64_t reduced_epochs = 0;
  std::uint64_t kms_failures = 0;
  // From the decision to rekey, as PeerMachine::Decision has it, to the first packet sealed under the new key, at the
  // initiator.
  Latencies rekey_warm;  // the key had been fetched ahead
  Latencies rekey_cold;
  Latencies kms;  // from RequestKey to its answer, late ones apart
};

struct PeerStatus {
  PeerId id;
  std::string name;
  crypto::X25519PublicKey public_key;
  std::optional<Endpoint> endpoint;
  bool session_up = false;
  bool confirmed = false;
  bool initiator_of_epoch = false;
  bool handshake_under_way = false;
  bool session_wanted = false;  // there is none, and traffic or the configuration wants one, or the last attempt failed
  bool silent = false;          // a session is up, and the peer answers neither data nor handshakes
  bool unanswered = false;      // likewise, and it is heard, and leaves handshakes without an answer that opens
  std::uint64_t epoch = 0;      // number of the present epoch in this run, from 1
  std::string protection;       // achieved by the present epoch; empty without one
  QkdState qkd = QkdState::off;
  Lack lack = Lack::keys_here;      // of the last handshake that had no key: for stretch and block
  std::optional<Duration> key_age;  // of the present epoch
  std::optional<Duration> last_received;
  std::optional<Duration> last_kms_failure;
  std::optional<RejectReason> last_reject;  // by the peer, since the last epoch
  std::string mismatch;                     // which settings differ from the peer's, as it last told
  Duration rekey_interval{};                // as configured
  Duration effective_rekey_interval{};      // 4 RTT + KMS p99 where that is more
  Duration max_key_age{};
  Duration rtt{};                                  // zero while not measured
  std::optional<std::uint32_t> key_runway_s;       // ours
  std::optional<std::uint32_t> peer_key_runway_s;  // as told by the peer
  std::size_t path_mtu = 0;                        // octets of the largest packet that gets through, as far as is known
  std::size_t lanes = 1;                           // that both ends have; 1 without a session
  std::size_t lanes_in_use = 1;                    // of these: the first, and all that get through to the peer
  std::size_t queued_packets = 0;
  std::size_t keys_held = 0;  // QKD keys that wait for a handshake: delivered = used + burnt + held
  PeerStatistics statistics;
};

struct DeviceStatistics {
  std::uint64_t unknown_index = 0;
  std::uint64_t malformed = 0;  // datagrams of no known type or a wrong length
  std::uint64_t bad_mac1 = 0;
  std::uint64_t cookies_sent = 0;
  std::uint64_t rate_limited = 0;  // handshake messages under load, in spite of a right cookie
  std::uint64_t unknown_peer = 0;  // messages 1 that did not open for any configured peer
  std::uint64_t no_route = 0;      // inner destination of no peer
};

}  // namespace quipu::protocol
