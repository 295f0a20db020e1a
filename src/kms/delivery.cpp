// SPDX-License-Identifier: Apache-2.0
#include "kms/delivery.h"

#include <algorithm>

namespace quipu::kms {
namespace {

// Of the stock: a key takes whole slots of it, however short it is.
std::uint64_t taken_bits(const Demand& demand) {
  return std::uint64_t{demand.slots()} * kSlotSize * 8;
}

}  // namespace

void Delivery::reply(RequestId request, EtsiReply reply) {
  m_site.act(ReplyEtsi{request, std::move(reply)});
}

EtsiReply Delivery::hand_out(etsi::KeyContainer container, AuditDelivery audit) {
  container.simulated = container.simulated || m_pool.simulated() || m_transferred.simulated();
  m_delivered_keys += container.keys.size();
  for (const etsi::Key& key : container.keys)
    m_delivered_octets += key.bytes.size();
  m_site.act(std::move(audit));
  return container;
}

etsi::ApiError Delivery::not_serving() const {
  return unavailable("no keys now: there is no contact with KME " + m_peer.id.value());
}

void Delivery::enc_keys(RequestId request, KeyOrder order) {
  // First come, first served.
  begin(request, std::move(order), !waiting().has_value());
}

void Delivery::dec_keys(RequestId request, const SaeId& slave, const etsi::DecKeysCall& call, std::vector<Uuid> ids) {
  begin(request, DecWait{call.master, slave, call.key_ids.ids, std::move(ids)}, true);
}

void Delivery::begin(RequestId request, std::variant<KeyOrder, DecWait> what, bool at_once) {
  if (at_once && std::visit([&](auto& each) { return serve(request, each, false); }, what)) return;
  m_waiting.push_back({request, std::move(what), m_site.now + kMaxWait});
}

const SaeTerms& Delivery::terms_of(const SaeId& sae) const {
  static const SaeTerms kNone;
  const auto terms = m_site.config.terms.find(sae);
  return terms == m_site.config.terms.end() ? kNone : terms->second;
}

std::optional<etsi::ApiError> Delivery::over_quota(const KeyOrder& order) const {
  const SaeQuotas& quotas = m_site.quotas;
  if (!quotas.limits(order.master)) return std::nullopt;
  const std::uint32_t keys = order.demand.number;
  if (!quotas.may_ever(order.master, keys)) return bad_request("more keys than this SAE may leave unfetched");
  const bool allowed =
      quotas.allows(order.master, m_peer.id, keys) && std::ranges::all_of(order.further, [&](const auto& each) {
        return quotas.allows(order.master, each.first, keys);
      });
  if (allowed) return std::nullopt;
  return unavailable(
      "this SAE has as many keys as it may leave unfetched; ask again when their slaves have fetched them");
}

std::uint64_t Delivery::obtainable_octets(bool with_reserve) const {
  if (!m_availability.serving(m_site.now)) return 0;
  const std::uint64_t there = (m_link.up() ? m_pool.key_octets() : 0) + m_own.ready_slots() * kSlotSize;
  const std::uint64_t reserve = with_reserve ? 0 : m_peer.reserve_octets;
  return there - std::min(there, reserve);
}

std::uint64_t Delivery::obtainable_keys(const SaeId& master, std::uint32_t size_bits) const {
  const std::uint32_t slots = Demand{1, size_bits}.slots_per_key();
  const std::uint64_t there = (m_link.up() ? m_pool.keys(slots) : 0) + m_own.ready_keys(size_bits);
  return std::min(there, obtainable_octets(master) / (std::uint64_t{slots} * kSlotSize));
}

std::optional<etsi::ApiError> Delivery::over_budget(const KeyOrder& order) const {
  const std::uint64_t bits = taken_bits(order.demand);
  if (auto error = over_quota(order)) return error;
  if (!m_site.rates.may_ever(order.master, bits)) return bad_request("more than this SAE's rate allows at once");
  if (!m_site.rates.allows(order.master, bits, m_site.now))
    return unavailable("this SAE has drawn what its rate allows; ask again later");
  if (m_peer.reserve_octets == 0 || terms_of(order.master).uses_reserve) return std::nullopt;
  if (obtainable_octets(order.master) >= std::uint64_t{order.demand.slots()} * kSlotSize) return std::nullopt;
  return unavailable("not enough key material available; the rest of it is reserved");
}

bool Delivery::serve(RequestId request, KeyOrder& order, bool last) {
  auto keys = carve(order, last);
  if (!keys) return false;
  if (!*keys) {
    reply(request, std::move(keys->error()));
  } else if (order.further.empty()) {
    reply(request, hand_out(order, **keys, false));
  } else {
    m_own.keep_open(**keys);
    m_site.multicast_events.emplace_back(KeysCarved{m_peer.id, request, std::move(order), std::move(**keys)});
  }
  return true;
}

std::optional<std::expected<std::vector<CarvedKey>, etsi::ApiError>> Delivery::carve(const KeyOrder& order, bool last) {
  if (!m_availability.serving(m_site.now)) return std::unexpected(not_serving());
  const std::size_t bindings = order.demand.number * wire::binding_size(order.master, order.slaves);
  if (m_unacknowledged_octets + bindings > kMaxUnacknowledged)
    return std::unexpected(
        unavailable("no keys now: KME " + m_peer.id.value() + " does not acknowledge who may fetch them"));
  if (auto error = over_budget(order)) return std::unexpected(*std::move(error));
  auto carved = m_own.carve(order.demand);
  if (!carved) {
    if (!last && m_link.up() && m_own.could_meet(order.demand)) return std::nullopt;
    return std::unexpected(unavailable("not enough key material available"));
  }
  m_site.rates.spend(order.master, taken_bits(order.demand), m_site.now);
  m_site.quotas.give(order.master, m_peer.id, order.demand.number);
  for (const auto& [peer, slaves] : order.further)
    m_site.quotas.give(order.master, peer, order.demand.number);
  return *std::move(carved);
}

EtsiReply Delivery::hand_out(const KeyOrder& order, std::vector<CarvedKey>& keys, bool simulated) {
  etsi::KeyContainer container;
  container.simulated = simulated;
  AuditDelivery audit{m_peer.id, order.master, true, order.slaves, {}};
  for (const auto& [peer, slaves] : order.further)
    audit.named.insert(audit.named.end(), slaves.begin(), slaves.end());
  for (CarvedKey& key : keys) {
    bind(key, order);
    audit.key_ids.push_back(key.key_id);
    container.keys.push_back({KeyId(key.key_id.text()), std::move(key.key)});
  }
  return hand_out(std::move(container), std::move(audit));
}

bool Delivery::hand_out_kept(RequestId request, const KeyOrder& order, std::vector<CarvedKey>& keys, bool simulated) {
  if (!m_availability.serving(m_site.now) || !m_own.are_open(keys)) return false;
  m_own.release(keys, true);
  reply(request, hand_out(order, keys, simulated));
  return true;
}

void Delivery::give_up_kept(const KeyOrder& order, const std::vector<CarvedKey>& keys) {
  m_own.release(keys, false);
  m_site.quotas.settle(order.master, m_peer.id, order.demand.number);
}

void Delivery::bind(const CarvedKey& key, const KeyOrder& order) {
  wire::Binding binding;
  binding.number = wire::BindingNumber(++m_last_binding);
  binding.lease = key.lease;
  binding.slot = key.slot;
  binding.slots = key.slots;
  binding.size_bits = order.demand.size_bits;
  binding.master = order.master;
  binding.slaves = order.slaves;
  binding.is_counted = m_site.quotas.limits(order.master);
  if (m_link.up()) m_link.send(binding);
  const std::size_t octets = wire::binding_size(order.master, order.slaves);
  m_unacknowledged_octets += octets;
  m_unacknowledged.push_back({std::move(binding), octets, m_site.now});
}

bool Delivery::serve(RequestId request, const DecWait& wait, bool last) {
  auto answer = attempt(wait, last);
  if (answer) reply(request, std::move(*answer));
  return answer.has_value();
}

OpenedLeases::Finding Delivery::look_up(const Uuid& key_id, const DecWait& wait) const {
  const auto finding = m_transferred.look_up(key_id, wait.master, wait.slave);
  return finding != OpenedLeases::Finding::unknown ? finding : m_opened.look_up(key_id, wait.master, wait.slave);
}

SecretBytes Delivery::fetch(const Uuid& key_id, const DecWait& wait) {
  const auto finding = m_transferred.look_up(key_id, wait.master, wait.slave);
  return finding == OpenedLeases::Finding::granted ? m_transferred.fetch(key_id, wait.slave)
                                                   : m_opened.fetch(key_id, wait.slave);
}

std::optional<EtsiReply> Delivery::attempt(const DecWait& wait, bool last) {
  using enum OpenedLeases::Finding;
  if (!m_availability.serving(m_site.now)) return not_serving();
  bool awaited = false;
  bool foreign = false;
  for (const Uuid& id : wait.ids) {
    const auto finding = look_up(id, wait);
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
    container.keys.push_back({wait.asked[i], fetch(wait.ids[i], wait)});
  return hand_out(std::move(container), {m_peer.id, wait.slave, false, {wait.master}, wait.ids});
}

void Delivery::retry() {
  bool enc_waits = false;  // an earlier enc_keys still does
  for (auto it = m_waiting.begin(); it != m_waiting.end();) {
    const auto current = it++;
    const bool enc = std::holds_alternative<KeyOrder>(current->what);
    const bool last = m_site.now >= current->until;
    if (enc && enc_waits && !last) continue;
    if (std::visit([&](auto& each) { return serve(current->request, each, last); }, current->what))
      m_waiting.erase(current);
    else
      enc_waits = enc_waits || enc;
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
    if (const auto* order = std::get_if<KeyOrder>(&waiting.what)) return order->demand;
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
  if (!m_link.up()) return;
  std::vector<wire::UnfetchedKeys> counts = m_counts.take_news();
  // What is acknowledged is counted there no more, so that waits until all counts are told.
  while (counts.size() > wire::kMaxUnfetchedCounts) {
    const auto part = counts.end() - wire::kMaxUnfetchedCounts;
    m_link.send(wire::BindingAck{wire::BindingNumber(m_told_binding), {part, counts.end()}});
    counts.erase(part, counts.end());
  }
  m_told_binding = m_received_binding;
  m_link.send(wire::BindingAck{wire::BindingNumber(m_told_binding), std::move(counts)});
}

void Delivery::tell_fetched() {
  if (m_link.up() && m_counts.has_news() && !m_ack_due) m_ack_due = m_site.now + kMaxAckDelay;
}

void Delivery::receive(const wire::BindingAck& message) {
  forget_acknowledged(message.number);
  for (const wire::UnfetchedKeys& count : message.unfetched)
    m_site.quotas.told(count.master, m_peer.id, count.keys);
}

void Delivery::forget_acknowledged(wire::BindingNumber up_to) {
  while (!m_unacknowledged.empty() && m_unacknowledged.front().binding.number <= up_to) {
    const wire::Binding& binding = m_unacknowledged.front().binding;
    if (binding.is_counted) m_site.quotas.settle(binding.master, m_peer.id, 1);
    m_unacknowledged_octets -= m_unacknowledged.front().octets;
    m_unacknowledged.pop_front();
  }
}

void Delivery::contact(bool peer_restarted) {
  m_ack_due.reset();  // the peer repeats what was not acknowledged
  if (peer_restarted) {
    forget_acknowledged(wire::BindingNumber(m_last_binding));
    m_site.quotas.restarted(m_peer.id);  // what it had opened is burnt
    m_received_binding = 0;
    m_told_binding = 0;
  }
  for (Unacknowledged& each : m_unacknowledged) {
    each.sent = m_site.now;
    m_link.send(each.binding);
  }
  // At once, and so before it can have a lease of a new run: it does not know what still waits here.
  m_counts.repeat();
  if (!m_counts.has_news()) return;
  m_ack_due = m_site.now;
  acknowledge_bindings();
}

}  // namespace quipu::kms
