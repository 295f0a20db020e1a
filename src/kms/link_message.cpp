// SPDX-License-Identifier: Apache-2.0
#include "kms/link_message.h"

#include <type_traits>

namespace quipu::kms::wire {
namespace {

// ByteWriter's interface, counting only: each message is written twice, first to learn its size.
class SizeCounter {
 public:
  SizeCounter& u8(std::uint8_t) { return plus(1); }

  SizeCounter& u16(std::uint16_t) { return plus(2); }

  SizeCounter& u32(std::uint32_t) { return plus(4); }

  SizeCounter& u64(std::uint64_t) { return plus(8); }

  SizeCounter& bytes(ByteView in) { return plus(in.size()); }

  SizeCounter& prefixed8(ByteView in) { return plus(1 + in.size()); }

  SizeCounter& prefixed32(ByteView in) { return plus(4 + in.size()); }

  std::size_t size() const { return m_size; }

 private:
  SizeCounter& plus(std::size_t n) {
    m_size += n;
    return *this;
  }

  std::size_t m_size = 0;
};

std::uint16_t count16(std::size_t n) {
  QUIPU_ASSERT(n <= 0xffff);
  return static_cast<std::uint16_t>(n);
}

template <class Out>
void put(Out& out, MessageType type) {
  out.u8(static_cast<std::uint8_t>(type));
}

template <class Out>
void put(Out& out, const Uuid& id) {
  out.bytes(id.octets);
}

template <class Out, class Tag>
void put(Out& out, const Strong<Tag, Uuid>& id) {
  out.bytes(id.value().octets);
}

template <class Out>
void put(Out& out, const Range& range) {
  out.u32(range.offset).u32(range.length);
}

template <class Out>
void put(Out& out, const Extent& extent) {
  put(out, extent.block);
  put(out, extent.range);
}

template <class Out>
void put(Out& out, const InventoryBlock& m);
template <class Out>
void put(Out& out, const InventoryLease& m);
template <class Out>
void put(Out& out, const OfferedBlock& m);
template <class Out>
void put(Out& out, BlockState state);
template <class Out, class Tag>
void put(Out& out, const Strong<Tag, std::string>& id);
template <class Out>
void put(Out& out, const PadPart& part);
template <class Out>
void put(Out& out, const Neighbour& neighbour);
template <class Out>
void put(Out& out, const UnfetchedKeys& count);

template <class Out, class T>
void put_list(Out& out, const std::vector<T>& list) {
  out.u16(count16(list.size()));
  for (const T& entry : list)
    put(out, entry);
}

template <class Out>
void put(Out& out, const InventoryBlock& m) {
  put(out, m.id);
  out.u8(static_cast<std::uint8_t>(m.state)).bytes(m.digest).u32(m.length);
  put_list(out, m.spent);
}

template <class Out>
void put(Out& out, const InventoryLease& m) {
  put(out, m.id);
  out.u8(static_cast<std::uint8_t>(m.holder));
  put(out, m.holder_instance);
  out.u8(m.pending ? 1 : 0);
  put_list(out, m.extents);
}

template <class Out>
void put(Out& out, const OfferedBlock& m) {
  put(out, m.id);
  out.bytes(m.digest).u32(m.length);
}

template <class Out>
void put(Out& out, BlockState state) {
  out.u8(static_cast<std::uint8_t>(state));
}

template <class Out, class Tag>
void put(Out& out, const Strong<Tag, std::string>& id) {
  out.prefixed8(as_bytes(id.value()));
}

template <class Out>
void put(Out& out, const PadPart& part) {
  put(out, part.lease);
  out.u16(part.slot).u16(part.slots);
}

template <class Out>
void put(Out& out, const UnfetchedKeys& count) {
  put(out, count.master);
  out.u32(count.keys);
}

template <class Out>
void put(Out& out, const Neighbour& neighbour) {
  put(out, neighbour.id);
  out.u8(neighbour.up ? 1 : 0).u8(neighbour.simulated ? 1 : 0).u64(neighbour.octets);
}

template <class Out>
void put(Out& out, const Hello& m) {
  put(out, MessageType::hello);
  out.u16(m.version).prefixed8(as_bytes(m.sender.value())).prefixed8(as_bytes(m.receiver.value()));
  put(out, m.instance);
  out.bytes(m.nonce).u8(m.min_sources);
}

template <class Out>
void put(Out& out, const Contact& m) {
  put(out, MessageType::contact);
  out.bytes(m.nonce).bytes(m.inventory);
}

template <class Out>
void put(Out& out, const InventoryBlocks& m) {
  put(out, MessageType::inventory_blocks);
  put_list(out, m.blocks);
}

template <class Out>
void put(Out& out, const InventoryLeases& m) {
  put(out, MessageType::inventory_leases);
  put_list(out, m.leases);
}

template <class Out>
void put(Out& out, const InventoryEnd& m) {
  put(out, MessageType::inventory_end);
  out.u32(m.blocks).u32(m.leases);
}

template <class Out>
void put(Out& out, const Merged&) {
  put(out, MessageType::merged);
}

template <class Out>
void put(Out& out, const Goodbye& m) {
  put(out, MessageType::goodbye);
  out.u8(static_cast<std::uint8_t>(m.reason));
}

template <class Out>
void put(Out& out, const Offer& m) {
  put(out, MessageType::offer);
  out.u32(m.number.value());
  put_list(out, m.blocks);
}

template <class Out>
void put(Out& out, const VoidRequest& m) {
  put(out, MessageType::void_request);
  out.u32(m.number.value());
  put_list(out, m.blocks);
}

template <class Out>
void put(Out& out, const Lease& m) {
  put(out, MessageType::lease);
  out.u32(m.number.value());
  put(out, m.id);
  put(out, m.instance);
  put_list(out, m.extents);
  put_list(out, m.key_ids);
}

template <class Out>
void put(Out& out, const Open& m) {
  put(out, MessageType::open);
  out.u32(m.number.value());
  put(out, m.lease);
  put(out, m.instance);
}

template <class Out>
void put(Out& out, const Close& m) {
  put(out, MessageType::close);
  out.u32(m.number.value());
  put(out, m.lease);
}

template <class Out>
void put(Out& out, const Ping& m) {
  put(out, MessageType::ping);
  out.u32(m.number.value());
}

template <class Out>
void put_associated_data(Out& out, const RelayHop& m) {
  put(out, m.relay);
  out.u8(m.share).u8(m.shares);
  put(out, m.source);
  put(out, m.destination);
  put_list(out, m.path);
  out.u8(m.simulated ? 1 : 0);
  put_list(out, m.pad);
  out.u32(static_cast<std::uint32_t>(m.ciphertext.size()));
}

template <class Out>
void put(Out& out, const RelayHop& m) {
  put(out, MessageType::relay_hop);
  out.u32(m.number.value());
  put_associated_data(out, m);
  out.bytes(m.ciphertext).bytes(m.tag);
}

template <class Out>
void put_associated_data(Out& out, const KeyTransfer& m) {
  put(out, m.id);
  put(out, m.master);
  put_list(out, m.slaves);
  put_list(out, m.key_ids);
  out.u32(m.size_bits).u8(m.simulated ? 1 : 0).u8(m.is_counted ? 1 : 0);
  put_list(out, m.pad);
}

template <class Out>
void put(Out& out, const KeyTransfer& m) {
  put(out, MessageType::key_transfer);
  out.u32(m.number.value());
  put_associated_data(out, m);
  out.bytes(m.ciphertext).bytes(m.tag);
}

template <class Out>
void put(Out& out, const BlockStates& m) {
  put(out, MessageType::block_states);
  out.u32(m.number.value());
  put_list(out, m.states);
}

template <class Out>
void put(Out& out, const Ack& m) {
  put(out, MessageType::ack);
  out.u32(m.number.value());
}

template <class Out>
void put(Out& out, const Refused& m) {
  put(out, MessageType::refused);
  out.u32(m.number.value()).u8(static_cast<std::uint8_t>(m.reason));
}

template <class Out>
void put(Out& out, const Closed& m) {
  put(out, MessageType::closed);
  out.u32(m.number.value()).u8(m.closed_here ? 1 : 0);
}

// All but the ids of SAEs.
template <class Out>
void put_head(Out& out, const Binding& m) {
  put(out, MessageType::binding);
  out.u64(m.number.value());
  put(out, m.lease);
  out.u16(m.slot).u16(m.slots).u32(m.size_bits).u8(m.is_counted ? 1 : 0);
}

template <class Out>
void put(Out& out, const Binding& m) {
  put_head(out, m);
  put(out, m.master);
  put_list(out, m.slaves);
}

template <class Out>
void put(Out& out, const BindingAck& m) {
  put(out, MessageType::binding_ack);
  out.u64(m.number.value());
  put_list(out, m.unfetched);
}

template <class Out>
void put(Out& out, const DriverMessage& m) {
  put(out, MessageType::driver_message);
  out.prefixed8(as_bytes(m.source)).prefixed32(m.message.view());
}

template <class Out>
void put(Out& out, const LinkState& m) {
  put(out, MessageType::link_state);
  put(out, m.origin);
  out.u64(m.sequence).u8(m.age_s).u8(m.trusted_node ? 1 : 0);
  put_list(out, m.neighbours);
}

template <class Out>
void put(Out& out, const RelayFailed& m) {
  put(out, MessageType::relay_failed);
  put(out, m.relay);
  out.u8(static_cast<std::uint8_t>(m.reason));
  put(out, m.from);
  put(out, m.to);
}

template <class Out>
void put(Out& out, const KeyTransferVoid& m) {
  put(out, MessageType::key_transfer_void);
  put(out, m.id);
}

// Octets of what `write` puts.
template <class Write>
Bytes written(Write write) {
  SizeCounter counter;
  write(counter);
  Bytes out(counter.size());
  ByteWriter writer(out);
  write(writer);
  QUIPU_ASSERT(writer.ok() && writer.size() == out.size());
  return out;
}

}  // namespace

std::string_view to_string(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::taken: return "taken";
    case RefusalReason::no_block: return "no_block";
    case RefusalReason::instance: return "instance";
    case RefusalReason::no_lease: return "no_lease";
    case RefusalReason::duplicate: return "duplicate";
    case RefusalReason::full: return "full";
    case RefusalReason::not_trusted: return "not_trusted";
    case RefusalReason::no_pad: return "no_pad";
    case RefusalReason::forged: return "forged";
    case RefusalReason::no_link: return "no_link";
    case RefusalReason::no_key: return "no_key";
    case RefusalReason::timeout: return "timeout";
    case RefusalReason::not_taken: return "not_taken";
    case RefusalReason::sources: return "sources";
    case RefusalReason::paths: return "paths";
  }
  return "invalid";
}

