// SPDX-License-Identifier: Apache-2.0
#include "protocol/peer_machine.h"

#include <algorithm>

namespace quipu::protocol {

PeerMachine::PeerMachine(PeerConfig config, const crypto::X25519PublicKey& own, const Carriage& carriage)
    : m_config(std::move(config)),
      m_regular(own < m_config.public_key),
      m_canonical_policy(m_config.policy.canonical(own, m_config.public_key)),
      m_wire_policy(policy_on_wire(m_canonical_policy)),
      m_endpoint(m_config.endpoint),
      m_cookies(m_config.public_key),
      m_path(carriage.mtu),
      m_tallies(carriage.lanes > 1 ? std::make_shared<LaneTallies>(carriage.lanes - 1U) : nullptr),
      m_initiation_rate(kRateInterval, kRateBurst),
      m_announcement_rate(kRateInterval, kRateBurst),
      m_pace(kRateInterval, kPaceBurst),
      m_qkd(m_config.policy.qkd == QkdUse::off ? QkdState::off : QkdState::ok) {
  apply_intervals();
}

void PeerMachine::reconfigure(PeerConfig config) {
  const bool moved = config.endpoint && config.endpoint != m_config.endpoint;
  m_renamed = !config.endpoint_name.empty() && (m_renamed || config.endpoint_name != m_config.endpoint_name);
  m_config = std::move(config);
  if (moved || !m_endpoint) m_endpoint = m_config.endpoint;
  m_not_before = {};
  apply_intervals();
}

void PeerMachine::apply_intervals() {
  const Duration interval = std::clamp<Duration>(m_config.rekey_interval / 4, kRateInterval, kRateIntervalAtMost);
  m_initiation_rate.set_interval(interval);
  m_announcement_rate.set_interval(interval);
  m_pace.set_interval(interval);
  m_answer.set_hold(m_config.rekey_interval);
}

void PeerMachine::report(const Context& context, LogLevel level, std::string_view event, std::string_view message,
                         std::vector<LogField> fields) const {
  context.out.emplace_back(ReportEvent{level, event, message, m_config.id, std::move(fields)});
}

void PeerMachine::report_mismatch(const Context& context) const {
  report(context, LogLevel::error, "policy_mismatch", "the two ends are configured differently: make them alike",
         {{"reason", m_mismatch}});
}

OwnTerms PeerMachine::own_terms() const {
  return {.terms = terms_of(m_config.policy, m_regular), .tunnel = m_config.tunnel, .is_low = m_regular};
}

void PeerMachine::set_qkd_state(QkdState state, std::string_view why, const Context& context) {
  if (state == m_qkd) return;
  const bool worse = state == QkdState::stretch || state == QkdState::block || state == QkdState::reduced;
  m_qkd = state;
  std::vector<LogField> fields{{"qkd", std::string(to_string(state))}};
  if (!why.empty()) fields.push_back({"reason", std::string(why)});
  report(context, worse ? LogLevel::warning : LogLevel::info, "qkd_state",
         state == QkdState::block ? "no QKD key to be had and no epoch left: data stops"
                                  : "the supply of QKD keys changed",
         std::move(fields));
}

QkdState PeerMachine::qkd_state_of(const Epoch& epoch) const {
  if (m_config.policy.qkd == QkdUse::off) return QkdState::off;
  const bool reduced = decide(m_config.policy, epoch.protection.qkd_keys, true) == KeyDecision::proceed_reduced;
  return reduced ? QkdState::reduced : QkdState::ok;
}

// Data that was blocked goes on when there are keys again; what waited is not for then.
void PeerMachine::block(std::string_view why, const Context& context) {
  set_qkd_state(QkdState::block, why, context);
  drop_queue(DropReason::blocked);
  m_traffic_waits.reset();
}

// There is nothing left to stretch.
void PeerMachine::no_epoch_left(std::string_view why, const Context& context) {
  if (m_qkd == QkdState::stretch) block(why, context);
}

// A handshake failed for want of keys: what that means is the policy's to say.
void PeerMachine::kms_failed(Lack lack, const Context& context) {
  const KeyDecision decision = decide(m_config.policy, 0, session_up(context.now));
  if (decision == KeyDecision::proceed || decision == KeyDecision::proceed_reduced) return;  // whatever the peer says
  ++m_statistics.kms_failures;
  m_lack = lack;
  m_last_kms_failure = context.now;
  if (decision == KeyDecision::stretch)
    set_qkd_state(QkdState::stretch, to_string(lack), context);
  else
    block(to_string(lack), context);
}

// One or two come too late to the other site, and are made good by the next.
void PeerMachine::keys_unknown(Lack lack, const Context& context) {
  if (++m_unknown_keys > kImmediateRetries) kms_failed(lack, context);
}

void PeerMachine::lack_is_over(const Context& context) {
  if (m_qkd != QkdState::stretch && m_qkd != QkdState::block) return;
  const Epoch* current = m_epochs.current();
  set_qkd_state(current != nullptr ? qkd_state_of(*current) : QkdState::ok, {}, context);
}

// When no handshake has lacked keys for long: a silent peer made one wanted, or a lack at the peer, and none is wanted
// any more. Whether there are keys, the next one will tell.
std::optional<TimePoint> PeerMachine::stretch_ends() const {
  if (m_qkd != QkdState::stretch || m_attempt || m_epochs.current() == nullptr || !m_last_kms_failure)
    return std::nullopt;
  return *m_last_kms_failure + kStretchForgotten;
}

void PeerMachine::forget_stretch(const Context& context) {
  if (const auto end = stretch_ends(); end && *end <= context.now) lack_is_over(context);
}

bool PeerMachine::is_silent(TimePoint now) const {
  const auto long_ago = [&](TimePoint at) { return now - at >= dead_after(); };
  const auto heard = std::max(m_last_received, m_last_word);
  if (heard && now - *heard < dead_after() + kLastBackoff) return false;  // of a refusal at each attempt, too
  if (m_attempt_failed || (m_unanswered_since && long_ago(*m_unanswered_since))) return true;
  return m_attempt && m_attempt->sent() && long_ago(m_attempt->begun());
}

// The percentile is kept, because the interval is asked for at every turn.
void PeerMachine::note_kms_latency(Duration latency) {
  m_statistics.kms.add(latency);
  m_kms_p99 = m_statistics.kms.percentile(99);
}

void PeerMachine::raise_alarm(const Context& context) {
  if (!m_epochs.newly_under_attack()) return;
  report(context, LogLevel::error, "failed_opens", "somebody sends packets for this tunnel that do not open");
}

bool PeerMachine::session_up(TimePoint now) const {
  return m_epochs.current() != nullptr && now < m_epochs.current()->dies;
}

// What this end has measured is its own: however long it waits, a rekey starts well inside of the age at which the
// other end's keys die. Those of the responder are half a round trip older, and are replaced one and a half after the
// start.
Duration PeerMachine::interval() const {
  const Duration needed = kRttsInInterval * m_rtt + m_kms_p99;
  const Duration inside = std::min<Duration>(max_key_age() * 2 / 3, max_key_age() - kRttsBeforeEnd * m_rtt);
  return std::max(m_config.rekey_interval, std::min(needed, inside));
}

Duration PeerMachine::max_key_age() const {
  if (m_config.max_key_age != Duration::zero()) return m_config.max_key_age;
  return kMaxKeyAgeInIntervals * m_config.rekey_interval;
}

Duration PeerMachine::previous_grace() const {
  const Duration n = m_config.rekey_interval;
  // What waits in a busy lane's socket is not overtaken by the first lane's confirmation.
  const Duration least = n < kPreviousGrace && !m_tallies ? kPreviousGraceShort : kPreviousGrace;
  return std::min(n, std::max(3 * m_rtt, least));
}

// When a keypair that waits for its first packet dies.
TimePoint PeerMachine::next_dies(TimePoint made, TimePoint now) const {
  return std::min(now + kNextLifetime, made + max_key_age());
}

Duration PeerMachine::dead_after() const {
  return std::max(kDeadSession, 3 * m_rtt);
}

// Seconds that the least stocked source lasts at one key per interval; nothing while no stock is known.
std::optional<std::uint32_t> PeerMachine::key_runway() const {
  std::optional<std::uint64_t> least;
  constexpr std::uint64_t kMost = 0xffffffff;
  const auto seconds = static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(interval()).count());
  for (std::size_t slot = 0; slot < m_config.policy.sources.size(); ++slot)
    if (m_stock[slot]) least = std::min(least.value_or(kMost), *m_stock[slot] * seconds);
  if (!least) return std::nullopt;
  return static_cast<std::uint32_t>(std::min(*least, kMost));
}

