// SPDX-License-Identifier: Apache-2.0
// What travels on the simulated fibre (TCP, in clear): a stand-in for photons, and no secret from whoever sees it.
// Fixed sizes, big-endian.
//
//   hello    both, first     u8 1, "quipu sim 1", u8 role, run id 16, u64 confirmed, u32 octets per block
//   propose  Alice -> Bob    u8 2, u64 sequence, block id 16, seed 32
//   accept   Bob -> Alice    u8 3, u64 sequence, seed 32
//   confirm  Alice -> Bob    u8 4, u64 confirmed
//
// `confirmed` is the number of blocks, counted from the start of the run, that both ends may deliver.
#pragma once

#include <array>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "options.h"

namespace quipu::sim {

using Seed = std::array<std::uint8_t, 32>;

struct Hello {
  Role role = Role::alice;
  Uuid run;  // of Alice's process: a new one starts a new sequence. Bob repeats the one that he knows.
  std::uint64_t confirmed = 0;
  std::uint32_t block_octets = 0;

  bool operator==(const Hello&) const = default;
};

struct Propose {
  std::uint64_t sequence = 0;
  Uuid id;
  Seed seed{};

  bool operator==(const Propose&) const = default;
};

struct Accept {
  std::uint64_t sequence = 0;
  Seed seed{};

  bool operator==(const Accept&) const = default;
};

struct Confirm {
  std::uint64_t confirmed = 0;

  bool operator==(const Confirm&) const = default;
};

using FibreMessage = std::variant<Hello, Propose, Accept, Confirm>;

Bytes encode(const FibreMessage& message);

struct ParsedMessage {
  FibreMessage message;
  std::size_t size = 0;  // octets of the stream that it took
};

// The first message of a stream: empty while it is incomplete, Errc::malformed when it is none.
Result<std::optional<ParsedMessage>> parse_message(ByteView stream);

}  // namespace quipu::sim
