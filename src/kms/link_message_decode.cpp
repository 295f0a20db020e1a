// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>

#include "base/encoding.h"
#include "etsi/etsi014.h"
#include "kms/link_message.h"

namespace quipu::kms::wire {
namespace {

// Reads a message's fields; anything that is not permitted makes finish() fail. Values are taken before they are
// judged, so a parser reads straight on.
class FieldReader {
 public:
  explicit FieldReader(ByteView octets) : m_in(octets) {}

  ByteReader& in() { return m_in; }

  void require(bool condition) { m_good = m_good && condition; }

  bool good() const { return m_good && m_in.ok(); }

  template <class Id>
  Id uuid() {
    return Id(Uuid{m_in.array<16>()});
  }

  RequestNumber number() {
    const RequestNumber value(m_in.u32());
    require(value.value() != 0);
    return value;
  }

  // A name or id: 1 to `max` octets of printable ASCII or UTF-8 without control characters.
  std::string text(std::size_t max) {
    const std::string_view value = as_text(m_in.prefixed8());
    require(!value.empty() && value.size() <= max);
    for (const char c : value)
      require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    return std::string(value);
  }

  bool flag() {
    const std::uint8_t value = m_in.u8();
    require(value <= 1);
    return value == 1;
  }

  // A list whose count is at most `max` and whose entries take at least `least` octets each, so that a count alone
  // never costs memory.
  template <class Read>
  auto list(std::size_t max, std::size_t least, Read read) -> std::vector<decltype(read())> {
    const std::size_t count = m_in.u16();
    require(count <= max && count * least <= m_in.remaining());
    std::vector<decltype(read())> out;
    if (!good()) return out;
    out.reserve(count);
    for (std::size_t i = 0; i < count && good(); ++i)
      out.push_back(read());
    return out;
  }

  // Whole slots within a block.
  Range range() {
    const Range value{m_in.u32(), m_in.u32()};
    require(value.length != 0 && value.length <= kMaxBlockSize && value.offset <= kMaxBlockSize - value.length);
    require(value.offset % kSlotSize == 0 && value.length % kSlotSize == 0);
    return value;
  }

  std::uint32_t block_length() {
    const std::uint32_t value = m_in.u32();
    require(value != 0 && value <= kMaxBlockSize && value % kSlotSize == 0);
    return value;
  }

  std::vector<Extent> extents() {
    return list(std::size_t{kMaxLeaseSlots} * kMaxCombined, 24, [this] {
      Extent extent;
      extent.block = uuid<BlockId>();
      extent.range = range();
      return extent;
    });
  }

