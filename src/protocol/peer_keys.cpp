// SPDX-License-Identifier: Apache-2.0
// Key economy: what the KMSs answer, keys fetched ahead by both ends, and what becomes of keys that no handshake wants.
#include <algorithm>

#include "protocol/peer_machine.h"

namespace quipu::protocol {
namespace {

// A cheap look for a key source that is broken outright.
bool is_degenerate(const Secret<32>& key) {
  const auto octets = key.view();
  return std::ranges::all_of(octets, [&](std::uint8_t octet) { return octet == octets[0]; });
}

}  // namespace

QkdKey PeerMachine::qkd_key(HeldKey held, bool we_are_master) const {
  const KeySource& source = m_config.policy.sources[held.reference.slot];
  return {std::move(held.reference), we_are_master ? source.own : source.peer, we_are_master ? source.peer : source.own,
          std::move(held.key)};
}

void PeerMachine::burn(const KeyReference& reference, const Context& context) {
  burn(reference, m_config.policy.sources[reference.slot], context);
}

void PeerMachine::burn(const KeyReference& reference, const KeySource& source, const Context& context) {
  if (!m_used.contains(reference)) m_used.add(reference);
  ++m_statistics.keys_burnt;
  context.out.emplace_back(BurnKey{m_config.id, source, reference.key_id});
}

std::size_t PeerMachine::keys_held() const {
  std::size_t held = m_supply.count();
  if (m_attempt) held += m_attempt->keys().size() + m_attempt->fetch().keys_at_hand();
  if (m_answer.asking() != nullptr) held += m_answer.asking()->fetch.keys_at_hand();
  if (m_ahead) held += m_ahead->keys_at_hand();
  if (m_named_ahead) held += m_named_ahead->keys_at_hand();
  return held;
}

void PeerMachine::burn_expired(const Context& context) {
  for (const HeldKey& held : m_supply.take_expired(context.now))
    burn(held.reference, context);
}

void PeerMachine::put_named(HeldKey key, Duration kept, const Context& context) {
  key.expires = context.now + kept;
  if (const auto out = m_supply.put_named(std::move(key))) burn(out->reference, context);
}

void PeerMachine::put_own(HeldKey key, const Context& context) {
  if (m_supply.put_own(key))
    m_unannounced = true;
  else
    burn(key.reference, context);
}

Duration PeerMachine::late_key_kept() const {
  return std::max(2 * interval(), kLateKeyKept);
}

// A question of a moment ago is not asked twice; one that hangs for longer is.
void PeerMachine::ask(KeyFetch& fetch, std::uint8_t slot, const std::optional<KeyId>& key_id, const Context& context) {
  const KeySource& source = m_config.policy.sources[slot];
  if (auto late = m_supply.take_late(slot, key_id, context.now - kKmsDeadline))
    fetch.adopt(*std::move(late), source);
  else
    fetch.ask(slot, source, key_id, context);
}

void PeerMachine::progress(KeyFetch& fetch, const Context& context) {
  for (KeyFetch::Late& late : fetch.advance(context))
    m_supply.put_late(std::move(late));
}

// A round that nobody waits for any more: its keys are kept, and what is still out comes late.
void PeerMachine::shelve(KeyFetch& fetch, KeysOf whose, const Context& context) {
  for (KeyFetch::Late& late : fetch.outstanding())
    m_supply.put_late(std::move(late));
  for (HeldKey& held : fetch.take_keys())
    whose == KeysOf::us ? put_own(std::move(held), context) : put_named(std::move(held), late_key_kept(), context);
}

void PeerMachine::shelve_ahead(const Context& context) {
  if (m_ahead) shelve(*m_ahead, KeysOf::us, context);
  m_ahead.reset();
}

void PeerMachine::shelve_named_ahead(const Context& context) {
  if (m_named_ahead) shelve(*m_named_ahead, KeysOf::peer, context);
  m_named_ahead.reset();
}

// The round that a request belongs to; null for a late one.
KeyFetch* PeerMachine::round_of(KeyRequestId id) {
  KeyFetch* const rounds[] = {m_attempt ? &m_attempt->fetch() : nullptr,
                              m_answer.asking() != nullptr ? &m_answer.asking()->fetch : nullptr,
                              m_ahead ? &*m_ahead : nullptr, m_named_ahead ? &*m_named_ahead : nullptr};
  for (KeyFetch* round : rounds)
    if (round != nullptr && round->find(id)) return round;
  return nullptr;
}

// Whatever a KMS delivered is used, held, or burnt: no key vanishes.
void PeerMachine::key_fetched(KeyRequestId id, const KeyRequest& request, const KeyId& key_id, Secret<32> key,
                              const Context& context) {
  KeyFetch* round = round_of(id);
  const auto asked = round != nullptr ? round->find(id) : m_supply.take_late(id);
  // An answer that nobody waits for: the peer was reset or changed, or too many others came to be late since.
  const bool wanted = asked && is_right(*asked, key_id, key, context);
  if (!wanted) {
    burn({request.slot, request.source.kind, key_id, {}, 0}, request.source, context);
    if (round != nullptr) key_failed(id, KeyFailure::unavailable, context);
  } else if (round == nullptr) {
    late_key(*asked, key_id, std::move(key), context);
  } else {
    round->fetched(id, key_id, std::move(key), context.now + 2 * interval());
    note_kms_latency(context.now - asked->asked_at);
    advance(context);
  }
}

bool PeerMachine::is_right(const KeyFetch::Late& asked, const KeyId& key_id, const Secret<32>& key,
                           const Context& context) {
  if (is_degenerate(key)) {
    report(context, LogLevel::error, "key_refused", "the KMS delivered a key whose octets are all alike");
    return false;
  }
  if (asked.key_id ? *asked.key_id == key_id : note_fresh(asked.slot, key_id, context)) return true;
  report(context, LogLevel::error, "key_refused",
         "the KMS delivered another key than the one asked for, or an old one");
  return false;
}

// A fresh key must be one that we have not seen: false, with an alarm, when the KMS delivers one twice.
bool PeerMachine::note_fresh(std::uint8_t slot, const KeyId& key_id, const Context& context) {
  const KeyReference reference{slot, m_config.policy.sources[slot].kind, key_id, {}, 0};
  if (m_used.contains(reference)) {
    report(context, LogLevel::error, "key_repeated", "the KMS delivered a key that it had delivered before",
           {{"key_id", key_id.value()}});
    return false;
  }
  m_used.add(reference);
  return true;
}

void PeerMachine::late_key(const KeyFetch::Late& late, const KeyId& key_id, Secret<32> key, const Context& context) {
  HeldKey held{{late.slot, m_config.policy.sources[late.slot].kind, key_id, {}, 0},
               std::move(key),
               context.now + 2 * interval()};
  AnswerKeeper::Asking* asking = m_answer.asking();
  if (!late.key_id)
    put_own(std::move(held), context);
  else if (m_used.contains(held.reference))
    burn(held.reference, context);  // asked for twice, and delivered twice
  else if (asking == nullptr || !asking->fetch.put_if_wanted(held))
    put_named(std::move(held), late_key_kept(), context);
  advance(context);
}

void PeerMachine::key_failed(KeyRequestId id, KeyFailure failure, const Context& context) {
  KeyFetch* round = round_of(id);
  if (round == nullptr) {
    m_supply.take_late(id);
    return;
  }
  round->failed(id, failure, context.now);
  advance(context);
}

// The next epoch's keys are fetched as soon as the present one is confirmed and in use, and both ends hold them long
// before they are needed. At most one epoch ahead.
bool PeerMachine::fetch_ahead_wanted(TimePoint now) const {
  const Epoch* current = m_epochs.current();
  if (!m_regular || m_config.policy.sources.empty() || m_ahead || m_attempt) return false;
  if (current == nullptr || !current->confirmed || now >= current->dies) return false;
  return (current->carried || m_config.always_on) && m_supply.own_count() == 0;
}

void PeerMachine::progress_fetch_ahead(const Context& context) {
  if (m_named_ahead) {
    progress(*m_named_ahead, context);
    if (m_named_ahead->done(context.now)) shelve_named_ahead(context);
  }
  if (m_ahead) {
    progress(*m_ahead, context);
    if (!m_ahead->done(context.now)) return;
    m_ahead_not_before = m_ahead->keys_at_hand() == 0 ? context.now + kLastBackoff : context.now;
    shelve_ahead(context);
  }
  if (announcement_wanted(context.now)) announce_next_keys(context);
  if (!fetch_ahead_wanted(context.now) || context.now < m_ahead_not_before) return;
  m_ahead.emplace(m_config.id, context.now + kKmsDeadline);
  for (std::size_t slot = 0; slot < m_config.policy.sources.size(); ++slot)
    ask(*m_ahead, static_cast<std::uint8_t>(slot), std::nullopt, context);
}

// However a key came to wait for the next handshake: fetched ahead, late, or kept from an attempt.
bool PeerMachine::announcement_wanted(TimePoint now) const {
  const Epoch* current = m_epochs.current();
  if (!m_unannounced || !m_regular || m_ahead || m_attempt) return false;
  return current != nullptr && current->confirmed && now < current->dies && m_supply.own_count() != 0;
}

void PeerMachine::announce_next_keys(const Context& context) {
  m_unannounced = false;
  const NextKeys frame{m_supply.own_references()};
  send_frame({FrameKind::control}, write_control_frame(frame), context);
  send_frame({FrameKind::control}, write_control_frame(KeyRunway{key_runway().value_or(0)}), context);
}

void PeerMachine::fetch_named_ahead(const NextKeys& frame, const Context& context) {
  if (m_answer.asking() != nullptr || !m_announcement_rate.take(context.now)) return;
  shelve_named_ahead(context);
  m_named_ahead.emplace(m_config.id, context.now + kKmsDeadline);
  for (const KeyReference& reference : frame.keys)
    if (usable_reference(reference) && !m_supply.has_named(reference))
      ask(*m_named_ahead, reference.slot, reference.key_id, context);
}

// 0 says that the peer does not know it.
void PeerMachine::note_peer_runway(std::uint32_t seconds) {
  m_peer_runway = seconds == 0 ? std::nullopt : std::optional(seconds);
}

void PeerMachine::read_control_inbox(const Context& context) {
  const ControlInbox inbox = std::exchange(m_control_inbox, {});
  if (inbox.next_keys) fetch_named_ahead(*inbox.next_keys, context);
  if (inbox.runway) note_peer_runway(inbox.runway->seconds);
  // What an epoch lacked says nothing of the next.
  const bool lacks = inbox.lack && m_epochs.is_current(*inbox.lack);
  if (lacks && m_announcement_rate.take(context.now)) kms_failed(Lack::keys_there, context);
  if (inbox.mtu_probe) answer_probe(*inbox.mtu_probe, context);
  if (inbox.wish && m_regular && m_announcement_rate.take(context.now)) ask_rekey(context.now);
}

}  // namespace quipu::protocol
