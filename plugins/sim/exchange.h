// SPDX-License-Identifier: Apache-2.0
// How both ends of a simulated link come to the same blocks: each contributes a fresh random seed, and the block is
// derived from both. No I/O: messages go in, and messages and blocks come out.
//
// A block is the pair's once Bob has accepted it and Alice has counted it as confirmed. The count is exchanged at each
// new connection, so a confirmation that was lost with the last one is made up for, and no block comes twice.
#pragma once

#include <optional>

#include "base/secret.h"
#include "crypto/rng.h"
#include "fibre_messages.h"

namespace quipu::sim {

struct KeyBlock {
  Uuid id;
  std::uint64_t sequence = 0;
  SecretBytes key;
};

// What to do after an event: send first, then deliver.
struct Step {
  Bytes send;
  std::optional<KeyBlock> deliver;
};

// One end, in either role; the calls that belong to the other role are bugs. One thread.
class Exchange {
 public:
  // `block_octets` matters at Alice; Bob takes hers.
  Exchange(Role role, std::size_t block_octets, crypto::Rng& rng);

  // A new connection: what to send first.
  Bytes connected();
  void disconnected();

  // Errors mean that the connection is of no use: both ends have one role, or the other end breaks the protocol.
  Result<Step> handle(const FibreMessage& message);

  // Both hellos were exchanged.
  bool aligned() const { return m_aligned; }

  // Alice: a new block may be begun.
  bool may_propose() const { return m_role == Role::alice && m_aligned && !m_pending; }

  Bytes propose();

  // Bob: Alice waits for an answer, which is given when there is room for a block.
  bool may_accept() const { return m_role == Role::bob && m_proposal.has_value(); }

  Bytes accept();

  std::uint64_t confirmed() const { return m_confirmed; }

  // Blocks that were begun and given up.
  std::uint64_t failed() const { return m_failed; }

 private:
  struct Pending {
    Uuid id;
    std::uint64_t sequence = 0;
    Seed seed{};      // Alice: hers
    SecretBytes key;  // Bob: derived already
  };

  Result<Step> on(const Hello& hello);
  Result<Step> on(const Propose& propose);
  Result<Step> on(const Accept& accept);
  Result<Step> on(const Confirm& confirm);
  void resume_as_bob(const Hello& hello, Step& step);
  KeyBlock take_pending();
  void drop_pending();
  SecretBytes derive(const Seed& alice, const Seed& bob, const Uuid& id, std::uint64_t sequence) const;

  Role m_role;
  std::size_t m_block_octets;
  crypto::Rng& m_rng;
  Uuid m_run;
  bool m_aligned = false;
  std::uint64_t m_confirmed = 0;
  std::uint64_t m_failed = 0;
  std::optional<Pending> m_pending;
  std::optional<Propose> m_proposal;
};

}  // namespace quipu::sim
