// SPDX-License-Identifier: Apache-2.0
// Messages of the KM link, version 1: layouts and rules in docs/km-link.md. The transport delivers whole messages.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/one_time_auth.h"
#include "kms/records.h"

namespace quipu::kms::wire {

inline constexpr std::uint16_t kVersion = 2;
inline constexpr std::size_t kMaxMessageSize = std::size_t{128} * 1024;
inline constexpr std::size_t kMaxBlocksPerOffer = 1'024;
inline constexpr std::size_t kMaxIdSize = 255;     // of a KME or an SAE, octets
inline constexpr std::size_t kMaxSourceName = 64;  // octets
inline constexpr std::size_t kMaxDriverMessage = 65'536;
inline constexpr std::size_t kMaxUnfetchedCounts = 256;  // in one message
inline constexpr std::size_t kMaxNeighbours = 64;        // of one KME, in its link state
// Of link states; no origin gets there.
inline constexpr std::uint64_t kMaxSequence = std::uint64_t{1} << 62;
inline constexpr std::uint8_t kMaxStateAge = 60;           // of a link state, seconds
inline constexpr std::size_t kMaxRelayPath = 16;           // KMEs that a relayed block has yet to reach
inline constexpr std::uint8_t kMaxRelayPaths = 4;          // that the shares of one relayed block take
inline constexpr std::size_t kMaxPadParts = 16;            // runs of slots that make up one pad
inline constexpr std::uint32_t kMaxRelayedBlock = 32'736;  // with its one-time key, as many slots as a lease has

using Nonce = std::array<std::uint8_t, 16>;
// Numbers the requests of one end on one connection, from 1.
using RequestNumber = Strong<struct LinkRequestNumberTag, std::uint32_t>;
// One transfer of keys to a further KME: random, drawn by its sender.
using TransferId = Strong<struct TransferIdTag, Uuid>;
// Numbers the bindings of one run, from 1.
using BindingNumber = Strong<struct BindingNumberTag, std::uint64_t>;

// The first octet of each message. 0x01 to 0x0f contact, 0x10 to 0x1f requests, 0x20 to 0x2f answers, 0x30 to 0x3f
// neither.
enum class MessageType : std::uint8_t {
  hello = 0x01,
  contact = 0x02,
  inventory_blocks = 0x03,
  inventory_leases = 0x04,
  inventory_end = 0x05,
  merged = 0x06,
  goodbye = 0x07,
  offer = 0x10,
  void_request = 0x11,
  lease = 0x12,
  open = 0x13,
  close = 0x14,
  ping = 0x15,
  relay_hop = 0x16,
  key_transfer = 0x17,
  block_states = 0x20,
  ack = 0x21,
  refused = 0x22,
  closed = 0x23,
  binding = 0x30,
  binding_ack = 0x31,
  driver_message = 0x32,
  link_state = 0x33,
  relay_failed = 0x34,
  key_transfer_void = 0x35,
};

// --- contact ---

// First message of each end.
struct Hello {
  std::uint16_t version = kVersion;
  KmeId sender;
  KmeId receiver;
  InstanceId instance;
  Nonce nonce{};
  std::uint8_t min_sources = 1;  // that each key of the pool is combined from, 1 to kMaxCombined

  bool operator==(const Hello&) const = default;
};

// Proves that this run is alive (it repeats the other's nonce), and sums up its inventory.
struct Contact {
  Nonce nonce{};
  BlockDigest inventory{};

  bool operator==(const Contact&) const = default;
};

struct InventoryBlock {
  BlockId id;
  BlockState state = BlockState::held;  // held or usable
  BlockDigest digest{};
  std::uint32_t length = 0;
  std::vector<Range> spent;

  bool operator==(const InventoryBlock&) const = default;
};

struct InventoryBlocks {
  std::vector<InventoryBlock> blocks;

  bool operator==(const InventoryBlocks&) const = default;
};

struct InventoryLease {
  LeaseId id;
  Holder holder = Holder::us;  // as the sender sees it
  InstanceId holder_instance;
  bool pending = false;  // the sender holds it and will ask for it after contact
  std::vector<Extent> extents;

  bool operator==(const InventoryLease&) const = default;
};

struct InventoryLeases {
  std::vector<InventoryLease> leases;

  bool operator==(const InventoryLeases&) const = default;
};

// The list is complete.
struct InventoryEnd {
  std::uint32_t blocks = 0;
  std::uint32_t leases = 0;

