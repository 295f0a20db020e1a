// SPDX-License-Identifier: Apache-2.0
#include "exchange.h"

#include "crypto/hash.h"

namespace quipu::sim {
namespace {

constexpr std::string_view kSalt = "quipu sim block 1";
constexpr std::size_t kLeastBlock = 32;
constexpr std::size_t kLargestBlock = 16320;  // of HKDF with SHA-512

Uuid random_uuid(crypto::Rng& rng) {
  std::array<std::uint8_t, 16> octets{};
  rng.fill(octets);
  return Uuid::from_random(octets);
}

std::unexpected<Error> out_of_turn() {
  return fail(Errc::malformed, "the other end of the fibre sent a message out of turn");
}

}  // namespace

Exchange::Exchange(Role role, std::size_t block_octets, crypto::Rng& rng)
    : m_role(role), m_block_octets(block_octets), m_rng(rng) {
  QUIPU_ASSERT(block_octets >= kLeastBlock && block_octets <= kLargestBlock);
  if (role == Role::alice) m_run = random_uuid(rng);
}

Bytes Exchange::connected() {
  disconnected();
  return encode(Hello{m_role, m_run, m_confirmed, static_cast<std::uint32_t>(m_block_octets)});
}

// Bob keeps what he accepted: the next hello tells whether Alice has counted it.
void Exchange::disconnected() {
  m_aligned = false;
  m_proposal.reset();
  if (m_role == Role::alice) drop_pending();
}

Result<Step> Exchange::handle(const FibreMessage& message) {
  return std::visit([this](const auto& m) { return on(m); }, message);
}

Result<Step> Exchange::on(const Hello& hello) {
  if (m_aligned) return out_of_turn();
  if (hello.role == m_role)
    return fail(Errc::conflict, std::string("both ends of the fibre have role = \"") +
                                    (m_role == Role::alice ? "alice" : "bob") +
                                    "\": set the other role at one of them");
  Step step;
  if (m_role == Role::bob) {
    if (hello.block_octets < kLeastBlock || hello.block_octets > kLargestBlock) return out_of_turn();
    m_block_octets = hello.block_octets;
    resume_as_bob(hello, step);
  }
  m_aligned = true;
  return step;
}

void Exchange::resume_as_bob(const Hello& hello, Step& step) {
  const bool counted = m_pending && hello.run == m_run && hello.confirmed == m_pending->sequence + 1;
  m_run = hello.run;
  if (counted)
    step.deliver = take_pending();
  else
    drop_pending();
  m_confirmed = hello.confirmed;
}

Bytes Exchange::propose() {
  QUIPU_ASSERT(may_propose());
  Pending pending;
  pending.id = random_uuid(m_rng);
  pending.sequence = m_confirmed;
  m_rng.fill(pending.seed);
  const Bytes out = encode(Propose{pending.sequence, pending.id, pending.seed});
  m_pending = std::move(pending);
  return out;
}

Result<Step> Exchange::on(const Propose& propose) {
  if (m_role != Role::bob || !m_aligned || m_pending || m_proposal || propose.sequence != m_confirmed ||
      propose.id == Uuid{})
    return out_of_turn();
  m_proposal = propose;
  return Step{};
}

Bytes Exchange::accept() {
  QUIPU_ASSERT(may_accept());
  Seed seed{};
  m_rng.fill(seed);
  const Propose proposal = *m_proposal;
  m_proposal.reset();
  m_pending = Pending{proposal.id, proposal.sequence, {}, derive(proposal.seed, seed, proposal.id, proposal.sequence)};
  return encode(Accept{proposal.sequence, seed});
}

Result<Step> Exchange::on(const Accept& accept) {
  if (m_role != Role::alice || !m_pending || accept.sequence != m_pending->sequence) return out_of_turn();
  m_pending->key = derive(m_pending->seed, accept.seed, m_pending->id, m_pending->sequence);
  Step step;
  step.deliver = take_pending();
  step.send = encode(Confirm{m_confirmed});
  return step;
}

Result<Step> Exchange::on(const Confirm& confirm) {
  if (m_role != Role::bob || !m_pending || confirm.confirmed != m_pending->sequence + 1) return out_of_turn();
  Step step;
  step.deliver = take_pending();
  return step;
}

KeyBlock Exchange::take_pending() {
  KeyBlock out{m_pending->id, m_pending->sequence, std::move(m_pending->key)};
  m_pending.reset();
  m_confirmed = out.sequence + 1;
  return out;
}

void Exchange::drop_pending() {
  if (m_pending) ++m_failed;
  m_pending.reset();
}

SecretBytes Exchange::derive(const Seed& alice, const Seed& bob, const Uuid& id, std::uint64_t sequence) const {
  Secret<64> seeds;
  ByteWriter(seeds.mutable_view()).bytes(alice).bytes(bob);
  std::array<std::uint8_t, 8> number{};
  ByteWriter(number).u64(sequence);
  SecretBytes out(m_block_octets);
  const auto prk = crypto::hkdf_extract(as_bytes(kSalt), seeds.view());
  crypto::hkdf_expand(prk.view(), {id.octets, number}, out.mutable_view());
  return out;
}

}  // namespace quipu::sim
