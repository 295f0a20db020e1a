// SPDX-License-Identifier: Apache-2.0
// The initiator's side: when an attempt starts, what its messages do, how it ends.
#include <algorithm>
#include <bit>

#include "protocol/peer_machine.h"

namespace quipu::protocol {
namespace {

constexpr Duration kResolveAfter = 5s;
constexpr Duration kResolveInterval = 10s;
// An end that is not the regular initiator, and has nothing to send, leaves the first word to the other.
constexpr Duration kIrregularWait = 1s;

bool is_accepted(AcceptedKeys accepted, std::size_t i) {
  return ((accepted.value() >> i) & 1U) != 0;
}

}  // namespace

// Since when, or from when on, an attempt is wanted.
std::optional<TimePoint> PeerMachine::attempt_reason() const {
  const Epoch* current = m_epochs.current();
  if (current != nullptr && !current->confirmed) return current->made + kConfirmationDeadline;
  std::optional<TimePoint> reason;
  const auto consider = [&](std::optional<TimePoint> at) {
    if (at && (!reason || *at < *reason)) reason = at;
  };
  consider(m_traffic_waits);
  if (current == nullptr) {
    consider(m_rekey_asked);
    // Data that was blocked may go on when there are keys again: nobody has to send for that to be found out. Not where
    // each attempt burns a key, for the two KMSs do not know each other's.
    const bool burns = m_lack == Lack::unknown_here || m_lack == Lack::unknown_there;
    const bool always = m_config.always_on || m_config.persistent_keepalive != Duration::zero();
    if ((always || (m_qkd == QkdState::block && !burns)) && m_without_session)
      consider(*m_without_session + (m_regular ? Duration{} : kIrregularWait));
    return reason;
  }
  if (m_unanswered_since) consider(*m_unanswered_since + dead_after());
  if (!m_regular) return reason;
  consider(m_rekey_asked);
  if (!current->carried && !m_config.always_on) return reason;
  consider(current->made + interval() - m_rekey_jitter);
  if (current->keypair->wants_rekey()) consider(current->made);
  return reason;
}

std::optional<TimePoint> PeerMachine::attempt_due() const {
  if (m_attempt || m_answer.asking() != nullptr) return std::nullopt;
  auto due = attempt_reason();
  if (!due) return std::nullopt;
  due = std::max(*due, m_not_before);
  due = std::max(*due, m_answer.holds_back_until());
  if (!m_endpoint) {
    if (m_config.endpoint_name.empty()) return std::nullopt;
    due = std::max(*due, m_next_resolve);
  }
  return due;
}

// When nothing is wanted any more, or not yet. What takes the place of a want that is due goes on with its decision, as
// the end of a session does, at the regular initiator, that no rekey came in time for.
void PeerMachine::forget_decision(TimePoint now) {
  if (!m_decision || m_attempt) return;
  const auto reason = attempt_reason();
  if (!reason || *reason > now) m_decision.reset();
}

void PeerMachine::begin_attempt(const Context& context) {
  if (!m_endpoint) {
    m_next_resolve = context.now + kResolveInterval;
    context.out.emplace_back(ResolveEndpoint{m_config.id, m_config.endpoint_name});
    return;
  }
  m_next_resolve = context.now + kResolveAfter;
  shelve_ahead(context);
  if (!m_decision) m_decision = Decision{context.now};
  Attempt& attempt = m_attempt.emplace(m_config.id, context.now);
  for (std::size_t at = 0; at < m_config.policy.sources.size(); ++at) {
    const auto slot = static_cast<std::uint8_t>(at);
    if (auto held = m_supply.take_own(slot)) {
      attempt.fetch().put(*std::move(held));
      continue;
    }
    m_decision->warm = false;
    ask(attempt.fetch(), slot, std::nullopt, context);
  }
  progress_attempt(context);
}

void PeerMachine::progress_attempt(const Context& context) {
  if (!m_attempt->has_keys() && !gather_keys(context)) return;
  if (!m_attempt->sent() && !make_initiation(context)) return;
  if (context.now >= m_attempt->deadline()) {
    attempt_timed_out(context);
    return;
  }
  if (m_attempt->transmission_due(context.now)) transmit_initiation(context);
}

// True once the attempt has the keys that the policy asks for. Ends the attempt when it will not get them.
bool PeerMachine::gather_keys(const Context& context) {
  KeyFetch& fetch = m_attempt->fetch();
  progress(fetch, context);
  if (!fetch.done(context.now)) return false;
  const auto decision = decide(m_config.policy, fetch.keys_at_hand(), session_up(context.now));
  if (decision == KeyDecision::stretch || decision == KeyDecision::block) {
    end_attempt(KeysGo::keep, context);
    back_off(context.now);
    kms_failed(Lack::keys_here, context);
    send_frame({FrameKind::control}, write_control_frame(KeysLack{}), context);
    return false;
  }
  std::vector<QkdKey> keys;
  for (HeldKey& held : fetch.take_keys())
    keys.push_back(qkd_key(std::move(held), true));
  shelve(fetch, KeysOf::us, context);
  m_attempt->set_keys(std::move(keys));
  return true;
}

bool PeerMachine::make_initiation(const Context& context) {
  const auto stamp = context.shared.stamps.take();
  if (!stamp) return false;
  InitiationPayload payload{*stamp, m_config.tunnel, m_wire_policy, context.shared.lanes, {}};
  for (const QkdKey& key : m_attempt->keys())
    payload.keys.push_back(key.reference);
  const SessionIndex index = context.shared.indices.allocate(m_config.id, context.shared.rng);
  auto initiation =
      Initiation::create(context.shared.own, m_config.public_key, m_config.psk, index, payload, context.shared.rng);
  if (!initiation) {
    context.shared.indices.release(index);
    end_attempt(KeysGo::burn, context);
    back_off(context.now);
    report(context, LogLevel::error, "initiation_failed", "no handshake message could be made for this peer",
           {{"errc", std::string(quipu::to_string(initiation.error()))}});
    return false;
  }
  ++m_statistics.attempts;
  m_pace.spend(context.now);
  m_attempt->start(*std::move(initiation), *stamp, context.now);
  m_crossing_head = context.now;
  return true;
}

// Where the peer was may have become protected since the attempt began: it goes on, and speaks when the peer is found.
void PeerMachine::transmit_initiation(const Context& context) {
  if (m_attempt->transmissions() >= kUnansweredAtHome) look_elsewhere();
  if (m_endpoint) send_handshake(m_attempt->initiation().message(), *m_endpoint, context);
  m_attempt->transmitted(context.now, context.shared.rng);
  const bool by_name = !m_config.endpoint_name.empty() && (!m_endpoint || !m_attempt->life_seen());
  if (!by_name || context.now < m_next_resolve) return;
  m_next_resolve = context.now + kResolveInterval;
  context.out.emplace_back(ResolveEndpoint{m_config.id, m_config.endpoint_name});
}

void PeerMachine::attempt_timed_out(const Context& context) {
  const bool absent = !m_attempt->life_seen();
  m_mismatch.clear();
  report(context, LogLevel::warning, "handshake_timed_out",
         absent
             ? "the peer gave no sign of life: is it there, do the firewalls let UDP through, are both public keys and "
               "the pre-shared key right at both ends?"
             : "the peer is alive and did not answer the handshake",
         {{"endpoint", m_endpoint ? m_endpoint->text() : "-"}});
  end_attempt(KeysGo::burn, context);
  m_attempt_failed = true;
  m_unanswered = !absent;
  lack_is_over(context);  // there were keys: it is an answer that lacks
  if (!absent) return;
  // Whoever still wants the tunnel says so again: an absent peer costs nothing while nobody sends.
  drop_queue(DropReason::queue_full);
  m_traffic_waits.reset();
  m_unanswered_since.reset();
  m_rekey_asked.reset();
  m_decision.reset();
  if (m_epochs.current() == nullptr) return;
  m_epochs.current()->carried = false;
  if (m_epochs.current()->confirmed) return;
  m_epochs.erase_current(context.shared.indices);
  session_ended(false, context);
}

void PeerMachine::end_attempt(KeysGo keys, const Context& context) {
  m_unanswered = false;
  if (m_attempt->sent()) context.shared.indices.release(m_attempt->initiation().local());
  for (QkdKey& key : m_attempt->take_keys()) {
    // A key whose message 1 was never sent was named to nobody.
    if (keys == KeysGo::keep || !m_attempt->sent())
      put_own({key.reference, std::move(key.key), context.now + 2 * interval()}, context);
    else
      burn(key.reference, context);
  }
  shelve(m_attempt->fetch(), KeysOf::us, context);
  m_attempt.reset();
}

void PeerMachine::abandon_attempt(const Context& context) {
  m_abandon = false;
  if (m_attempt) end_attempt(KeysGo::burn, context);
}

void PeerMachine::back_off(TimePoint now) {
  m_not_before = now + m_backoff;
  m_backoff = std::min(m_backoff * 2, std::clamp(m_config.rekey_interval, kFirstBackoff, kLastBackoff));
}

void PeerMachine::retry_at_once_or_back_off(TimePoint now) {
  if (m_immediate_retries < kImmediateRetries)
    ++m_immediate_retries;
  else
    back_off(now);
}

bool PeerMachine::accepted_suffices(AcceptedKeys accepted) const {
  const std::size_t offered = m_attempt->keys().size();
  if ((accepted.value() >> offered) != 0) return false;
  const auto count = static_cast<std::size_t>(std::popcount(accepted.value()));
  return count >= m_config.policy.keys_needed();
}

void PeerMachine::handle_response(ByteView message, const Context& context) {
  if (m_abandon) abandon_attempt(context);
  const auto header = parse_response_header(message);
  if (!header || !m_attempt || !m_attempt->sent()) return;
  if (header->receiver != m_attempt->initiation().local() || !accepted_suffices(header->accepted)) return;
  std::vector<QkdKey> keys;
  for (std::size_t i = 0; i < m_attempt->keys().size(); ++i) {
    if (!is_accepted(header->accepted, i)) continue;
    const QkdKey& key = m_attempt->keys()[i];
    keys.push_back({key.reference, key.master, key.slave, key.key.clone()});
  }
  auto response = m_attempt->initiation().consume_response(message, keys);
  if (!response) {
    count_drop(DropReason::failed_open);
    // The peer lives, and holds another key under this key_ID. The attempt stays: whoever garbles one copy of a message
    // 2 must not end it. But its end is near.
    if (response.error() == Errc::conflict) m_attempt->sign_of_life(context.now);
    return;
  }
  note_peer_runway(response->payload.key_runway_s);
  install(std::move(response->secrets), header->accepted, context);
}

// An epoch that somebody asked for counts as one in use: its successor's keys are fetched ahead, and it is followed by
// one rekey at least.
void PeerMachine::install(SessionSecrets secrets, AcceptedKeys accepted, const Context& context) {
  Epoch epoch{std::make_shared<Keypair>(std::move(secrets), context.shared.key_limits),
              true,
              false,
              m_rekey_asked.has_value(),
              m_attempt->stamp(),
              ++m_order,
              context.now,
              context.now + max_key_age(),
              {}};
  const std::vector<QkdKey> keys = m_attempt->take_keys();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const KeyReference& reference = keys[i].reference;
    if (!is_accepted(accepted, i)) {
      burn(reference, context);
      continue;
    }
    ++epoch.protection.qkd_keys;
    ++m_statistics.keys_used;
    epoch.protection.simulated |= m_config.policy.sources[reference.slot].simulated;
  }
  QUIPU_ASSERT(m_decision.has_value());  // by begin_attempt(): whatever ends it ends the attempt first
  const Decision decision = *m_decision;
  Latencies& latencies = decision.warm ? m_statistics.rekey_warm : m_statistics.rekey_cold;
  m_attempt.reset();  // its index lives on in the keypair
  m_epochs.install(std::move(epoch), context.shared.indices);
  session_began(*m_epochs.current(), context);
  m_confirmation = Confirmation{context.now, context.now};
  flush_queue(context);
  keep_alive(context);
  latencies.add(context.now - decision.at);
}

