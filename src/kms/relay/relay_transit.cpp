// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/relay_transit.h"

#include <algorithm>

#include "kms/relay/hop_seal.h"

namespace quipu::kms {
namespace {

using enum wire::RefusalReason;

// That pass here, in locked memory: 2 MiB.
constexpr std::ptrdiff_t kMaxOnHand = 64;
// Of these, from one neighbour.
constexpr std::ptrdiff_t kMaxOnHandOfOne = kMaxOnHand / 2;
// Of one source, blocks of which some share has not come, likewise: 1 MiB. It has half as many on their way, and those
// of which a share has failed stay for a while.
constexpr std::size_t kMaxIncomplete = 32;
// From one neighbour, whose pads cannot be opened yet.
constexpr std::ptrdiff_t kMaxArrivals = 64;
// Answers that are remembered for repeated hops.
constexpr std::size_t kMaxReceipts = 4'096;

}  // namespace

Association* RelayTransit::contact(const KmeId& peer) const {
  const auto found = m_associations.find(peer);
  return found == m_associations.end() || !found->second->is_up() ? nullptr : found->second.get();
}

void RelayTransit::send_answer(const KmeId& to, wire::RequestNumber number,
                               std::optional<wire::RefusalReason> refused) const {
  Association* peer = contact(to);
  if (peer == nullptr) return;
  if (refused)
    peer->send(wire::Refused{number, *refused});
  else
    peer->send(wire::Ack{number});
}

void RelayTransit::answer(const Arrival& arrival, std::optional<wire::RefusalReason> refused) {
  if (refused) {
    ++m_refused;
    m_site.report(LogLevel::warning, "relay_hop_refused", "a relayed block was refused",
                  {{"peer", arrival.from.value()},
                   {"block", arrival.hop.relay.value().text()},
                   {"reason", std::string(wire::to_string(*refused))}});
  }
  m_receipts[share_of(arrival.hop)] = {arrival.from, arrival.hop.tag, refused};
  m_receipt_order.push_back(share_of(arrival.hop));
  if (m_receipt_order.size() > kMaxReceipts) {
    m_receipts.erase(m_receipt_order.front());
    m_receipt_order.pop_front();
  }
  for (const wire::RequestNumber number : arrival.numbers)
    send_answer(arrival.from, number, refused);
}

// An answer to a hop that was seen before: its pad is not opened again. One that reuses the name of another gets none
// of that one's answers.
bool RelayTransit::repeated(const RelayHopReceived& arrival) {
  const wire::RelayHop& hop = arrival.hop;
  const auto waiting = std::ranges::find(m_arrivals, share_of(hop), [](const Arrival& a) { return share_of(a.hop); });
  if (waiting != m_arrivals.end()) {
    if (waiting->from == arrival.from && waiting->hop.tag == hop.tag)
      waiting->numbers.push_back(hop.number);
    else
      send_answer(arrival.from, hop.number, duplicate);
    return true;
  }
  const auto receipt = m_receipts.find(share_of(hop));
  if (receipt == m_receipts.end()) return false;
  const bool same = receipt->second.from == arrival.from && receipt->second.tag == hop.tag;
  send_answer(arrival.from, hop.number, same ? receipt->second.refused : duplicate);
  return true;
}

// No node may see two shares of a block: of those that pass here there is one, and a neighbour brings one.
bool RelayTransit::is_one_too_many(const KmeId& from, const wire::RelayHop& hop) const {
  const auto forbids = [&](const ShareId& other, const KmeId& brought_by) {
    return other.first == hop.relay && other.second != hop.share && (!hop.path.empty() || brought_by == from);
  };
  for (auto it = m_receipts.lower_bound({hop.relay, 0}); it != m_receipts.end() && it->first.first == hop.relay; ++it)
    if (forbids(it->first, it->second.from)) return true;
  return std::ranges::any_of(m_arrivals, [&](const Arrival& a) { return forbids(share_of(a.hop), a.from); });
}

bool RelayTransit::is_full_for(const KmeId& from) const {
  std::ptrdiff_t all = 0;
  std::ptrdiff_t of_one = 0;
  for (const auto& [id, carried] : m_carried) {
    if (carried.block.empty()) continue;
    ++all;
    if (carried.from == from) ++of_one;
  }
  return all >= kMaxOnHand || of_one >= kMaxOnHandOfOne;
}

bool RelayTransit::is_expected_destination(const wire::RelayHop& hop) const {
  const auto found = m_associations.find(hop.source);
  return found != m_associations.end() && found->second->config().relay_target_octets != 0 &&
         hop.source < m_site.config.id;
}

std::optional<wire::RefusalReason> RelayTransit::judge(const KmeId& from, const wire::RelayHop& hop) const {
  if (std::ranges::count(m_arrivals, from, &Arrival::from) >= kMaxArrivals) return full;
  if (is_one_too_many(from, hop)) return paths;
  if (hop.path.empty()) {
    if (hop.destination != m_site.config.id || !is_expected_destination(hop)) return not_trusted;
    if (hop.shares != m_associations.at(hop.source)->config().relay_paths) return paths;
    return std::nullopt;
  }
  if (!m_site.config.relay.trusted_node || hop.source == m_site.config.id) return not_trusted;
  const Association* const next = contact(hop.path.front());
  return next == nullptr || !next->carries_hops() || hop.path.front() == from ? std::optional(no_link) : std::nullopt;
}

Result<void> RelayTransit::receive(RelayHopReceived received) {
  OpenedLeases& opened = m_associations.at(received.from)->opened();
  const bool bound = opened.bind_pad(received.hop.pad);
  if (repeated(received)) {
    if (bound) opened.give_up_pad(received.hop.pad);
    return {};
  }
  Arrival arrival{received.from, std::move(received.hop), {}, m_site.now + kMaxWait};
  arrival.numbers.push_back(arrival.hop.number);
  const auto refusal = bound ? judge(arrival.from, arrival.hop) : std::optional(no_pad);
  if (refusal) {
    if (bound) opened.give_up_pad(arrival.hop.pad);
    m_associations.at(arrival.from)->touch();
    answer(arrival, refusal);
    return {};
  }
  QUIPU_TRY_ASSIGN(const bool done, open(arrival));
  if (!done) m_arrivals.push_back(std::move(arrival));
  return {};
}

Result<bool> RelayTransit::open(Arrival& arrival) {
  Association& from = *m_associations.at(arrival.from);
  SecretBytes pad;
  const auto finding = from.opened().take_pad(arrival.hop.pad, pad);
  if (finding == OpenedLeases::PadFinding::waiting && m_site.now < arrival.until) return false;
  from.touch();  // what is used up is closed
  if (finding != OpenedLeases::PadFinding::taken) {
    from.opened().give_up_pad(arrival.hop.pad);
    answer(arrival, no_pad);
    return true;
  }
  SecretBytes block = open_hop(arrival.hop, pad.view());
  if (block.empty()) {
    ++m_forged;
    m_site.alarm("relay_forged",
                 "a relayed block was altered on its way from the peer; it was refused; its key is burnt",
                 {{"peer", arrival.from.value()}, {"block", arrival.hop.relay.value().text()}});
    answer(arrival, forged);
    return true;
  }
  QUIPU_TRY(take(arrival, std::move(block)));
  return true;
}

Result<void> RelayTransit::take(const Arrival& arrival, SecretBytes share) {
  if (!arrival.hop.path.empty()) {
    // It may have waited for its pad, and the next node may have gone meanwhile.
    const bool lost = contact(arrival.hop.path.front()) == nullptr;
    const auto refused = lost ? std::optional(no_link) : is_full_for(arrival.from) ? std::optional(full) : std::nullopt;
    answer(arrival, refused);
    if (!refused) carry(arrival, std::move(share));
    return {};
  }
  QUIPU_TRY_ASSIGN(const auto refused, hold(arrival.hop, std::move(share)));
  answer(arrival, refused);
  return {};
}

// In memory until all shares are there, then durably.
Result<std::optional<wire::RefusalReason>> RelayTransit::hold(const wire::RelayHop& hop, SecretBytes share) {
  if (!m_shares.fits(hop)) return not_taken;
  if (m_shares.is_first(hop) && m_shares.count(hop.source) >= kMaxIncomplete) return full;
  std::optional<SourceBlock> block = m_shares.add(hop, std::move(share));
  if (!block) return std::nullopt;
  Association& source = *m_associations.at(hop.source);
  QUIPU_TRY_ASSIGN(const bool held, source.accept().add_relayed(*std::move(block)));
  source.touch();
  if (held) source.note_relayed();
  return held ? std::nullopt : std::optional(not_taken);
}

void RelayTransit::carry(const Arrival& arrival, SecretBytes block) {
  Carried carried;
  carried.from = arrival.from;
  carried.hop = arrival.hop;
  carried.hop.pad.clear();
  carried.hop.ciphertext.clear();
  carried.next = carried.hop.path.front();
  carried.hop.path.erase(carried.hop.path.begin());
  carried.block = std::move(block);
  carried.arrived = m_site.now;
  carried.due = m_site.now + kHopTime;
  Carried& kept = m_carried[arrival.hop.relay] = std::move(carried);
  send_on(kept);
}

bool RelayTransit::send_on(Carried& carried) {
  Association* next = contact(carried.next);
  if (next == nullptr) return false;  // its loss is about to be handled
  auto pad = next->carve_pad(pad_slots(carried.block.size()));
  if (!pad) return false;
  carried.hop.pad = std::move(pad->parts);
  carried.hop.simulated = carried.hop.simulated || next->is_simulated();
  seal_hop(carried.hop, carried.block.view(), pad->octets.view());
  next->send_hop(std::move(carried.hop));
  carried.hop = {};
  carried.stage = Stage::sent;
  carried.due = m_site.now + kHopTime;
  return true;
}

void RelayTransit::hop_answered(const RelayHopAnswered& answer) {
  const auto entry = m_carried.find(answer.relay);
  if (entry == m_carried.end() || entry->second.next != answer.by || entry->second.stage != Stage::sent) return;
  if (answer.refused) return give_up(entry, *answer.refused);
  ++m_forwarded;
  entry->second.block.clear();
  entry->second.stage = Stage::passed_on;  // to bring back news of it
  entry->second.due = entry->second.arrived + kCarryTime;
}

void RelayTransit::failed(const RelayFailedReceived& news) {
  const auto entry = m_carried.find(news.message.relay);
  if (entry == m_carried.end() || entry->second.next != news.from) return;
  if (Association* back = contact(entry->second.from)) back->send(news.message);
  m_carried.erase(entry);
}

void RelayTransit::give_up(CarriedEntry entry, wire::RefusalReason reason) {
  const Carried& carried = entry->second;
  m_site.report(LogLevel::warning, "relay_not_passed_on", "a relayed block could not be passed on; it was erased",
                {{"from", carried.from.value()},
                 {"to", carried.next.value()},
                 {"block", entry->first.value().text()},
                 {"reason", std::string(wire::to_string(reason))}});
  if (Association* back = contact(carried.from))
    back->send(wire::RelayFailed{entry->first, reason, m_site.config.id, carried.next});
  m_carried.erase(entry);
}

// Also of what the next node has already: if it has died, nobody else brings the news.
void RelayTransit::contact_lost(const KmeId& peer) {
  std::erase_if(m_arrivals, [&](const Arrival& arrival) {
    if (arrival.from != peer) return false;
    m_associations.at(peer)->opened().give_up_pad(arrival.hop.pad);
    return true;
  });
  for (auto it = m_carried.begin(); it != m_carried.end();) {
    const auto entry = it++;
    if (entry->second.next == peer || entry->second.from == peer) give_up(entry, no_link);
  }
}

Result<void> RelayTransit::progress() {
  for (auto it = m_arrivals.begin(); it != m_arrivals.end();) {
    QUIPU_TRY_ASSIGN(const bool done, open(*it));
    it = done ? m_arrivals.erase(it) : std::next(it);
  }
  for (auto& [id, carried] : m_carried)
    if (carried.stage == Stage::wants_key) send_on(carried);
  return {};
}

void RelayTransit::handle_timeout() {
  m_shares.handle_timeout();
  for (auto it = m_carried.begin(); it != m_carried.end();) {
    const auto entry = it++;
    if (m_site.now < entry->second.due) continue;
    if (entry->second.stage == Stage::passed_on)
      m_carried.erase(entry);
    else
      give_up(entry, entry->second.stage == Stage::sent ? timeout : no_key);
  }
}

std::optional<TimePoint> RelayTransit::next_deadline() const {
  std::optional<TimePoint> next = m_shares.next_deadline();
  const auto consider = [&](TimePoint due) { next = next ? std::min(*next, due) : due; };
  for (const Arrival& arrival : m_arrivals)
    consider(arrival.until);
  for (const auto& [id, carried] : m_carried)
    consider(carried.due);
  return next;
}

void RelayTransit::describe(RelayStatus& status) const {
  status.forwarded = m_forwarded;
  status.refused = m_refused;
  status.forged = m_forged;
}

}  // namespace quipu::kms
