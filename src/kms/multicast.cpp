// SPDX-License-Identifier: Apache-2.0
#include "kms/multicast.h"

#include <algorithm>

#include "kms/pad_seal.h"

namespace quipu::kms {
namespace {

SecretBytes joined(const std::vector<CarvedKey>& keys) {
  std::size_t size = 0;
  for (const CarvedKey& key : keys)
    size += key.key.size();
  SecretBytes out(size);
  ByteWriter writer(out.mutable_view());
  for (const CarvedKey& key : keys)
    writer.bytes(key.key.view());
  return out;
}

std::uint32_t pad_slots_of(const Demand& demand) {
  return pad_slots(std::size_t{demand.number} * (demand.size_bits / 8));
}

// Fewer nodes together could know the pad than could know the key.
bool goes_over_fewer_paths(const PeerConfig& further, const PeerConfig& target) {
  return further.relay_target_octets != 0 && target.relay_target_octets != 0 &&
         further.relay_paths < target.relay_paths;
}

}  // namespace

std::optional<etsi::ApiError> Multicast::refusal(const KeyOrder& order, const PeerConfig& target) const {
  for (const auto& [peer, slaves] : order.further) {
    if (at(peer).config().min_sources < target.min_sources)
      return bad_request("fewer sources stand behind keys with KME " + peer.value() + " than with KME " +
                         target.id.value());
    if (goes_over_fewer_paths(at(peer).config(), target))
      return bad_request("keys with KME " + peer.value() + " are relayed over fewer paths than those with KME " +
                         target.id.value());
    if (is_paused(peer, order.master))
      return unavailable("keys did not get to KME " + peer.value() + " a moment ago; ask again later");
    if (!at(peer).is_up()) return unavailable("no keys now: there is no contact with KME " + peer.value());
    if (at(peer).obtainable_octets() < std::uint64_t{pad_slots_of(order.demand)} * kSlotSize)
      return unavailable("not enough key material available to bring the keys to KME " + peer.value());
  }
  return std::nullopt;
}

bool Multicast::is_paused(const KmeId& peer, const SaeId& master) const {
  const auto paused = m_paused_until.find({peer, master});
  return paused != m_paused_until.end() && m_site.now < paused->second;
}

void Multicast::handle(std::vector<MulticastEvent> events) {
  for (MulticastEvent& event : events)
    std::visit([this](auto& each) { on(each); }, event);
  for (auto it = m_pending.begin(); it != m_pending.end();)
    it = progress(*it) ? m_pending.erase(it) : std::next(it);
}

void Multicast::on(KeysCarved& event) {
  Pending pending{std::move(event), {}, m_site.now + kTransferTime};
  for (const auto& [peer, slaves] : pending.carved.order.further)
    pending.transfers.push_back({wire::TransferId(m_site.random_uuid()), peer, Stage::wants_pad, {}});
  m_pending.push_back(std::move(pending));
}

void Multicast::on(const KeyTransferAnswered& event) {
  for (Pending& pending : m_pending)
    for (Transfer& transfer : pending.transfers)
      if (transfer.id == event.transfer) answered(pending.carved.order, transfer, event.refused);
}

void Multicast::answered(const KeyOrder& order, Transfer& transfer, std::optional<wire::RefusalReason> refused) {
  transfer.failed = refused;
  if (refused) return;
  transfer.stage = Stage::held;
  m_site.quotas.hold(order.master, transfer.to, order.demand.number);
}

bool Multicast::progress(Pending& pending) {
  for (Transfer& transfer : pending.transfers) {
    go_on(pending, transfer);
    if (!transfer.failed) continue;
    m_paused_until[{transfer.to, pending.carved.order.master}] = m_site.now + kTransferPause;
    fail(pending, transfer.to, *transfer.failed);
    return true;
  }
  return std::ranges::all_of(pending.transfers, [](const Transfer& t) { return t.stage == Stage::held; }) &&
         hand_out(pending);
}

void Multicast::go_on(const Pending& pending, Transfer& transfer) {
  if (!at(transfer.to).is_up())
    transfer.failed = wire::RefusalReason::no_link;  // what it held is gone, if its run has ended
  else if (transfer.stage == Stage::held)
    return;
  else if (m_site.now >= pending.due)
    transfer.failed = transfer.stage == Stage::sent ? wire::RefusalReason::timeout : wire::RefusalReason::no_key;
  else if (transfer.stage == Stage::wants_pad)
    if (auto pad = at(transfer.to).carve_pad(pad_slots_of(pending.carved.order.demand)))
      send(pending.carved, transfer, *std::move(pad));
}

void Multicast::send(const KeysCarved& carved, Transfer& transfer, CarvedPad pad) {
  wire::KeyTransfer message;
  message.id = transfer.id;
  message.master = carved.order.master;
  message.slaves = carved.order.further.at(transfer.to);
  for (const CarvedKey& key : carved.keys)
    message.key_ids.push_back(key.key_id);
  message.size_bits = carved.order.demand.size_bits;
  message.simulated = at(carved.target).is_simulated();
  message.is_counted = m_site.quotas.limits(carved.order.master);
  message.pad = std::move(pad.parts);
  PadSealed sealed = seal_with_pad(joined(carved.keys).view(), pad.octets.view(), wire::associated_data(message));
  message.ciphertext = std::move(sealed.ciphertext);
  message.tag = sealed.tag;
  at(transfer.to).send_transfer(std::move(message));
  transfer.stage = Stage::sent;
}

bool Multicast::hand_out(Pending& pending) {
  const bool simulated =
      std::ranges::any_of(pending.transfers, [&](const Transfer& t) { return at(t.to).is_simulated(); });
  // What is held is the master's from here on, or given up there if the target's lease was burnt meanwhile.
  KeysCarved& carved = pending.carved;
  if (at(carved.target).delivery().hand_out_kept(carved.request, carved.order, carved.keys, simulated))
    at(carved.target).touch();
  else
    fail(pending, carved.target, wire::RefusalReason::no_lease);
  return true;
}

void Multicast::fail(Pending& pending, const KmeId& peer, wire::RefusalReason reason) {
  const std::string why(wire::to_string(reason));
  m_site.report(LogLevel::warning, "multicast_failed",
                "keys for slaves at several KMEs did not get to one of them; they are burnt",
                {{"peer", peer.value()}, {"sae", pending.carved.order.master.value()}, {"reason", why}});
  m_site.act(ReplyEtsi{pending.carved.request,
                       unavailable("the keys could not be brought to KME " + peer.value() + ": " + why)});
  give_up(pending);
}

void Multicast::give_up(Pending& pending) {
  const KeyOrder& order = pending.carved.order;
  for (const Transfer& transfer : pending.transfers) {
    if (transfer.stage != Stage::wants_pad) at(transfer.to).void_transfer(transfer.id);
    if (transfer.stage != Stage::held) m_site.quotas.settle(order.master, transfer.to, order.demand.number);
  }
  at(pending.carved.target).delivery().give_up_kept(order, pending.carved.keys);
  at(pending.carved.target).touch();
}

void Multicast::cancel(RequestId request) {
  const auto found =
      std::ranges::find(m_pending, request, [](const Pending& pending) { return pending.carved.request; });
  if (found == m_pending.end()) return;
  give_up(*found);
  m_pending.erase(found);
}

std::optional<TimePoint> Multicast::next_deadline() const {
  if (m_pending.empty()) return std::nullopt;
  return m_pending.front().due;
}

}  // namespace quipu::kms