 private:
  ByteReader m_in;
  bool m_good = true;
};

Message hello(FieldReader& r) {
  Hello m;
  m.version = r.in().u16();
  m.sender = KmeId(r.text(kMaxIdSize));
  m.receiver = KmeId(r.text(kMaxIdSize));
  m.instance = r.uuid<InstanceId>();
  m.nonce = r.in().array<16>();
  m.min_sources = r.in().u8();
  r.require(m.min_sources != 0 && m.min_sources <= kMaxCombined);
  return m;
}

Message contact(FieldReader& r) {
  Contact m;
  m.nonce = r.in().array<16>();
  m.inventory = r.in().array<32>();
  return m;
}

InventoryBlock inventory_block(FieldReader& r) {
  InventoryBlock b;
  b.id = r.uuid<BlockId>();
  b.state = static_cast<BlockState>(r.in().u8());
  r.require(b.state == BlockState::held || b.state == BlockState::usable);
  b.digest = r.in().array<32>();
  b.length = r.block_length();
  b.spent = r.list(kMaxBlockSize / kSlotSize, 8, [&] { return r.range(); });
  // Apart, so that there is one way to write a set of slots, and the longest is half as long as the block.
  r.require(std::ranges::adjacent_find(b.spent, [](Range a, Range next) { return next.offset <= a.end(); }) ==
            b.spent.end());
  r.require(b.spent.empty() || b.spent.back().end() <= b.length);
  return b;
}

Message inventory_blocks(FieldReader& r) {
  InventoryBlocks m;
  m.blocks = r.list(0xffff, 55, [&] { return inventory_block(r); });
  return m;
}

InventoryLease inventory_lease(FieldReader& r) {
  InventoryLease l;
  l.id = r.uuid<LeaseId>();
  l.holder = static_cast<Holder>(r.in().u8());
  r.require(l.holder == Holder::us || l.holder == Holder::peer);
  l.holder_instance = r.uuid<InstanceId>();
  l.pending = r.flag();
  l.extents = r.extents();
  return l;
}

Message inventory_leases(FieldReader& r) {
  InventoryLeases m;
  m.leases = r.list(0xffff, 36, [&] { return inventory_lease(r); });
  return m;
}

Message inventory_end(FieldReader& r) {
  InventoryEnd m;
  m.blocks = r.in().u32();
  m.leases = r.in().u32();
  return m;
}

Message goodbye(FieldReader& r) {
  const Goodbye m{static_cast<GoodbyeReason>(r.in().u8())};
  r.require(m.reason >= GoodbyeReason::version && m.reason <= GoodbyeReason::combiner);
  return m;
}

template <class M>
Message offer(FieldReader& r) {
  M m;
  m.number = r.number();
  m.blocks = r.list(kMaxBlocksPerOffer, 52, [&] {
    OfferedBlock b;
    b.id = r.uuid<BlockId>();
    b.digest = r.in().array<32>();
    b.length = r.block_length();
    return b;
  });
  r.require(!m.blocks.empty());
  return m;
}

bool disjoint(std::vector<Extent> extents) {
  std::ranges::sort(extents, {}, [](const Extent& e) { return std::pair(e.block, e.range.offset); });
  return std::ranges::adjacent_find(extents, [](const Extent& a, const Extent& b) {
           return a.block == b.block && a.range.end() > b.range.offset;
         }) == extents.end();
}

Message lease(FieldReader& r) {
  Lease m;
  m.number = r.number();
  m.id = r.uuid<LeaseId>();
  m.instance = r.uuid<InstanceId>();
  m.extents = r.extents();
  m.key_ids = r.list(kMaxLeaseSlots, 16, [&] { return r.uuid<Uuid>(); });
  std::uint64_t slots = 0;
  for (const Extent& extent : m.extents)
    slots += extent.range.length / kSlotSize;
  const std::uint64_t keys = m.key_ids.size();
  r.require(slots != 0 && keys != 0 && slots <= kMaxCombined * keys && slots % keys == 0 && disjoint(m.extents));
  return m;
}

Message open(FieldReader& r) {
  Open m;
  m.number = r.number();
  m.lease = r.uuid<LeaseId>();
  m.instance = r.uuid<InstanceId>();
  return m;
}

Message close(FieldReader& r) {
  Close m;
  m.number = r.number();
  m.lease = r.uuid<LeaseId>();
  return m;
}

PadPart pad_part(FieldReader& r) {
  PadPart part;
  part.lease = r.uuid<LeaseId>();
  part.slot = r.in().u16();
  part.slots = r.in().u16();
  r.require(part.slots != 0 && part.slot + part.slots <= int{kMaxLeaseSlots});
  return part;
}

std::vector<PadPart> pad(FieldReader& r) {
  return r.list(kMaxPadParts, 20, [&] { return pad_part(r); });
}

std::size_t slots_of(const std::vector<PadPart>& parts) {
  std::size_t slots = 0;
  for (const PadPart& part : parts)
    slots += part.slots;
  return slots;
}

Bytes octets(FieldReader& r, std::size_t size) {
  const ByteView taken = r.in().take(r.good() ? size : 0);
  return {taken.begin(), taken.end()};
}

Message relay_hop(FieldReader& r) {
  RelayHop m;
  m.number = r.number();
  m.relay = r.uuid<BlockId>();
  m.share = r.in().u8();
  m.shares = r.in().u8();
  r.require(m.share != 0 && m.share <= m.shares && m.shares <= kMaxRelayPaths);
  m.source = KmeId(r.text(kMaxIdSize));
  m.destination = KmeId(r.text(kMaxIdSize));
  m.path = r.list(kMaxRelayPath, 2, [&] { return KmeId(r.text(kMaxIdSize)); });
  r.require(m.path.empty() || m.path.back() == m.destination);
  m.simulated = r.flag();
  m.pad = pad(r);
  const std::uint32_t length = r.block_length();
  r.require(length <= kMaxRelayedBlock && slots_of(m.pad) == length / kSlotSize + 1);
  m.ciphertext = octets(r, length);
  m.tag = r.in().array<crypto::kOneTimeTagSize>();
  return m;
}

Message key_transfer(FieldReader& r) {
  KeyTransfer m;
  m.number = r.number();
  m.id = r.uuid<TransferId>();
  m.master = SaeId(r.text(kMaxIdSize));
  m.slaves = r.list(etsi::kMaxAdditionalSaes, 2, [&] { return SaeId(r.text(kMaxIdSize)); });
  m.key_ids = r.list(kMaxLeaseSlots, 16, [&] { return r.uuid<Uuid>(); });
  m.size_bits = r.in().u32();
  m.simulated = r.flag();
  m.is_counted = r.flag();
  m.pad = pad(r);
  r.require(!m.slaves.empty() && !m.key_ids.empty() && m.size_bits != 0 && m.size_bits % 8 == 0);
  const std::uint64_t length = std::uint64_t{m.size_bits / 8} * m.key_ids.size();
  r.require(length <= std::uint64_t{kSlotSize} * kMaxLeaseSlots &&
            slots_of(m.pad) == (length + kSlotSize - 1) / kSlotSize + 1);
  m.ciphertext = octets(r, static_cast<std::size_t>(length));
  m.tag = r.in().array<crypto::kOneTimeTagSize>();
  return m;
}

Message block_states(FieldReader& r) {
  BlockStates m;
  m.number = r.number();
  m.states = r.list(kMaxBlocksPerOffer, 1, [&] {
    const auto state = static_cast<BlockState>(r.in().u8());
    r.require(state == BlockState::unknown || state == BlockState::usable || state == BlockState::used ||
              state == BlockState::voided);
    return state;
  });
  return m;
}

RefusalReason refusal_reason(FieldReader& r) {
  const auto reason = static_cast<RefusalReason>(r.in().u8());
  r.require(reason >= RefusalReason::taken && reason <= RefusalReason::paths);
  return reason;
}

Message refused(FieldReader& r) {
  Refused m;
  m.number = r.number();
  m.reason = refusal_reason(r);
  return m;
}

Message closed(FieldReader& r) {
  Closed m;
  m.number = r.number();
  m.closed_here = r.flag();
  return m;
}

Message binding(FieldReader& r) {
  Binding m;
  m.number = BindingNumber(r.in().u64());
  m.lease = r.uuid<LeaseId>();
  m.slot = r.in().u16();
  m.slots = r.in().u16();
  m.size_bits = r.in().u32();
  m.is_counted = r.flag();
  m.master = SaeId(r.text(kMaxIdSize));
  m.slaves = r.list(etsi::kMaxAdditionalSaes + 1, 2, [&] { return SaeId(r.text(kMaxIdSize)); });
  r.require(m.number.value() != 0 && m.slots != 0 && m.slot + m.slots <= int{kMaxLeaseSlots} && !m.slaves.empty());
  r.require(m.size_bits != 0 && m.size_bits % 8 == 0 && m.size_bits <= 8 * kSlotSize * m.slots);
  return m;
}

Message binding_ack(FieldReader& r) {
  BindingAck m;
  m.number = BindingNumber(r.in().u64());
  m.unfetched = r.list(kMaxUnfetchedCounts, 6, [&] {
    UnfetchedKeys count;
    count.master = SaeId(r.text(kMaxIdSize));
    count.keys = r.in().u32();
    return count;
  });
  return m;
}

Message driver_message(FieldReader& r) {
  DriverMessage m;
  m.source = r.text(kMaxSourceName);
  const ByteView octets = r.in().prefixed32();
  r.require(!octets.empty() && octets.size() <= kMaxDriverMessage);
  if (r.good()) m.message = SecretBytes::copy_of(octets);
  return m;
}

Neighbour neighbour(FieldReader& r) {
  Neighbour n;
  n.id = KmeId(r.text(kMaxIdSize));
  n.up = r.flag();
  n.simulated = r.flag();
  n.octets = r.in().u64();
  return n;
}

Message link_state(FieldReader& r) {
  LinkState m;
  m.origin = KmeId(r.text(kMaxIdSize));
  m.sequence = r.in().u64();
  m.age_s = r.in().u8();
  m.trusted_node = r.flag();
  m.neighbours = r.list(kMaxNeighbours, 12, [&] { return neighbour(r); });
  r.require(m.sequence != 0 && m.sequence <= kMaxSequence && m.age_s <= kMaxStateAge);
  return m;
}

Message relay_failed(FieldReader& r) {
  RelayFailed m;
  m.relay = r.uuid<BlockId>();
  m.reason = refusal_reason(r);
  m.from = KmeId(r.text(kMaxIdSize));
  m.to = KmeId(r.text(kMaxIdSize));
  return m;
}

Message key_transfer_void(FieldReader& r) {
  return KeyTransferVoid{r.uuid<TransferId>()};
}

// Empty for an unknown type.
std::optional<Message> read_body(MessageType type, FieldReader& r) {
  switch (type) {
    case MessageType::hello: return hello(r);
    case MessageType::contact: return contact(r);
    case MessageType::inventory_blocks: return inventory_blocks(r);
    case MessageType::inventory_leases: return inventory_leases(r);
    case MessageType::inventory_end: return inventory_end(r);
    case MessageType::merged: return Merged{};
    case MessageType::goodbye: return goodbye(r);
    case MessageType::offer: return offer<Offer>(r);
    case MessageType::void_request: return offer<VoidRequest>(r);
    case MessageType::lease: return lease(r);
    case MessageType::open: return open(r);
    case MessageType::close: return close(r);
    case MessageType::ping: return Ping{r.number()};
    case MessageType::relay_hop: return relay_hop(r);
    case MessageType::key_transfer: return key_transfer(r);
    case MessageType::block_states: return block_states(r);
    case MessageType::ack: return Ack{r.number()};
    case MessageType::refused: return refused(r);
    case MessageType::closed: return closed(r);
    case MessageType::binding: return binding(r);
    case MessageType::binding_ack: return binding_ack(r);
    case MessageType::driver_message: return driver_message(r);
    case MessageType::link_state: return link_state(r);
    case MessageType::relay_failed: return relay_failed(r);
    case MessageType::key_transfer_void: return key_transfer_void(r);
  }
  return std::nullopt;
}

}  // namespace

Result<Message> decode(ByteView octets) {
  if (octets.empty()) return fail(Errc::malformed, "empty KM link message");
  if (octets.size() > kMaxMessageSize) return fail(Errc::too_large, "KM link message too long");
  FieldReader reader(octets.subspan(1));
  std::optional<Message> message = read_body(static_cast<MessageType>(octets[0]), reader);
  if (!message) return fail(Errc::unsupported, "KM link message of unknown type 0x" + to_hex(octets.first(1)));
  if (!reader.good() || !reader.in().finished())
    return fail(Errc::malformed, "damaged KM link message of type 0x" + to_hex(octets.first(1)));
  return std::move(*message);
}

}  // namespace quipu::kms::wire