Result<void> PeerMachine::rekey_now(TimePoint now) {
  if (!m_endpoint) return fail(Errc::unavailable, m_config.name + ": no endpoint is known yet");
  if (m_attempt || m_answer.asking() != nullptr) return fail(Errc::busy, m_config.name + ": a handshake is under way");
  if (!m_regular && session_up(now))
    m_wish_due = now;
  else
    ask_rekey(now);
  return {};
}

// However often it is asked for, the peer takes so many in a time only.
void PeerMachine::ask_rekey(TimePoint now) {
  if (!m_rekey_asked) m_rekey_asked = std::max(now, m_pace.free_at());
}

void PeerMachine::permit_stamp_jump() {
  m_peer_stamps.permit();
  m_own_jump_permitted = true;
}

void PeerMachine::key_stock(std::uint8_t slot, std::optional<std::uint32_t> keys) {
  if (slot < m_config.policy.sources.size()) m_stock[slot] = keys;
}

void PeerMachine::endpoint_resolved(const Endpoint& endpoint) {
  const bool roamed = m_epochs.current() != nullptr && m_last_received.has_value();
  if (!m_endpoint || m_renamed || !roamed || (m_attempt && !m_attempt->life_seen())) m_endpoint = endpoint;
  m_renamed = false;
}