std::string_view to_string(GoodbyeReason reason) {
  switch (reason) {
    case GoodbyeReason::version: return "version";
    case GoodbyeReason::identity: return "identity";
    case GoodbyeReason::two_copies: return "two_copies";
    case GoodbyeReason::violation: return "violation";
    case GoodbyeReason::timeout: return "timeout";
    case GoodbyeReason::replaced: return "replaced";
    case GoodbyeReason::combiner: return "combiner";
  }
  return "invalid";
}

SecretBytes encode(const Message& message) {
  return std::visit(
      [](const auto& m) {
        SizeCounter counter;
        put(counter, m);
        QUIPU_ASSERT(counter.size() <= kMaxMessageSize);
        SecretBytes out(counter.size());
        ByteWriter writer(out.mutable_view());
        put(writer, m);
        QUIPU_ASSERT(writer.ok() && writer.size() == out.size());
        return out;
      },
      message);
}

Bytes relay_associated_data(const RelayHop& hop) {
  return written([&](auto& out) { put_associated_data(out, hop); });
}

Bytes associated_data(const KeyTransfer& transfer) {
  return written([&](auto& out) {
    put(out, MessageType::key_transfer);
    put_associated_data(out, transfer);
  });
}

std::size_t encoded_size(const InventoryBlock& block) {
  SizeCounter counter;
  put(counter, block);
  return counter.size();
}

std::size_t encoded_size(const InventoryLease& lease) {
  SizeCounter counter;
  put(counter, lease);
  return counter.size();
}

std::size_t encoded_size(const LinkState& state) {
  SizeCounter counter;
  put(counter, state);
  return counter.size();
}

std::size_t binding_size(const SaeId& master, const std::vector<SaeId>& slaves) {
  SizeCounter counter;
  put_head(counter, Binding{});
  put(counter, master);
  put_list(counter, slaves);
  return counter.size();
}

}  // namespace quipu::kms::wire