void PeerMachine::handle_reject(ByteView message, const Context& context) {
  if (m_abandon) abandon_attempt(context);
  if (!m_attempt || !m_attempt->sent()) return;
  const auto reject = m_attempt->initiation().consume_reject(message);
  if (!reject) {
    count_drop(DropReason::failed_open);
    return;
  }
  ++m_statistics.rejects_received;
  m_last_word = context.now;
  m_mismatch.clear();
  tell_reject(reject->reason, context);
  obey_reject(*reject, context);
}

// Each reason once, until another one comes.
void PeerMachine::tell_reject(RejectReason reason, const Context& context) {
  const bool told = std::exchange(m_last_reject, reason) == reason;
  // All others are healed by the next attempt, or have a line of their own.
  const bool lacks_keys = reason == RejectReason::kms_unavailable;
  report(context,
         told         ? LogLevel::debug
         : lacks_keys ? LogLevel::warning
                      : LogLevel::info,
         "handshake_rejected", "the peer refused this handshake", {{"reason", std::string(to_string(reason))}});
}

void PeerMachine::obey_reject(const Reject& reject, const Context& context) {
  switch (reject.reason) {
    case RejectReason::key_unknown: keys_were_unknown(context); break;
    case RejectReason::expired:
      end_attempt(KeysGo::burn, context);
      retry_at_once_or_back_off(context.now);
      break;
    case RejectReason::kms_unavailable:
      end_attempt(KeysGo::keep, context);
      back_off(context.now);
      kms_failed(Lack::keys_there, context);
      break;
    case RejectReason::busy:
      end_attempt(KeysGo::keep, context);
      back_off(context.now);
      break;
    case RejectReason::policy_mismatch: policies_differ(reject, context); break;
    case RejectReason::stamp_stale: stamp_was_stale(reject, context); break;
  }
}

