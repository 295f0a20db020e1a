// SPDX-License-Identifier: Apache-2.0
#include "kms/transferred_keys.h"

#include <algorithm>

#include "kms/delivery.h"
#include "kms/pad_seal.h"

namespace quipu::kms {
namespace {

using enum wire::RefusalReason;

// In locked memory, from one peer.
constexpr std::size_t kMaxHeldKeys = 4'096;
constexpr std::size_t kMaxHeldOctets = std::size_t{1} << 20;
// Whose pads cannot be opened yet.
constexpr std::size_t kMaxArrivals = 64;
// Answers that are remembered for repeated transfers.
constexpr std::size_t kMaxReceipts = 1'024;

}  // namespace

TransferredKeys::Finding TransferredKeys::look_up(const Uuid& key_id, const SaeId& master, const SaeId& slave) const {
  const auto place = m_places.find(key_id);
  if (place == m_places.end()) return Finding::unknown;
  const Held& held = *place->second;
  if (held.master != master || !held.named.contains(slave)) return Finding::refused;
  return held.slaves.contains(slave) ? Finding::granted : Finding::unknown;
}

SecretBytes TransferredKeys::fetch(const Uuid& key_id, const SaeId& slave) {
  const auto held = m_places.at(key_id);
  const std::size_t taken = held->slaves.erase(slave);
  QUIPU_ASSERT(taken == 1);
  SecretBytes key = SecretBytes::copy_of(held->key.view());
  if (held->slaves.empty()) erase(held);
  return key;
}

TransferredKeys::Keys::iterator TransferredKeys::erase(Keys::iterator held) {
  m_octets -= held->key.size();
  m_places.erase(held->key_id);
  return m_held.erase(held);
}

TransferredKeys::Arrivals::iterator TransferredKeys::drop(Arrivals::iterator arrival) {
  for (const Uuid& id : arrival->message.key_ids)
    m_arriving.erase(id);
  return m_arrivals.erase(arrival);
}

void TransferredKeys::erase_all() {
  while (!m_held.empty())
    erase(m_held.begin());
  for (const Arrival& arrival : std::exchange(m_arrivals, {})) {
    m_opened.give_up_pad(arrival.message.pad);
    answer(arrival, no_pad);
  }
  m_arriving.clear();
}

void TransferredKeys::send_answer(wire::RequestNumber number, std::optional<wire::RefusalReason> refused) const {
  if (!m_link.up()) return;
  if (refused)
    m_link.send(wire::Refused{number, *refused});
  else
    m_link.send(wire::Ack{number});
}

void TransferredKeys::answer(const Arrival& arrival, std::optional<wire::RefusalReason> refused) {
  if (refused)
    m_site.report(LogLevel::warning, "key_transfer_refused", "Keys from the peer for SAEs here were refused.",
                  {{"peer", m_peer.id.value()}, {"reason", std::string(wire::to_string(*refused))}});
  m_receipts[arrival.message.id] = {arrival.message.tag, refused};
  m_receipt_order.push_back(arrival.message.id);
  if (m_receipt_order.size() > kMaxReceipts) {
    m_receipts.erase(m_receipt_order.front());
    m_receipt_order.pop_front();
  }
  for (const wire::RequestNumber number : arrival.numbers)
    send_answer(number, refused);
}

void TransferredKeys::alarm_duplicate(const wire::KeyTransfer& message) const {
  m_site.alarm("key_id_repeated", "The peer sent other keys under ids that were there before; they were refused.",
               {{"peer", m_peer.id.value()}, {"transfer", message.id.value().text()}});
}

// An answer to one that was seen before: its pad is not opened again. Another one under its id gets none of its
// answers.
bool TransferredKeys::repeated(const wire::KeyTransfer& message) {
  const auto waiting = std::ranges::find(m_arrivals, message.id, [](const Arrival& a) { return a.message.id; });
  const auto receipt = m_receipts.find(message.id);
  if (waiting == m_arrivals.end() && receipt == m_receipts.end()) return false;
  const crypto::OneTimeTag& before = waiting != m_arrivals.end() ? waiting->message.tag : receipt->second.tag;
  if (before != message.tag) {
    alarm_duplicate(message);
    send_answer(message.number, duplicate);
  } else if (waiting != m_arrivals.end()) {
    waiting->numbers.push_back(message.number);
  } else {
    send_answer(message.number, receipt->second.refused);
  }
  return true;
}

std::set<SaeId> TransferredKeys::served(const std::vector<SaeId>& slaves) const {
  std::set<SaeId> here;
  for (const SaeId& slave : slaves)
    if (std::ranges::find(m_site.config.saes, slave) != m_site.config.saes.end()) here.insert(slave);
  return here;
}

bool TransferredKeys::is_known(const Uuid& key_id) const {
  return m_places.contains(key_id) || m_arriving.contains(key_id) || m_opened.knows(key_id);
}

std::optional<wire::RefusalReason> TransferredKeys::judge(const wire::KeyTransfer& message) const {
  if (m_arrivals.size() >= kMaxArrivals) return full;
  const std::set<Uuid> ids(message.key_ids.begin(), message.key_ids.end());
  if (ids.size() != message.key_ids.size() || std::ranges::any_of(ids, [&](const Uuid& id) { return is_known(id); }))
    return duplicate;
  const bool its_master = std::ranges::find(m_peer.saes, message.master) != m_peer.saes.end();
  if (!its_master || served(message.slaves).empty()) return not_taken;
  return std::nullopt;
}

void TransferredKeys::receive(const wire::KeyTransfer& message) {
  const bool bound = m_opened.bind_pad(message.pad);
  if (repeated(message)) {
    if (bound) m_opened.give_up_pad(message.pad);
    return;
  }
  Arrival arrival{message, {message.number}, m_site.now + kMaxWait};
  const auto refused = bound ? judge(message) : std::optional(no_pad);
  if (!refused) {
    if (!open(arrival)) {
      m_arriving.insert(arrival.message.key_ids.begin(), arrival.message.key_ids.end());
      m_arrivals.push_back(std::move(arrival));
    }
    return;
  }
  if (bound) m_opened.give_up_pad(message.pad);
  if (*refused == duplicate) alarm_duplicate(message);
  answer(arrival, refused);
}

bool TransferredKeys::open(const Arrival& arrival) {
  const wire::KeyTransfer& message = arrival.message;
  SecretBytes pad;
  const auto finding = m_link.up() ? m_opened.take_pad(message.pad, pad) : OpenedLeases::PadFinding::gone;
  if (finding == OpenedLeases::PadFinding::waiting && m_site.now < arrival.until) return false;
  if (finding != OpenedLeases::PadFinding::taken) {
    m_opened.give_up_pad(message.pad);
    answer(arrival, no_pad);
    return true;
  }
  const SecretBytes keys = open_with_pad(message.ciphertext, message.tag, pad.view(), wire::associated_data(message));
  if (keys.empty()) {
    m_site.alarm("key_transfer_forged",
                 "Keys from the peer were altered on their way. They were refused; the key they were under is burnt.",
                 {{"peer", m_peer.id.value()}, {"transfer", message.id.value().text()}});
    answer(arrival, forged);
    return true;
  }
  hold(message, keys.view());
  answer(arrival, std::nullopt);
  return true;
}

void TransferredKeys::hold(const wire::KeyTransfer& message, ByteView keys) {
  m_simulated = m_simulated || message.simulated;
  make_room(keys.size());
  const std::size_t size = message.size_bits / 8;
  const std::set<SaeId> slaves = served(message.slaves);
  for (std::size_t i = 0; i < message.key_ids.size(); ++i) {
    m_held.push_back({message.key_ids[i], message.id, message.master, slaves, slaves,
                      SecretBytes::copy_of(keys.subspan(i * size, size)),
                      m_site.now + m_site.config.limits.undelivered_ttl});
    m_places[message.key_ids[i]] = std::prev(m_held.end());
  }
  m_octets += keys.size();
}

// Slaves that never fetch must not stop the others: the oldest go.
void TransferredKeys::make_room(std::size_t octets) {
  if (m_held.size() < kMaxHeldKeys && m_octets + octets <= kMaxHeldOctets) return;
  m_site.report(LogLevel::warning, "unfetched_burnt", "Keys that their slaves did not fetch were burnt to make room.",
                {{"peer", m_peer.id.value()}, {"transfer", m_held.front().transfer.value().text()}});
  while (m_held.size() >= kMaxHeldKeys || m_octets + octets > kMaxHeldOctets)
    erase(m_held.begin());
}

void TransferredKeys::receive(const wire::KeyTransferVoid& message) {
  for (auto it = m_arrivals.begin(); it != m_arrivals.end();) {
    const auto arrival = it++;
    if (arrival->message.id != message.id) continue;
    m_opened.give_up_pad(arrival->message.pad);
    answer(*arrival, not_taken);
    drop(arrival);
  }
  for (auto it = m_held.begin(); it != m_held.end();)
    it = it->transfer == message.id ? erase(it) : std::next(it);
}

void TransferredKeys::progress() {
  for (auto it = m_arrivals.begin(); it != m_arrivals.end();)
    it = open(*it) ? drop(it) : std::next(it);
  while (!m_held.empty() && m_held.front().expires <= m_site.now)
    erase(m_held.begin());
}

std::optional<TimePoint> TransferredKeys::next_deadline() const {
  std::optional<TimePoint> next;
  if (!m_held.empty()) next = m_held.front().expires;
  if (!m_arrivals.empty()) next = next ? std::min(*next, m_arrivals.front().until) : m_arrivals.front().until;
  return next;
}

}  // namespace quipu::kms
