// SPDX-License-Identifier: Apache-2.0
#include "kms/transferred_keys.h"

#include <algorithm>

#include "kms/delivery.h"
#include "kms/pad_seal.h"

namespace quipu::kms {
namespace {

using enum wire::RefusalReason;

// Whose pads cannot be opened yet.
constexpr std::size_t kMaxArrivals = 64;
// Answers that are remembered for repeated transfers.
constexpr std::size_t kMaxReceipts = 1'024;

}  // namespace

TransferredKeys::Arrivals::iterator TransferredKeys::drop(Arrivals::iterator arrival) {
  for (const Uuid& id : arrival->message.key_ids)
    m_arriving.erase(id);
  return m_arrivals.erase(arrival);
}

void TransferredKeys::erase_all() {
  m_held.erase_all();
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
    m_site.report(LogLevel::warning, "key_transfer_refused", "keys from the peer for SAEs here were refused",
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
  m_site.alarm("key_id_repeated", "the peer sent other keys under ids that were there before; they were refused",
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

bool TransferredKeys::has_any(const std::vector<Uuid>& key_ids) const {
  return std::ranges::any_of(key_ids, [&](const Uuid& id) { return m_held.contains(id) || m_arriving.contains(id); });
}

std::optional<wire::RefusalReason> TransferredKeys::judge(const wire::KeyTransfer& message) const {
  if (m_arrivals.size() >= kMaxArrivals) return full;
  const std::set<Uuid> ids(message.key_ids.begin(), message.key_ids.end());
  if (ids.size() != message.key_ids.size() || m_held.contains(message.id) || has_any(message.key_ids) ||
      std::ranges::any_of(ids, [&](const Uuid& id) { return m_opened.knows(id); }))
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
                 "keys from the peer were altered on their way; they were refused; the key they were under is burnt",
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
  const std::size_t size = message.size_bits / 8;
  const std::set<SaeId> slaves = served(message.slaves);
  const TimePoint expires = m_site.now + m_site.config.limits.undelivered_ttl;
  HeldKeys::Transfer transfer{message.id, message.master, slaves, message.is_counted, expires, {}};
  for (std::size_t i = 0; i < message.key_ids.size(); ++i)
    transfer.keys[message.key_ids[i]] = {SecretBytes::copy_of(keys.subspan(i * size, size)), slaves};
  if (const auto loser = m_held.add(std::move(transfer)))
    m_site.report(LogLevel::warning, "unfetched_burnt", "keys that their slaves did not fetch were burnt to make room",
                  {{"peer", m_peer.id.value()}, {"master", loser->value()}});
}

void TransferredKeys::receive(const wire::KeyTransferVoid& message) {
  for (auto it = m_arrivals.begin(); it != m_arrivals.end();) {
    const auto arrival = it++;
    if (arrival->message.id != message.id) continue;
    m_opened.give_up_pad(arrival->message.pad);
    answer(*arrival, not_taken);
    drop(arrival);
  }
  m_held.erase(message.id);
}

void TransferredKeys::progress() {
  for (auto it = m_arrivals.begin(); it != m_arrivals.end();)
    it = open(*it) ? drop(it) : std::next(it);
  m_held.expire(m_site.now);
}

std::optional<TimePoint> TransferredKeys::next_deadline() const {
  std::optional<TimePoint> next = m_held.next_expiry();
  if (!m_arrivals.empty()) next = next ? std::min(*next, m_arrivals.front().until) : m_arrivals.front().until;
  return next;
}

}  // namespace quipu::kms