void PeerMachine::keys_were_unknown(const Context& context) {
  end_attempt(KeysGo::burn, context);
  retry_at_once_or_back_off(context.now);
  keys_unknown(Lack::unknown_there, context);
}

void PeerMachine::policies_differ(const Reject& reject, const Context& context) {
  m_mismatch = mismatch_told(own_terms(), reject);
  report_mismatch(context);
  end_attempt(KeysGo::burn, context);
  m_decision.reset();  // there can be no rekey before somebody has changed a configuration
  drop_queue(DropReason::blocked);
  m_not_before = context.now + kPolicyMismatchPause;
}

void PeerMachine::stamp_was_stale(const Reject& reject, const Context& context) {
  const bool sent_once = m_attempt->transmissions() == 1;
  StampSource& stamps = context.shared.stamps;
  if (!stamps.may_jump_above(reject.highest_stamp) && m_own_jump_permitted)
    m_own_jump_permitted = !stamps.permit_jump_above(reject.highest_stamp);
  if (!stamps.may_jump_above(reject.highest_stamp)) {
    end_attempt(KeysGo::burn, context);
    back_off(context.now);
    report(
        context, LogLevel::error, "stamp_jump_refused",
        "the peer has seen a stamp of ours far above any that we used: permit the jump if this machine was restored");
    return;
  }
  report(context, LogLevel::warning, "restored_or_cloned",
         "the peer has seen later stamps of ours: this machine was restored from a snapshot, or cloned");
  stamps.jump_above(reject.highest_stamp);
  end_attempt(sent_once ? KeysGo::keep : KeysGo::burn, context);
  retry_at_once_or_back_off(context.now);
}

}  // namespace quipu::protocol
