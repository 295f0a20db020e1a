// SPDX-License-Identifier: Apache-2.0
// What the peer says in contact, and who of the association it is for.
#include <algorithm>

#include "kms/association.h"

namespace quipu::kms {

Result<void> Association::dispatch(const wire::Goodbye& m) {
  m_site.report(LogLevel::warning, "km_link_refused", "the peer closed the KM link",
                {{"peer", m_config.id.value()}, {"reason", std::string(wire::to_string(m.reason))}});
  // Who has not repeated our nonce knows nothing of copies: as after any other Goodbye, the next connection may do
  // better.
  if (m.reason == wire::GoodbyeReason::two_copies && m_contact.peer_is_alive()) {
    m_availability.refuse();
    m_site.alarm("this_kme_cloned",
                 "the peer has seen two copies of this KME; this run hands out no more keys of the pool: stop one copy "
                 "for good, then restart the other",
                 {{"peer", m_config.id.value()}});
  }
  // The connection ends with this message: nothing else is said on it.
  m_link.hang_up("closed by the peer: " + std::string(wire::to_string(m.reason)));
  return {};
}

Result<void> Association::dispatch(const wire::Close& m) {
  const LeaseRecord* lease = m_pool.find(m.lease);
  if (lease == nullptr) {
    m_link.send(wire::Closed{m.number, true});
    return {};
  }
  const bool was_closed = lease->closed_here;
  if (lease->holder == Holder::us)
    m_own.burn(m.lease);  // its keys can be fetched by nobody any more
  else
    m_opened.holder_closed(m.lease);
  m_pool.close_there(m.lease);
  const LeaseRecord* left = m_pool.find(m.lease);
  const bool closed = left == nullptr || left->closed_here;
  // That it is closed there may be lost: it would be asked again. So it waits for the turn's end, and others with it.
  if (closed && !was_closed) QUIPU_TRY(m_pool.commit());
  m_link.send(wire::Closed{m.number, closed});
  return {};
}

Result<void> Association::dispatch(const wire::Ping& m) {
  m_link.send(wire::Ack{m.number});
  return {};
}

Result<void> Association::dispatch(const wire::BlockStates& m) {
  const auto sent = m_link.take(m.number);
  if (const auto* offer = sent ? std::get_if<OfferSent>(&*sent) : nullptr)
    return m_accept.receive_states(offer->blocks, m.states);
  if (const auto* ask = sent ? std::get_if<VoidRequestSent>(&*sent) : nullptr)
    return m_accept.receive_states(ask->blocks, m.states);
  m_link.close(wire::GoodbyeReason::violation, "an answer to nothing that was asked");
  return {};
}

Result<void> Association::dispatch(const wire::Ack& m) {
  const auto sent = m_link.take(m.number);
  if (sent && std::holds_alternative<PingSent>(*sent)) return {};
  if (const auto* lease = sent ? std::get_if<LeaseSent>(&*sent) : nullptr) {
    m_own.acknowledged(lease->lease);
    return {};
  }
  if (const auto* open = sent ? std::get_if<OpenSent>(&*sent) : nullptr) {
    m_opened.open_acknowledged(open->lease);
    return {};
  }
  if (const auto* hop = sent ? std::get_if<RelayHopSent>(&*sent) : nullptr) {
    m_site.relay_events.emplace_back(RelayHopAnswered{m_config.id, hop->relay, {}});
    return {};
  }
  if (const auto* transfer = sent ? std::get_if<KeyTransferSent>(&*sent) : nullptr) {
    m_site.multicast_events.emplace_back(KeyTransferAnswered{transfer->transfer, {}});
    return {};
  }
  m_link.close(wire::GoodbyeReason::violation, "an answer to nothing that was asked");
  return {};
}

Result<void> Association::dispatch(const wire::Refused& m) {
  const auto sent = m_link.take(m.number);
  if (const auto* lease = sent ? std::get_if<LeaseSent>(&*sent) : nullptr) return m_own.refused(lease->lease, m.reason);
  if (const auto* open = sent ? std::get_if<OpenSent>(&*sent) : nullptr)
    return m_opened.open_refused(open->lease, m.reason);
  if (const auto* hop = sent ? std::get_if<RelayHopSent>(&*sent) : nullptr) {
    m_site.relay_events.emplace_back(RelayHopAnswered{m_config.id, hop->relay, m.reason});
    return {};
  }
  if (const auto* transfer = sent ? std::get_if<KeyTransferSent>(&*sent) : nullptr) {
    m_site.multicast_events.emplace_back(KeyTransferAnswered{transfer->transfer, m.reason});
    return {};
  }
  m_link.close(wire::GoodbyeReason::violation, "an answer to nothing that was asked");
  return {};
}

Result<void> Association::dispatch(const wire::Closed& m) {
  const auto sent = m_link.take(m.number);
  const auto* close = sent ? std::get_if<CloseSent>(&*sent) : nullptr;
  if (close == nullptr) {
    m_link.close(wire::GoodbyeReason::violation, "an answer to nothing that was asked");
    return {};
  }
  // Made durable at the turn's end, as above.
  if (m.closed_here && m_pool.find(close->lease) != nullptr) m_pool.close_there(close->lease);
  return {};
}

Result<void> Association::dispatch(const wire::Binding& m) {
  m_delivery.receive(m);
  return {};
}

Result<void> Association::dispatch(const wire::BindingAck& m) {
  m_delivery.receive(m);
  return {};
}

Result<void> Association::dispatch(const wire::DriverMessage& m) {
  // Names of links are the whole site's: a peer may speak to the devices that it shares with us, and to no others.
  const auto& sources = m_site.config.sources;
  const bool shared =
      std::ranges::any_of(sources, [&](const SourceConfig& s) { return s.name == m.source && s.peer == m_config.id; });
  if (shared)
    m_site.act(DeliverDriverMessage{m.source, m.message.clone()});
  else
    tell_unshared(m.source);
  return {};
}

}  // namespace quipu::kms