void PeerMachine::reset(const Context& context) {
  if (m_attempt) end_attempt(KeysGo::burn, context);
  shelve_asking(context);
  m_answer.drop();
  shelve_ahead(context);
  shelve_named_ahead(context);
  m_epochs.erase_all(context.shared.indices);
  for (const HeldKey& held : m_supply.take_everything())
    burn(held.reference, context);
  drop_queue(DropReason::queue_full);
  m_confirmation.reset();
  m_control_inbox = {};
  m_told = {};
  m_unanswered_since.reset();
  m_reply_since.reset();
  m_traffic_waits.reset();
  m_rekey_asked.reset();
  m_decision.reset();
  m_wish_due.reset();
  m_session_began = m_reply_now = m_abandon = false;
  no_epoch_left("the keys were erased", context);
}

void PeerMachine::advance(const Context& context) {
  if (m_abandon) abandon_attempt(context);
  const bool had_session = m_epochs.current() != nullptr;
  const bool in_use = had_session && m_epochs.current()->carried;
  m_epochs.expire(context.now, context.shared.indices);
  if (had_session && m_epochs.current() == nullptr) session_ended(in_use, context);
  if (m_epochs.current() == nullptr && !m_without_session) m_without_session = context.now;
  if (m_session_began && m_epochs.current() != nullptr) session_began(*m_epochs.current(), context);
  raise_alarm(context);
  burn_expired(context);
  read_control_inbox(context);
  progress_answer(context);
  progress_fetch_ahead(context);
  if (m_attempt) progress_attempt(context);
  forget_decision(context.now);
  if (const auto due = attempt_due(); due && *due <= context.now) begin_attempt(context);
  forget_stretch(context);
  flush_queue(context);
  progress_path(context);
  keep_alive(context);
  if (m_tallies) progress_lanes(context);
}

std::optional<TimePoint> PeerMachine::next_deadline(TimePoint now) const {
  std::optional<TimePoint> next;
  const auto consider = [&](std::optional<TimePoint> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  if (m_abandon || m_session_began || !m_control_inbox.empty()) consider(now);
  if (!m_without_session && m_epochs.current() == nullptr) consider(now);
  if (!m_queue.empty() && session_up(now) && m_endpoint) consider(now);
  consider(m_epochs.next_deadline());
  consider(m_supply.next_deadline());
  consider(m_answer.next_deadline());
  if (m_attempt) consider(m_attempt->next_deadline());
  if (m_ahead) consider(m_ahead->next_deadline());
  if (m_named_ahead) consider(m_named_ahead->next_deadline());
  if (m_attempt && !m_attempt->has_keys() && m_attempt->fetch().done(now)) consider(now);
  if (announcement_wanted(now)) consider(now);
  if (fetch_ahead_wanted(now)) consider(std::max(now, m_ahead_not_before));
  consider(attempt_due());
  consider(stretch_ends());
  consider(keepalive_due());
  consider(path_due(now));
  consider(m_tallies_due);
  return next;
}

PeerStatus PeerMachine::status(TimePoint now) const {
  PeerStatus out;
  out.id = m_config.id;
  out.name = m_config.name;
  out.public_key = m_config.public_key;
  out.endpoint = m_endpoint;
  out.session_up = session_up(now);
  if (const Epoch* current = m_epochs.current(); out.session_up) {
    out.confirmed = current->confirmed;
    out.initiator_of_epoch = current->initiator;
    out.epoch = m_epoch_number;
    out.protection = protection_text(current->protection.qkd_keys, current->protection.simulated);
    out.key_age = now - current->made;
  }
  out.handshake_under_way = m_attempt.has_value() || m_answer.asking() != nullptr;
  const bool wanted = m_attempt_failed || m_last_reject || !m_mismatch.empty() || !m_queue.empty() || attempt_reason();
  out.session_wanted = !out.session_up && wanted;
  out.silent = out.session_up && is_silent(now);
  out.unanswered = out.session_up && !out.silent && m_unanswered && m_attempt.has_value();
  out.last_reject = m_last_reject;
  out.mismatch = m_mismatch;
  out.qkd = m_qkd;
  out.lack = m_lack;
  if (m_last_received) out.last_received = now - *m_last_received;
  if (m_last_kms_failure) out.last_kms_failure = now - *m_last_kms_failure;
  out.rekey_interval = m_config.rekey_interval;
  out.effective_rekey_interval = interval();
  out.max_key_age = max_key_age();
  out.rtt = m_rtt;
  out.key_runway_s = key_runway();
  out.peer_key_runway_s = m_peer_runway;
  out.path_mtu = m_path.limit();
  out.queued_packets = m_queue.size();
  out.keys_held = keys_held();
  out.lanes = out.session_up ? m_epochs.current()->keypair->lanes() : 1;
  out.lanes_in_use = std::min(out.lanes, lanes_in_use());
  out.statistics = statistics_of_all_lanes();
  return out;
}

}  // namespace quipu::protocol
