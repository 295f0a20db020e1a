// SPDX-License-Identifier: Apache-2.0
// The session: packets, confirmation of new keys, keepalives, and what an opened packet proves.
#include <algorithm>

#include "protocol/inner_packet.h"
#include "protocol/peer_machine.h"

namespace quipu::protocol {
Outcome<Sealed> PeerMachine::seal(const InnerPacket& packet, MutableBytes out, TimePoint now) {
  if (!session_up(now) || !m_endpoint) return queue(packet, now);
  m_path.use();
  const bool too_big = packet.octets.size() > m_path.limit();
  if (too_big && !may_be_fragmented(packet.octets)) {
    count_drop(DropReason::too_big);
    return std::unexpected(Errc::too_large);
  }
  Epoch& current = *m_epochs.current();
  const auto size = current.keypair->seal(kFirstLane, {FrameKind::ip, packet.checksum_partial}, packet.octets, out);
  if (!size) {
    if (size.error() == Errc::limit_reached) {
      count_drop(DropReason::key_limit);
      if (!m_traffic_waits) m_traffic_waits = now;
    }
    return std::unexpected(size.error());
  }
  note_sent_data(current, packet.octets.size(), now);
  return Sealed{m_config.id, *m_endpoint, *size, too_big};
}

std::unexpected<Errc> PeerMachine::queue(const InnerPacket& packet, TimePoint now) {
  if (!m_traffic_waits) m_traffic_waits = now;
  if (m_qkd == QkdState::block) {
    count_drop(DropReason::blocked);
    return std::unexpected(Errc::policy);
  }
  if (m_queue.push(packet)) count_drop(DropReason::queue_full);
  return std::unexpected(Errc::unavailable);
}

void PeerMachine::note_sent_data(Epoch& epoch, std::size_t size, TimePoint now) {
  ++m_statistics.tx_packets;
  m_statistics.tx_bytes += size;
  epoch.carried = true;
  if (!m_unanswered_since) m_unanswered_since = now;
  note_sent(now);
}

void PeerMachine::note_sent(TimePoint now) {
  m_last_sent = now;
  m_reply_since.reset();
  m_reply_now = false;
}

Outcome<Opened> PeerMachine::open(SessionIndex index, MutableBytes datagram, const Endpoint& from, Shared& shared,
                                  const AllowedIps& allowed, TimePoint now) {
  Epoch* epoch = m_epochs.find(index, now);
  if (epoch == nullptr) {
    count_drop(DropReason::expired_key);
    return std::unexpected(Errc::expired);
  }
  const auto frame = epoch->keypair->open(kFirstLane, datagram);
  if (!frame) {
    count_drop(drop_reason(frame.error()));
    return std::unexpected(frame.error());
  }
  const FrameKind kind = frame->header.kind;
  if (kind == FrameKind::ip) {
    epoch->carried = true;
    if (!m_reply_since) m_reply_since = now;
  }
  if (opened_under(*epoch, frame->newest, shared, now)) follow(from, allowed);
  if (kind == FrameKind::control) handle_control_frame(frame->payload, index, now);
  if (kind != FrameKind::ip) return Opened{m_config.id, {}, false, m_path.limit()};
  return deliver(*frame, allowed);
}

Outcome<Opened> PeerMachine::deliver(const OpenedFrame& frame, const AllowedIps& allowed) {
  if (const auto checked = allowed.check_source(frame.payload, m_config.id); !checked) {
    count_drop(drop_reason(checked.error()));
    return std::unexpected(checked.error());
  }
  ++m_statistics.rx_packets;
  m_statistics.rx_bytes += frame.payload.size();
  return Opened{m_config.id, frame.payload, frame.header.checksum_partial, m_path.limit()};
}

void PeerMachine::discard(std::size_t size, DropReason reason) {
  --m_statistics.rx_packets;
  m_statistics.rx_bytes -= size;
  count_drop(reason);
}

// Whether it says where the peer is now.
bool PeerMachine::opened_under(Epoch& epoch, bool newest, Shared& shared, TimePoint now) {
  m_last_received = now;
  m_attempt_failed = false;
  m_unanswered_since.reset();
  if (m_attempt) m_attempt->sign_of_life(now);
  bool is_current = m_epochs.is_current(epoch);
  if (m_epochs.is_next(epoch)) {
    is_current = first_packet_under_next(epoch, shared, now);
  } else if (is_current && !epoch.confirmed) {
    confirmation_answered(now);
    current_confirmed(now);
  }
  return is_current && newest;
}

// The peer is known to hold the keypair that we made.
void PeerMachine::current_confirmed(TimePoint now) {
  m_epochs.confirm_current(now + previous_grace());
  m_own_jump_permitted = false;
  m_confirmation.reset();
}

// Not into a protected prefix: our datagrams would be routed into the tunnel, which whoever repeats the peer's newest
// packet from a forged address could then bring about.
void PeerMachine::follow(const Endpoint& from, const AllowedIps& allowed) {
  m_elsewhere.reset();
  if (from != m_endpoint && !allowed.find(from.address)) m_endpoint = from;
}

void PeerMachine::leave_protected_endpoint(const AllowedIps& allowed) {
  if (m_endpoint && m_endpoint != m_config.endpoint && allowed.find(m_endpoint->address))
    m_endpoint = m_config.endpoint;
}

// The peer holds the keypair that we made for its message 1.
bool PeerMachine::first_packet_under_next(const Epoch& epoch, Shared& shared, TimePoint now) {
  m_answer.confirmed();
  m_peer_stamps.confirm(epoch.stamp);
  m_abandon = m_attempt.has_value();
  if (!m_epochs.promote_next(++m_order, epoch.made + max_key_age(), now + previous_grace(), shared.indices))
    return false;
  m_confirmation.reset();
  m_reply_now = true;
  m_session_began = true;
  return true;
}

// Our first packet under the new keys was answered. Since it was repeated, perhaps, this is a round trip or more: the
// least of the last few is taken for the truth.
void PeerMachine::confirmation_answered(TimePoint now) {
  if (!m_confirmation) return;
  m_round_trips[m_round_trip_count++ % m_round_trips.size()] = now - m_confirmation->first_sent;
  const std::size_t kept = std::min(m_round_trip_count, m_round_trips.size());
  m_rtt = *std::ranges::min_element(std::span(m_round_trips).first(kept));
}

void PeerMachine::handle_control_frame(ByteView payload, SessionIndex under, TimePoint now) {
  auto frame = parse_control_frame(payload);
  if (!frame) {
    if (frame.error() != Errc::unsupported) count_drop(DropReason::malformed);
  } else if (const auto* answer = std::get_if<MtuAnswer>(&*frame)) {
    m_path.answered(answer->id, now);
  } else if (!std::holds_alternative<KeysLack>(*frame) || m_epochs.is_current(under)) {
    // A late lack of the epoch before does not push out one of the present.
    m_control_inbox.put(*std::move(frame), under);
  }
}

void PeerMachine::handle_cookie_reply(ByteView message, TimePoint now) {
  // What is not an answer to our last message is not believed, and needs no count: anybody could send it.
  [[maybe_unused]] const auto believed = m_cookies.consume_reply(message, now);
}

void PeerMachine::session_began(const Epoch& epoch, const Context& context) {
  m_session_began = false;
  const bool first = m_without_session.has_value();
  if (first) m_path_to.reset();
  m_without_session.reset();
  m_attempt_failed = m_unanswered = false;
  m_traffic_waits.reset();
  m_rekey_asked.reset();
  m_decision.reset();
  m_unanswered_since.reset();
  m_not_before = {};
  m_backoff = kFirstBackoff;
  m_immediate_retries = m_unknown_keys = 0;
  m_last_reject.reset();
  m_mismatch.clear();
  m_rekey_jitter = random_duration(m_config.rekey_interval / kRekeyJitterDivisor, context.shared.rng);
  ++m_epoch_number;
  ++m_statistics.epochs;
  const std::string protection = protection_text(epoch.protection.qkd_keys, epoch.protection.simulated);
  report(context, first ? LogLevel::info : LogLevel::debug, first ? "session_up" : "rekeyed",
         first ? "the tunnel is up" : "new keys are in use",
         {{"epoch", std::to_string(m_epoch_number)}, {"protection", protection}});
  const QkdState supply = qkd_state_of(epoch);
  if (supply == QkdState::reduced) {
    ++m_statistics.reduced_epochs;
    report(context, LogLevel::warning, "epoch_reduced", "this epoch has fewer QKD keys than sources",
           {{"epoch", std::to_string(m_epoch_number)}, {"protection", protection}});
  }
  set_qkd_state(supply, {}, context);
}

// An epoch that was in use should have been followed by another: whoever starts handshakes has failed, or has forgotten
// where we are.
void PeerMachine::session_ended(bool in_use, const Context& context) {
  if (in_use && !m_traffic_waits) m_traffic_waits = context.now;
  m_confirmation.reset();
  m_unanswered_since.reset();
  m_reply_since.reset();
  m_reply_now = false;
  report(context, LogLevel::info, "session_expired",
         "the last keys of this tunnel reached their age, or were never confirmed, and were erased");
  no_epoch_left("the last keys reached their age", context);
}

bool PeerMachine::send_frame(FrameHeader header, ByteView payload, const Context& context) {
  note_sent(context.now);
  return transmit(header, payload, context);
}

bool PeerMachine::transmit(FrameHeader header, ByteView payload, const Context& context) {
  if (!session_up(context.now) || !m_endpoint) return false;
  Bytes datagram(payload.size() + kDataOverhead);
  const auto size = m_epochs.current()->keypair->seal(kFirstLane, header, payload, datagram);
  if (!size) return false;
  datagram.resize(*size);
  const bool too_big = header.kind == FrameKind::ip && payload.size() > m_path.limit();
  context.out.emplace_back(SendDatagram{m_config.id, *m_endpoint, std::move(datagram), false, too_big});
  return true;
}

void PeerMachine::flush_queue(const Context& context) {
  if (m_queue.empty() || !session_up(context.now) || !m_endpoint) return;
  for (const PacketQueue::Waiting& packet : m_queue.take_all()) {
    m_path.use();
    if (packet.octets.size() > m_path.limit() && !may_be_fragmented(packet.octets))
      count_drop(DropReason::too_big);
    else if (send_frame({FrameKind::ip, packet.checksum_partial}, packet.octets, context))
      note_sent_data(*m_epochs.current(), packet.octets.size(), context.now);
    else
      count_drop(DropReason::key_limit);
  }
}

void PeerMachine::drop_queue(DropReason reason) {
  m_statistics.drops[static_cast<std::size_t>(reason)] += m_queue.take_all().size();
}

std::optional<TimePoint> PeerMachine::keepalive_due() const {
  const Epoch* current = m_epochs.current();
  if (current == nullptr || !m_endpoint) return std::nullopt;
  std::optional<TimePoint> due;
  const auto consider = [&](TimePoint at) { due = due ? std::min(*due, at) : at; };
  if (m_reply_now) consider(*m_last_received);
  if (m_wish_due) consider(*m_wish_due);
  if (m_reply_since) consider(*m_reply_since + kKeepalive);
  if (m_confirmation && m_confirmation->next < m_confirmation->first_sent + kConfirmationDeadline)
    consider(m_confirmation->next);
  if (m_config.persistent_keepalive != Duration::zero()) consider(m_last_sent + m_config.persistent_keepalive);
  return due;
}

void PeerMachine::keep_alive(const Context& context) {
  const auto due = keepalive_due();
  if (!due || *due > context.now) return;
  if (m_wish_due && *m_wish_due <= context.now) {
    m_wish_due.reset();
    send_frame({FrameKind::control}, write_control_frame(RekeyWish{}), context);
    return;
  }
  if (m_confirmation && m_confirmation->next <= context.now) {
    m_confirmation->next = context.now + m_confirmation->wait;
    m_confirmation->wait *= 2;
  }
  send_frame({FrameKind::keepalive}, {}, context);
}

}  // namespace quipu::protocol
