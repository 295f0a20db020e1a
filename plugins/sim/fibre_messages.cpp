// SPDX-License-Identifier: Apache-2.0
#include "fibre_messages.h"

#include <string_view>

namespace quipu::sim {
namespace {

constexpr std::string_view kMagic = "quipu sim 1";
constexpr std::size_t kLargestMessage = 64;

enum class Type : std::uint8_t { hello = 1, propose, accept, confirm };

// 0 for a type that is none.
std::size_t size_of(std::uint8_t type) {
  switch (static_cast<Type>(type)) {
    case Type::hello: return 1 + kMagic.size() + 1 + 16 + 8 + 4;
    case Type::propose: return 1 + 8 + 16 + 32;
    case Type::accept: return 1 + 8 + 32;
    case Type::confirm: return 1 + 8;
  }
  return 0;
}

struct Encode {
  ByteWriter& out;

  ByteWriter& type(Type type) const { return out.u8(static_cast<std::uint8_t>(type)); }

  void operator()(const Hello& m) const {
    type(Type::hello).bytes(as_bytes(kMagic)).u8(m.role == Role::alice ? 0 : 1).bytes(m.run.octets).u64(m.confirmed);
    out.u32(m.block_octets);
  }

  void operator()(const Propose& m) const { type(Type::propose).u64(m.sequence).bytes(m.id.octets).bytes(m.seed); }

  void operator()(const Accept& m) const { type(Type::accept).u64(m.sequence).bytes(m.seed); }

  void operator()(const Confirm& m) const { type(Type::confirm).u64(m.confirmed); }
};

Result<FibreMessage> parse_hello(ByteReader in) {
  const ByteView magic = in.take(kMagic.size());
  const std::uint8_t role = in.u8();
  const Uuid run{in.array<16>()};
  const Hello hello{role == 0 ? Role::alice : Role::bob, run, in.u64(), in.u32()};
  if (as_text(magic) != kMagic || role > 1)
    return fail(Errc::malformed, "the other end of the fibre is no simulated device of this version");
  return hello;
}

}  // namespace

Bytes encode(const FibreMessage& message) {
  Bytes out(kLargestMessage);
  ByteWriter writer(out);
  std::visit(Encode{writer}, message);
  QUIPU_ASSERT(writer.ok());
  out.resize(writer.size());
  return out;
}

Result<std::optional<ParsedMessage>> parse_message(ByteView stream) {
  if (stream.empty()) return std::nullopt;
  const std::size_t size = size_of(stream[0]);
  if (size == 0) return fail(Errc::malformed, "a message of unknown type on the fibre");
  if (stream.size() < size) return std::nullopt;
  ByteReader in(stream.first(size));
  switch (static_cast<Type>(in.u8())) {
    case Type::hello: {
      QUIPU_TRY_ASSIGN(const FibreMessage hello, parse_hello(in));
      return ParsedMessage{hello, size};
    }
    case Type::propose: {
      const std::uint64_t sequence = in.u64();
      const Uuid id{in.array<16>()};
      return ParsedMessage{Propose{sequence, id, in.array<32>()}, size};
    }
    case Type::accept: {
      const std::uint64_t sequence = in.u64();
      return ParsedMessage{Accept{sequence, in.array<32>()}, size};
    }
    case Type::confirm: return ParsedMessage{Confirm{in.u64()}, size};
  }
  return fail(Errc::malformed, "a message of unknown type on the fibre");
}

}  // namespace quipu::sim
