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
#include "kms/records.h"

namespace quipu::kms::wire {

inline constexpr std::uint16_t kVersion = 1;
inline constexpr std::size_t kMaxMessageSize = std::size_t{128} * 1024;
inline constexpr std::size_t kMaxBlocksPerOffer = 1'024;
inline constexpr std::size_t kMaxIdSize = 255;     // of a KME or an SAE, octets
inline constexpr std::size_t kMaxSourceName = 64;  // octets
inline constexpr std::size_t kMaxDriverMessage = 65'536;

using Nonce = std::array<std::uint8_t, 16>;
// Numbers the requests of one end on one connection, from 1.
using RequestNumber = Strong<struct LinkRequestNumberTag, std::uint32_t>;
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
  block_states = 0x20,
  ack = 0x21,
  refused = 0x22,
  closed = 0x23,
  binding = 0x30,
  binding_ack = 0x31,
  driver_message = 0x32,
};

// --- contact ---

// First message of each end.
struct Hello {
  std::uint16_t version = kVersion;
  KmeId sender;
  KmeId receiver;
  InstanceId instance;
  Nonce nonce{};

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

// Answered by Ack or Refused.
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
  duplicate = 5,  // the lease id or a key_ID is in use
  full = 6,       // too many leases are open
};

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

  bool operator==(const Binding&) const = default;
};

struct BindingAck {
  BindingNumber number;

  bool operator==(const BindingAck&) const = default;
};

// Between the drivers of one link.
struct DriverMessage {
  std::string source;
  SecretBytes message;

  bool operator==(const DriverMessage&) const = default;
};

using Message =
    std::variant<Hello, Contact, InventoryBlocks, InventoryLeases, InventoryEnd, Merged, Goodbye, Offer, VoidRequest,
                 Lease, Open, Close, Ping, BlockStates, Ack, Refused, Closed, Binding, BindingAck, DriverMessage>;

// The message's octets. What is encoded must be within the limits that decode() checks (asserted).
SecretBytes encode(const Message& message);

// Checks every count, length and code, and that nothing is left over. Errc::malformed, Errc::too_large,
// Errc::unsupported for an unknown type.
Result<Message> decode(ByteView octets);

// Upper bounds of one entry's size, for whoever fills a list up to kMaxMessageSize.
std::size_t encoded_size(const InventoryBlock& block);
std::size_t encoded_size(const InventoryLease& lease);

}  // namespace quipu::kms::wire
