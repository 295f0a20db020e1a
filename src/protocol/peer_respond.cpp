// SPDX-License-Identifier: Apache-2.0
// The responder's side: which messages 1 are taken, what is asked of the KMSs for them, and what is answered.
#include <algorithm>

#include "protocol/peer_machine.h"

namespace quipu::protocol {

void PeerMachine::send_handshake(Bytes message, const Endpoint& to, const Context& context) {
  m_cookies.add_mac2(message, context.now);
  context.out.emplace_back(SendDatagram{m_config.id, to, std::move(message), true, true});
}

void PeerMachine::repeat_answer(const Endpoint& from, const Context& context) {
  const Bytes* answer = m_answer.repeated(from, context.now);
  if (answer == nullptr) return;
  if (m_answer.answered_with_response() && m_epochs.next() != nullptr)
    m_epochs.extend_next(next_dies(m_epochs.next()->made, context.now));
  send_handshake(*answer, from, context);
}

// Crossing rule (c), the regular initiator's half. What it ignores leaves nothing behind. It also holds when our
// attempt is answered already: the peer's message 1 was then on its way before the peer abandoned it, and an answer
// that nobody confirms would hold back our next rekey.
bool PeerMachine::crossing_ignores(TimePoint now) const {
  return m_regular && m_crossing_head && now - *m_crossing_head < kCrossingHead;
}

void PeerMachine::handle_initiation(ReceivedInitiation initiation, const MessageDigest& digest, const Endpoint& from,
                                    const Context& context) {
  if (m_abandon) abandon_attempt(context);
  const InitiationPayload& payload = initiation.payload();
  switch (m_peer_stamps.compare(payload.stamp)) {
    case StampGuard::Verdict::fresh: break;
    case StampGuard::Verdict::same_as_highest: reject_unkept(initiation, RejectReason::expired, from, context); return;
    case StampGuard::Verdict::stale: reject_unkept(initiation, RejectReason::stamp_stale, from, context); return;
    case StampGuard::Verdict::jump_too_far:
      if (m_jump_reports.take(context.now))
        report(context, LogLevel::error, "stamp_jump_refused",
               "the peer's stamp is far above any that it used: permit the jump if that machine was restored");
      return;
  }
  m_last_word = context.now;
  const bool alike = payload.tunnel == m_config.tunnel && payload.policy == m_wire_policy;
  m_mismatch = alike ? std::string() : mismatch_told(own_terms(), payload);
  if (alike && crossing_ignores(context.now)) return;
  if (m_attempt) {
    m_attempt->sign_of_life(context.now);
    // The regular initiator keeps what it has sent; whatever was not sent yet waits for the answer's end.
    if (!m_regular || !m_attempt->sent()) end_attempt(KeysGo::burn, context);
  }
  const bool within_rate = m_initiation_rate.take(context.now);
  const bool asked_enough = m_answer.asking() != nullptr || context.now < m_requests_until ||
                            context.shared.answers_asking >= kMaxRequestsInAll;
  accept_initiation(initiation, digest, from, context);
  if (!alike) {
    if (within_rate) report_mismatch(context);
    reject(initiation, RejectReason::policy_mismatch, context);
  } else if (!within_rate || asked_enough) {
    reject(initiation, RejectReason::busy, context);
  } else {
    ask_for_named_keys(std::move(initiation), context);
    progress_answer(context);
  }
}

// From here on it is the message 1 in hand. An older one that was still being asked for is dead: its sender has moved
// on.
void PeerMachine::accept_initiation(const ReceivedInitiation& initiation, const MessageDigest& digest,
                                    const Endpoint& from, const Context& context) {
  shelve_asking(context);
  m_peer_stamps.store(initiation.payload().stamp);
  m_answer.accept(digest, from, ++m_order, context.now);
}

void PeerMachine::shelve_asking(const Context& context) {
  auto asking = m_answer.take_asking();
  if (!asking) return;
  --context.shared.answers_asking;
  if (!asking->fetch.outstanding().empty()) m_requests_until = asking->fetch.deadline();
  shelve(asking->fetch, KeysOf::peer, context);
}

void PeerMachine::reject(const ReceivedInitiation& initiation, RejectReason reason, const Context& context) {
  const Bytes policy = reason == RejectReason::policy_mismatch ? m_canonical_policy : Bytes{};
  Bytes message = initiation.create_reject({reason, {}, policy}, context.shared.rng);
  ++m_statistics.rejects_sent;
  m_answer.answer(message, false, context.now);
  send_handshake(std::move(message), m_answer.from(), context);
}

// The answer to a message 1 that was not accepted: seen before, or overtaken.
void PeerMachine::reject_unkept(const ReceivedInitiation& initiation, RejectReason reason, const Endpoint& from,
                                const Context& context) {
  if (!m_stale_rejects.take(context.now)) return;
  const Stamp highest = reason == RejectReason::stamp_stale ? *m_peer_stamps.highest() : Stamp{};
  ++m_statistics.rejects_sent;
  send_handshake(initiation.create_reject({reason, highest, {}}, context.shared.rng), from, context);
}

bool PeerMachine::usable_reference(const KeyReference& reference) const {
  const auto& sources = m_config.policy.sources;
  if (reference.slot >= sources.size() || reference.kind != sources[reference.slot].kind) return false;
  return reference.kind == KeyKind::etsi014 && !reference.key_id.value().empty() && !m_used.contains(reference);
}

void PeerMachine::ask_for_named_keys(ReceivedInitiation initiation, const Context& context) {
  shelve_named_ahead(context);
  KeyFetch fetch(m_config.id, context.now + kKmsDeadline);
  for (const KeyReference& reference : initiation.payload().keys) {
    if (!usable_reference(reference)) {
      fetch.put_unknown(reference.slot);
      continue;
    }
    if (auto held = m_supply.take_named(reference))
      fetch.put(*std::move(held));
    else
      ask(fetch, reference.slot, reference.key_id, context);
  }
  ++context.shared.answers_asking;
  m_answer.ask({std::move(initiation), std::move(fetch)});
}

void PeerMachine::progress_answer(const Context& context) {
  AnswerKeeper::Asking* asking = m_answer.asking();
  if (asking == nullptr) {
    m_answer.expire(context.now);
    return;
  }
  progress(asking->fetch, context);
  if (!asking->fetch.done(context.now)) return;
  --context.shared.answers_asking;
  AnswerKeeper::Asking done = *m_answer.take_asking();
  const bool unknown = done.fetch.any_unknown();
  std::vector<HeldKey> keys = done.fetch.take_keys();
  shelve(done.fetch, KeysOf::peer, context);
  const auto decision = decide(m_config.policy, keys.size(), session_up(context.now));
  if (decision == KeyDecision::proceed || decision == KeyDecision::proceed_reduced) {
    respond(std::move(done), std::move(keys), context);
    return;
  }
  for (HeldKey& held : keys)
    put_named(std::move(held), late_key_kept(), context);
  reject(done.initiation, unknown ? RejectReason::key_unknown : RejectReason::kms_unavailable, context);
  if (!unknown)
    kms_failed(Lack::keys_here, context);
  else if (m_peer_stamps.knows_peer())  // the keys of a recording are spent
    keys_unknown(Lack::unknown_here, context);
}

void PeerMachine::respond(AnswerKeeper::Asking asking, std::vector<HeldKey> held, const Context& context) {
  const std::vector<KeyReference>& offered = asking.initiation.payload().keys;
  Epoch::Protection protection;
  std::uint16_t accepted = 0;
  std::vector<QkdKey> keys;
  for (HeldKey& key : held) {
    const auto at = std::ranges::find(offered, key.reference);
    QUIPU_ASSERT(at != offered.end());
    accepted = static_cast<std::uint16_t>(accepted | (1U << (at - offered.begin())));
    protection.simulated |= m_config.policy.sources[key.reference.slot].simulated;
    m_used.add(key.reference);
    keys.push_back(qkd_key(std::move(key), false));
  }
  protection.qkd_keys = keys.size();
  const SessionIndex index = context.shared.indices.allocate(m_config.id, context.shared.rng);
  auto answer = asking.initiation.create_response(
      index, AcceptedKeys(accepted), keys,
      {asking.initiation.payload().stamp, context.shared.lanes, key_runway().value_or(0)}, context.shared.rng);
  if (!answer) {
    // The sender's own keys are bad (a point of small order, a modulus that is none): there is nothing to tell it.
    context.shared.indices.release(index);
    for (const QkdKey& key : keys)
      burn(key.reference, context);
    m_answer.drop();
    return;
  }
  m_statistics.keys_used += keys.size();
  m_epochs.set_next(Epoch{std::make_shared<Keypair>(std::move(answer->secrets), context.shared.key_limits), false,
                          false, false, asking.initiation.payload().stamp, m_answer.order(), context.now,
                          next_dies(context.now, context.now), protection},
                    context.shared.indices);
  m_answer.answer(answer->message, true, context.now);
  send_handshake(std::move(answer->message), m_answer.from(), context);
}

}  // namespace quipu::protocol
