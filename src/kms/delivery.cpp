// SPDX-License-Identifier: Apache-2.0
#include "kms/delivery.h"

#include <algorithm>

namespace quipu::kms {

void Delivery::reply(RequestId request, EtsiReply reply) {
  m_site.act(ReplyEtsi{request, std::move(reply)});
}

EtsiReply Delivery::hand_out(etsi::KeyContainer container, AuditDelivery audit) {
  container.simulated = m_pool.simulated();
  m_delivered_keys += container.keys.size();
  for (const etsi::Key& key : container.keys) {
    m_delivered_octets += key.bytes.size();
    m_spent_octets += (key.bytes.size() + kSlotSize - 1) / kSlotSize * kSlotSize;
  }
  m_site.act(std::move(audit));
  return container;
}

etsi::ApiError Delivery::not_serving() const {
  return unavailable("no keys now: there is no contact with KME " + m_peer.id.value());
}

void Delivery::enc_keys(RequestId request, const SaeId& master, const etsi::EncKeysCall& call) {
  const auto demand = demand_of(call.request, m_site.config.limits);
  if (!demand) return reply(request, demand.error());
  auto slaves = slaves_of(call, m_peer, m_site.config.limits);
  if (!slaves) return reply(request, slaves.error());
  // First come, first served.
  begin(request, EncWait{master, std::move(*slaves), *demand}, !waiting().has_value());
}

void Delivery::dec_keys(RequestId request, const SaeId& slave, const etsi::DecKeysCall& call) {
  auto ids = key_ids_of(call, m_site.config.limits);
  if (!ids) return reply(request, ids.error());
  begin(request, DecWait{call.master, slave, call.key_ids.ids, std::move(*ids)}, true);
}

void Delivery::begin(RequestId request, std::variant<EncWait, DecWait> what, bool at_once) {
  if (at_once)
    if (auto answer = std::visit([&](const auto& wait) { return attempt(wait, false); }, what))
      return reply(request, std::move(*answer));
  m_waiting.push_back({request, std::move(what), m_site.now + kMaxWait});
}

bool Delivery::uses_reserve(const SaeId& sae) const {
  const auto terms = m_site.config.terms.find(sae);
  return terms != m_site.config.terms.end() && terms->second.uses_reserve;
}

std::uint64_t Delivery::obtainable_octets(bool with_reserve) const {
  if (!m_availability.serving(m_site.now)) return 0;
  const std::uint64_t there = (m_link.up() ? m_pool.books().stock : 0) + m_own.ready_slots() * kSlotSize;
  const std::uint64_t reserve = with_reserve ? 0 : m_peer.reserve_octets;
  return there - std::min(there, reserve);
}

std::optional<etsi::ApiError> Delivery::over_budget(const EncWait& wait) const {
  const std::uint64_t bits = std::uint64_t{wait.demand.number} * wait.demand.size_bits;
  if (!m_site.rates.may_ever(wait.master, bits)) return bad_request("more than this SAE's rate allows at once");
  if (!m_site.rates.allows(wait.master, bits, m_site.now))
    return unavailable("this SAE has drawn what its rate allows; ask again later");
  if (m_peer.reserve_octets == 0 || uses_reserve(wait.master)) return std::nullopt;
  if (obtainable_octets(wait.master) >= std::uint64_t{wait.demand.slots()} * kSlotSize) return std::nullopt;
  return unavailable("not enough key material available; the rest of it is reserved");
}

std::optional<EtsiReply> Delivery::attempt(const EncWait& wait, bool last) {
  if (!m_availability.serving(m_site.now)) return not_serving();
  if (auto error = over_budget(wait)) return *std::move(error);
  auto carved = m_own.carve(wait.demand);
  if (!carved) {
    if (!last && m_link.up() && m_own.could_meet(wait.demand)) return std::nullopt;
    return unavailable("not enough key material available");
  }
  m_site.rates.spend(wait.master, std::uint64_t{wait.demand.number} * wait.demand.size_bits, m_site.now);
  etsi::KeyContainer container;
  AuditDelivery audit{m_peer.id, wait.master, true, wait.slaves, {}};
  for (CarvedKey& key : *carved) {
    bind(key, wait);
    audit.key_ids.push_back(key.key_id);
    container.keys.push_back({KeyId(key.key_id.text()), std::move(key.key)});
  }
  return hand_out(std::move(container), std::move(audit));
}

void Delivery::bind(const CarvedKey& key, const EncWait& wait) {
  wire::Binding binding;
  binding.number = wire::BindingNumber(++m_last_binding);
  binding.lease = key.lease;
  binding.slot = key.slot;
  binding.slots = key.slots;
  binding.size_bits = wait.demand.size_bits;
  binding.master = wait.master;
  binding.slaves = wait.slaves;
  if (m_link.up()) m_link.send(binding);
  m_unacknowledged.push_back({std::move(binding), m_site.now});
}

std::optional<EtsiReply> Delivery::attempt(const DecWait& wait, bool last) {
  using enum OpenedLeases::Finding;
  if (!m_availability.serving(m_site.now)) return not_serving();
  bool awaited = false;
  bool foreign = false;
  for (const Uuid& id : wait.ids) {
    const auto finding = m_opened.look_up(id, wait.master, wait.slave);
    if (finding == unknown) return bad_request(std::string(etsi::kKeysNotFound));
    awaited = awaited || finding == waiting;
    foreign = foreign || finding == refused;
  }
  if (foreign) return unauthorised();
  if (awaited) {
    if (!m_link.up()) return not_serving();
    if (!last) return std::nullopt;
    return bad_request(std::string(etsi::kKeysNotFound));
  }
  etsi::KeyContainer container;
  for (std::size_t i = 0; i < wait.ids.size(); ++i)
    container.keys.push_back({wait.asked[i], m_opened.fetch(wait.ids[i], wait.slave)});
  return hand_out(std::move(container), {m_peer.id, wait.slave, false, {wait.master}, wait.ids});
}

void Delivery::retry() {
  bool enc_waits = false;  // an earlier enc_keys still does
  for (auto it = m_waiting.begin(); it != m_waiting.end();) {
    const auto current = it++;
    const bool enc = std::holds_alternative<EncWait>(current->what);
    const bool last = m_site.now >= current->until;
    if (enc && enc_waits && !last) continue;
    auto answer = std::visit([&](const auto& wait) { return attempt(wait, last); }, current->what);
    if (answer) {
      reply(current->request, std::move(*answer));
      m_waiting.erase(current);
    } else {
      enc_waits = enc_waits || enc;
    }
  }
}

void Delivery::cancel(RequestId request) {
  m_waiting.remove_if([&](const Waiting& waiting) { return waiting.request == request; });
}

void Delivery::handle_timeout() {
  if (m_link.up() && !m_unacknowledged.empty() && m_site.now >= m_unacknowledged.front().sent + kAnswerTimeout)
    m_link.close(wire::GoodbyeReason::timeout, "a binding was not acknowledged in time");
  acknowledge_bindings();
  retry();
}

std::optional<TimePoint> Delivery::next_deadline() const {
  std::optional<TimePoint> next = m_ack_due;
  if (!m_waiting.empty()) next = next ? std::min(*next, m_waiting.front().until) : m_waiting.front().until;
  if (m_link.up() && !m_unacknowledged.empty()) {
    const TimePoint due = m_unacknowledged.front().sent + kAnswerTimeout;
    next = next ? std::min(*next, due) : due;
  }
  return next;
}

std::optional<Demand> Delivery::waiting() const {
  for (const Waiting& waiting : m_waiting)
    if (const auto* enc = std::get_if<EncWait>(&waiting.what)) return enc->demand;
  return std::nullopt;
}

void Delivery::receive(const wire::Binding& message) {
  if (message.number.value() > m_received_binding) {
    m_received_binding = message.number.value();
    m_opened.bind(message);
  }
  if (!m_ack_due) m_ack_due = m_site.now + kMaxAckDelay;
}

void Delivery::acknowledge_bindings() {
  if (!m_ack_due || m_site.now < *m_ack_due) return;
  m_ack_due.reset();
  if (m_link.up()) m_link.send(wire::BindingAck{wire::BindingNumber(m_received_binding)});
}

void Delivery::receive(const wire::BindingAck& message) {
  while (!m_unacknowledged.empty() && m_unacknowledged.front().binding.number <= message.number)
    m_unacknowledged.pop_front();
}

void Delivery::contact(bool peer_restarted) {
  m_ack_due.reset();  // the peer repeats what was not acknowledged
  if (peer_restarted) {
    m_unacknowledged.clear();
    m_received_binding = 0;
  }
  for (Unacknowledged& each : m_unacknowledged) {
    each.sent = m_site.now;
    m_link.send(each.binding);
  }
}

}  // namespace quipu::kms