  bool operator==(const InventoryEnd&) const = default;
};

// What the other's list changed here is durable.
struct Merged {
  bool operator==(const Merged&) const = default;
};

enum class GoodbyeReason : std::uint8_t {
  version = 1,     // the other's version is not spoken here
  identity = 2,    // not the KME that the certificate or the configuration names
  two_copies = 3,  // a retired run came back: there are two copies of the receiver; this run of it is refused for good
  violation = 4,   // a message that the rules of this link forbid
  timeout = 5,     // a request was not answered in time
  replaced = 6,    // a newer connection of the same peer took its place
  combiner = 7,    // the two ends combine keys from different numbers of sources
};

std::string_view to_string(GoodbyeReason reason);

// Last message before closing.
struct Goodbye {
  GoodbyeReason reason = GoodbyeReason::violation;

  bool operator==(const Goodbye&) const = default;
};

// --- requests: each gets exactly one answer ---

struct OfferedBlock {
  BlockId id;
  BlockDigest digest{};
  std::uint32_t length = 0;

  bool operator==(const OfferedBlock&) const = default;
};

// "I hold these": answered by BlockStates.
struct Offer {
  RequestNumber number;
  std::vector<OfferedBlock> blocks;

  bool operator==(const Offer&) const = default;
};

// "I hold these and want them void unless you have them": answered by BlockStates.
struct VoidRequest {
  RequestNumber number;
  std::vector<OfferedBlock> blocks;

  bool operator==(const VoidRequest&) const = default;
};

// Answered by Ack or Refused. As many slots of each source that is combined as there are key_IDs (LeaseRecord).
struct Lease {
  RequestNumber number;
  LeaseId id;
  InstanceId instance;
  std::vector<Extent> extents;
  std::vector<Uuid> key_ids;

  bool operator==(const Lease&) const = default;
};

// The receiver's lease was opened by this run of the sender. Answered by Ack or Refused.
struct Open {
  RequestNumber number;
  LeaseId lease;
  InstanceId instance;

  bool operator==(const Open&) const = default;
};

// The sender hands out nothing more of the lease; if it is the holder, no binding of it follows. Answered by Closed.
struct Close {
  RequestNumber number;
  LeaseId lease;

  bool operator==(const Close&) const = default;
};

// Answered by Ack.
struct Ping {
  RequestNumber number;

  bool operator==(const Ping&) const = default;
};

// Slots of a lease that the sender holds, used as key by the two KMEs themselves.
struct PadPart {
  LeaseId lease;
  std::uint16_t slot = 0;   // first
  std::uint16_t slots = 0;  // >= 1

  bool operator==(const PadPart&) const = default;
};

// A share of a relayed block on its way over one link, encrypted and authenticated by key of that link. The block is
// the exclusive or of its shares. Answered by Ack, when the receiver has opened it (and, at the destination, has all
// shares and holds the block durably, or awaits others), or Refused.
struct RelayHop {
  RequestNumber number;
  BlockId relay;
  std::uint8_t share = 1;   // 1 to `shares`
  std::uint8_t shares = 1;  // of the block, each over a path of its own: 1 to kMaxRelayPaths
  KmeId source;
  KmeId destination;
  std::vector<KmeId> path;  // that it has yet to reach after the receiver; the last is the destination
  bool simulated = false;   // the source, or the key of a link that it came over, is simulated
  // Of the ciphertext's length and 32 octets more: the key of the tag comes first, then the one-time pad.
  std::vector<PadPart> pad;
  Bytes ciphertext;        // whole slots
  crypto::OneTimeTag tag;  // over relay_associated_data() and the ciphertext

  bool operator==(const RelayHop&) const = default;
};

// Keys of another pool of the sender's, for slaves at the receiver, encrypted and authenticated by key of this one.
// Answered by Ack, when the receiver holds them, or Refused.
struct KeyTransfer {
  RequestNumber number;
  TransferId id;
  SaeId master;
  std::vector<SaeId> slaves;  // at the receiver
  std::vector<Uuid> key_ids;
  std::uint32_t size_bits = 0;  // of each key
  bool simulated = false;       // the keys are of a simulated device
  bool is_counted = false;      // as in Binding
  // At first the key of the tag, then a one-time pad of whole slots for the ciphertext.
  std::vector<PadPart> pad;
  Bytes ciphertext;        // the keys, one after the other
  crypto::OneTimeTag tag;  // over associated_data() and the ciphertext

  bool operator==(const KeyTransfer&) const = default;
};

// --- answers ---

// In the order of the request.
struct BlockStates {
  RequestNumber number;
  std::vector<BlockState> states;

  bool operator==(const BlockStates&) const = default;
};

struct Ack {
  RequestNumber number;

