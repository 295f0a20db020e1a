// SPDX-License-Identifier: Apache-2.0
// One site's key management entity without I/O: blocks from drivers, octets from KM links and requests from SAEs go in
// with the time, actions come out. Key material is delivered at most once by both sites together, whatever crashes, is
// restored or is cloned at one of them (docs/km-link.md).
//
// One thread. Every call may commit to the store, synchronously. After a call, ask next_deadline() again.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "crypto/rng.h"
#include "etsi/etsi014_server.h"
#include "kms/actions.h"
#include "kms/relay/relay_status.h"
#include "kms/status.h"
#include "kms/store.h"

namespace quipu::kms {

struct PeerConfig {
  KmeId id;
  std::vector<SaeId> saes;  // served there
  // Octets of the pool that only SAEs with `uses_reserve` draw from, and below which it is said to run low. 0: none.
  std::uint64_t reserve_octets = 0;
  std::uint64_t low_stock_octets = 0;
  // The pool is fed by relay over trusted nodes while its stock is below so many octets; 0: it is not. Both ends say
  // so; the one with the lower id is the source of the blocks.
  std::uint64_t relay_target_octets = 0;
  // Over how many paths, none of whose nodes is on two, each relayed block comes, in as many shares: 1 to
  // wire::kMaxRelayPaths, alike at both ends. Fewer nodes than that together know nothing of it.
  std::uint32_t relay_paths = 1;
  // How many different sources each key of the pool is combined from, by exclusive or: 2 to kMaxCombined, of those that
  // feed it. 1: keys are taken as they come, whichever source they are from. Alike at both ends, or there is no
  // contact.
  std::uint32_t min_sources = 1;
};

// What limits an SAE that is served here.
struct SaeTerms {
  std::optional<std::uint64_t> max_rate_bit_s;  // of keys by enc_keys; absent: no limit
  bool uses_reserve = false;                    // one of the site's own tunnels
  // Of keys that it was given and that not all their slaves at one KME have fetched; absent: no limit.
  std::optional<std::uint32_t> max_unfetched_keys{};
};

// The path of relayed blocks to one destination, whatever the links' stocks are.
struct StaticRoute {
  KmeId to;
  std::vector<KmeId> via;  // in this order, at least one
};

struct RelayConfig {
  bool trusted_node = false;  // relays blocks for others, which it holds in clear for a moment
  std::vector<StaticRoute> routes;
  bool entropy_source = false;  // blocks are made with octets of entropy_received(), too, or not at all
};

// One QKD device pair that feeds the pool with `peer`.
struct SourceConfig {
  std::string name;  // 1 to 64 octets, unique
  KmeId peer;
};

struct Limits {
  std::uint32_t key_size_bits = 256;  // what a request without a size gets
  std::uint32_t min_key_size_bits = 64;
  std::uint32_t max_key_size_bits = 8'192;  // all three: multiples of 8; at most 8 * kSlotSize * kMaxLeaseSlots
  std::uint32_t max_keys_per_request = 128;
  std::uint32_t max_additional_slaves = 8;
  // Stock and held together; more is refused on arrival. Where keys are combined, each source has its equal share.
  std::uint64_t pool_octets = std::uint64_t{64} << 20;
  Duration undelivered_ttl = std::chrono::hours(1);  // of a key that its slave does not fetch
};

struct KmeConfig {
  KmeId id;
  std::vector<SaeId> saes;  // served here
  std::vector<PeerConfig> peers;
  std::vector<SourceConfig> sources;
  Limits limits;
  std::map<SaeId, SaeTerms> terms{};  // of SAEs served here; one without has no limit and no reserve
  RelayConfig relay{};

  // What feeds the pool with a peer, as blocks name it: its links, and kRelaySource.
  std::set<std::string, std::less<>> sources_of(const PeerConfig& peer) const;
};

// A block as a driver delivered it.
struct SourceBlock {
  std::string source;
  BlockId id;
  SecretBytes key;
  bool simulated = false;
  std::optional<std::uint64_t> sequence;  // set where the source's count goes on across its restarts
};

class Kme {
 public:
  // Loads every pool and closes what earlier runs left open, as burnt. Errors: the store's; Errc::out_of_range for a
  // configuration that contradicts itself. `store` and `rng` outlive the object.
  // `wall` is this machine's wall clock, here and below: only ages of material are told by it.
  static Result<std::unique_ptr<Kme>> start(KmeConfig config, Store& store, crypto::Rng& rng, WallTime wall,
                                            TimePoint now);

  virtual ~Kme() = default;
  Kme(const Kme&) = delete;
  Kme& operator=(const Kme&) = delete;

  // Which end opens the TCP connection: the KME with the lower id. The other one only listens.
  virtual bool dials(const KmeId& peer) const = 0;

  // A mutually authenticated TLS connection with `peer` stands. A newer connection with the same peer replaces the
  // older one, which the core closes. A peer that is not configured gets CloseLink.
  virtual Actions link_connected(LinkId link, const KmeId& peer, TimePoint now) = 0;
  // One whole message, without its length. One from a link that is not current is ignored.
  virtual Actions link_received(LinkId link, ByteView message, TimePoint now) = 0;
  // `reason`: in words, for the log and the status.
  virtual Actions link_disconnected(LinkId link, const std::string& reason, TimePoint now) = 0;

  // Blocks that arrived together are made durable together. Those that hygiene refuses are reported and dropped.
  virtual Actions blocks_received(std::vector<SourceBlock> blocks, WallTime wall, TimePoint now) = 0;
  // From the driver of `source`, to its counterpart; at most QUIPU_MAX_PEER_MESSAGE_OCTETS. Lost without contact.
  virtual Actions driver_message(const std::string& source, SecretBytes message, TimePoint now) = 0;

  // From the entropy source, if one is configured: at most entropy_room() octets, in the order in which it made them.
  virtual Actions entropy_received(ByteView octets, TimePoint now) = 0;
  // It cannot be read any more. What is received next comes after a gap.
  virtual Actions entropy_gone(TimePoint now) = 0;
  virtual std::size_t entropy_room() const = 0;

  // `caller`: the SAE that the client certificate names. Exactly one ReplyEtsi follows, in this list or, at most 500 ms
  // later, in that of another call; 2.5 s later when slaves at several KMEs shall have the keys.
  virtual Actions etsi_request(RequestId request, const SaeId& caller, etsi::Call call, TimePoint now) = 0;
  // The client has gone: if its reply is still owed it is not made, and no key is spent on it.
  virtual Actions etsi_cancelled(RequestId request, TimePoint now) = 0;

  // Anything that is due. Harmless when nothing is.
  virtual Actions handle_timeout(TimePoint now) = 0;
  // Empty when nothing will ever be due without another event.
  virtual std::optional<TimePoint> next_deadline() const = 0;

  // Burns the pool with `peer`, which is configured, by hand: leases are ended, every block is void here when this
  // returns, and there after the comparison of inventories that follows at once, or with the next contact.
  virtual Actions void_pool(const KmeId& peer, TimePoint now) = 0;

  // The last call of a run that ends in order: its leases are closed, so that what was handed out of them stays in the
  // books as delivered or consumed, and is not taken for burnt at the next start.
  virtual Actions end(TimePoint now) = 0;

  // For `quipu status`.
  virtual std::vector<PoolStatus> status(WallTime wall, TimePoint now) const = 0;
  // For `quipu relay routes`.
  virtual RelayStatus relay_status() const = 0;

 protected:
  Kme() = default;
};

}  // namespace quipu::kms