  bool operator==(const Ack&) const = default;
};

enum class RefusalReason : std::uint8_t {
  taken = 1,      // some slot is leased or spent
  no_block = 2,   // some block is not usable at this end
  instance = 3,   // not the instance id of this contact, or another run has opened the lease
  no_lease = 4,   // the lease is not known here
  duplicate = 5,  // the lease's or transfer's id or a key_ID is in use
  full = 6,       // too many leases are open, or relayed blocks on their way
  // Of a RelayHop, and of what became of one further on; 8, 9 and 13 also of a KeyTransfer:
  not_trusted = 7,  // the receiver is no trusted node, or not the destination of this source
  no_pad = 8,       // slots of the pad are not open at the receiver
  forged = 9,       // the tag does not fit
  no_link = 10,     // there is no link with the next KME, or it was lost
  no_key = 11,      // there is not enough key of the next link
  timeout = 12,     // the next KME did not answer in time
  not_taken = 13,   // the destination refuses the block, or nobody may fetch the keys
  // Of a Lease:
  sources = 14,  // it does not take its slots from as many different sources as a key needs
  // Of a RelayHop:
  paths = 15,  // not as many shares as the pool takes, or a second one of the block where only one may pass
};

std::string_view to_string(RefusalReason reason);

struct Refused {
  RequestNumber number;
  RefusalReason reason = RefusalReason::taken;

  bool operator==(const Refused&) const = default;
};

struct Closed {
  RequestNumber number;
  bool closed_here = false;  // the sender hands out nothing more of it either

  bool operator==(const Closed&) const = default;
};

// --- without an answer of their own ---

// Who may fetch a key. BindingAck answers for all up to its number.
struct Binding {
  BindingNumber number;
  LeaseId lease;
  std::uint16_t slot = 0;       // first
  std::uint16_t slots = 0;      // >= 1
  std::uint32_t size_bits = 0;  // of the key: the first octets of those slots
  SaeId master;
  std::vector<SaeId> slaves;
  bool is_counted = false;  // the sender limits how many keys of the master are not fetched: BindingAck tells it

  bool operator==(const Binding&) const = default;
};

struct UnfetchedKeys {
  SaeId master;
  std::uint32_t keys = 0;  // that are counted, and not fetched by all their slaves

  bool operator==(const UnfetchedKeys&) const = default;
};

// With counts as they are now: of masters whose count has changed, of all after contact. The messages that tell many
// of them have the number of the acknowledgement before, but for the last.
struct BindingAck {
  BindingNumber number;
  std::vector<UnfetchedKeys> unfetched;

  bool operator==(const BindingAck&) const = default;
};

// Between the drivers of one link.
struct DriverMessage {
  std::string source;
  SecretBytes message;

  bool operator==(const DriverMessage&) const = default;
};

// A KME that shares QKD devices with the origin of a link state.
struct Neighbour {
  KmeId id;
  bool up = false;           // in contact
  bool simulated = false;    // some of the key is
  std::uint64_t octets = 0;  // of key that the origin could use towards it

  bool operator==(const Neighbour&) const = default;
};

// What `origin` says of itself, flooded to all. The highest sequence is the newest.
struct LinkState {
  KmeId origin;
  std::uint64_t sequence = 0;  // 1 to kMaxSequence
  std::uint8_t age_s = 0;      // since it was published, at most kMaxStateAge
  bool trusted_node = false;   // it relays for others
  std::vector<Neighbour> neighbours;

  bool operator==(const LinkState&) const = default;
};

// Towards the source of a relayed block, the way it came: it went no further than `from`.
struct RelayFailed {
  BlockId relay;
  RefusalReason reason = RefusalReason::no_link;
  KmeId from;
  KmeId to;

  bool operator==(const RelayFailed&) const = default;
};

// The keys of that transfer were handed to nobody: they are to be erased.
struct KeyTransferVoid {
  TransferId id;

  bool operator==(const KeyTransferVoid&) const = default;
};

using Message = std::variant<Hello, Contact, InventoryBlocks, InventoryLeases, InventoryEnd, Merged, Goodbye, Offer,
                             VoidRequest, Lease, Open, Close, Ping, RelayHop, KeyTransfer, BlockStates, Ack, Refused,
                             Closed, Binding, BindingAck, DriverMessage, LinkState, RelayFailed, KeyTransferVoid>;

// The message's octets. What is encoded must be within the limits that decode() checks (asserted).
SecretBytes encode(const Message& message);

// Checks every count, length and code, and that nothing is left over. Errc::malformed, Errc::too_large,
// Errc::unsupported for an unknown type.
Result<Message> decode(ByteView octets);

// What the tag of a hop covers besides the ciphertext: every field in front of it but the request's number.
Bytes relay_associated_data(const RelayHop& hop);

// The same of a transfer, behind the message's type.
Bytes associated_data(const KeyTransfer& transfer);

// Upper bounds of one entry's size, for whoever fills a list up to kMaxMessageSize.
std::size_t encoded_size(const InventoryBlock& block);
std::size_t encoded_size(const InventoryLease& lease);
std::size_t encoded_size(const LinkState& state);

// Octets of a Binding, whatever its key.
std::size_t binding_size(const SaeId& master, const std::vector<SaeId>& slaves);

}  // namespace quipu::kms::wire
