// SPDX-License-Identifier: Apache-2.0
#include "kms/association.h"

#include <algorithm>
#include <type_traits>

namespace quipu::kms {
namespace {

template <class M>
constexpr bool kBelongsToContact =
    std::is_same_v<M, wire::Hello> || std::is_same_v<M, wire::Contact> || std::is_same_v<M, wire::InventoryBlocks> ||
    std::is_same_v<M, wire::InventoryLeases> || std::is_same_v<M, wire::InventoryEnd> ||
    std::is_same_v<M, wire::Merged>;

std::optional<TimePoint> earlier(std::optional<TimePoint> a, std::optional<TimePoint> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

// A peer may make up names without end.
constexpr std::size_t kMaxUnsharedLinksTold = 16;

// Into how many shares the room of the pool is divided, so that one source cannot take that of another which it needs.
std::size_t count_shares(const KmeConfig& config, const PeerConfig& peer) {
  return peer.min_sources > 1 ? config.sources_of(peer).size() : 1;
}

bool has_only_key_of_links(const PeerConfig& peer, const Pool& pool) {
  return peer.relay_target_octets == 0 && std::ranges::none_of(pool.blocks(), [](const auto& each) {
           return each.second.record.source == kRelaySource;
         });
}

bool is_pool_for_hops(const KmeConfig& config, const PeerConfig& peer, const Pool& pool) {
  return std::ranges::find(config.sources, peer.id, &SourceConfig::peer) != config.sources.end() &&
         (peer.min_sources > 1 || has_only_key_of_links(peer, pool));
}

}  // namespace

Result<std::unique_ptr<Association>> Association::open(Site& site, const PeerConfig& config, Store& store) {
  QUIPU_TRY_ASSIGN(Pool pool, Pool::open(config.id, config.min_sources, site.config.sources_of(config), store));
  auto association = std::make_unique<Association>(site, config, std::move(pool));
  QUIPU_TRY(association->close_dead_leases());
  return association;
}

Association::Association(Site& site, const PeerConfig& config, Pool pool)
    : m_site(site),
      m_config(config),
      m_pool(std::move(pool)),
      m_carries_hops(is_pool_for_hops(site.config, config, m_pool)),
      m_relayed(site.now),
      m_link(site, config.id),
      m_own(site, m_pool, m_link),
      m_opened(site, m_pool, m_link, m_own, m_counts),
      m_contact(site, m_pool, m_link, m_own, m_opened),
      m_accept(site, m_pool, m_link, m_opened, count_shares(site.config, config)),
      m_transferred(site, config, m_link, m_opened, m_counts),
      m_delivery(site, config, m_pool, m_link, m_own, m_opened, m_transferred, m_counts, m_availability),
      m_production(site.now),
      m_consumption(site.now),
      m_counted_supply(supply_octets()),
      m_before_run(m_pool.books()) {}

// A lease dies with the run that took or opened it.
Result<void> Association::close_dead_leases() {
  std::vector<LeaseId> dead;
  for (const auto& [id, lease] : m_pool.leases())
    if (!lease.closed_here) dead.push_back(id);
  for (const LeaseId& id : dead)
    m_pool.close_here(id, {});
  QUIPU_TRY(m_pool.commit());
  m_counted_supply = supply_octets();
  return {};
}

void Association::touch() {
  m_due = m_site.now;
}

Result<void> Association::link_connected(LinkId link) {
  if (m_availability.refused()) {
    m_site.act(CloseLink{link});
    return {};
  }
  m_link.connect(link);
  m_contact.begin();
  return {};
}

Result<void> Association::link_received(ByteView octets) {
  m_link.note_received();
  touch();
  const auto message = wire::decode(octets);
  if (!message) {
    m_link.close(wire::GoodbyeReason::violation, message.error().text);
    return {};
  }
  const bool was_up = m_link.up();
  if (was_up) heard();
  QUIPU_TRY(dispatch_if_allowed(*message));
  if (m_link.up() && !was_up) contact_made();
  m_transferred.progress();
  m_delivery.retry();
  return {};
}

Result<void> Association::dispatch_if_allowed(const wire::Message& message) {
  return std::visit(
      [this](const auto& m) -> Result<void> {
        using M = std::decay_t<decltype(m)>;
        if (!std::is_same_v<M, wire::Goodbye> && kBelongsToContact<M> == m_link.up()) {
          m_link.close(wire::GoodbyeReason::violation, "a message came out of turn");
          return {};
        }
        return dispatch(m);
      },
      message);
}

void Association::heard() {
  m_availability.heard(m_site.now);
  m_end_reported = false;
}

void Association::contact_made() {
  heard();
  m_close_asked.clear();
  m_unshared_links.clear();
  const bool peer_restarted = m_contact.take_peer_restarted();
  m_delivery.contact(peer_restarted);  // before any Close: after it no binding may follow
  repeat_voids(peer_restarted);
  m_own.repeat();
  m_opened.repeat();
  m_accept.repeat();
  ask_closes();
  m_site.act(LinkUp{m_config.id});
  m_site.relay_events.emplace_back(ContactMade{m_config.id});
  m_site.report(LogLevel::info, "km_link_up", "the KM link is in contact", {{"peer", m_config.id.value()}});
}

void Association::link_disconnected(const std::string& reason) {
  m_link.drop();
  m_link.set_reason_down(reason);
  m_delivery.retry();
  touch();
  m_site.report(LogLevel::warning, "km_link_down", "the KM link was lost",
                {{"peer", m_config.id.value()}, {"reason", reason}});
}

// Configured at the other site only, by mistake or not here yet: no reason to end the pool's connection.
void Association::tell_unshared(const std::string& link) {
  if (m_unshared_links.size() >= kMaxUnsharedLinksTold || !m_unshared_links.insert(link).second) return;
  m_site.report(LogLevel::warning, "link_not_shared",
                "the peer's driver of a link that is not with this peer here sends messages, which are dropped: "
                "configure the link at both sites, under one name",
                {{"peer", m_config.id.value()}, {"link", link}});
}

Result<void> Association::blocks_received(std::vector<SourceBlock> blocks) {
  QUIPU_TRY(m_accept.add(std::move(blocks)));
  count_rates();
  return {};
}

void Association::driver_message(const std::string& source, SecretBytes message) {
  if (m_link.up()) m_link.send(wire::DriverMessage{source, std::move(message)});
}

void Association::enc_keys(RequestId request, KeyOrder order) {
  m_delivery.enc_keys(request, std::move(order));
  touch();
}

void Association::dec_keys(RequestId request, const SaeId& slave, const etsi::DecKeysCall& call,
                           std::vector<Uuid> ids) {
  m_delivery.dec_keys(request, slave, call, std::move(ids));
  touch();
}

void Association::ask_closes() {
  const std::vector<LeaseId> ended = m_pool.take_ended();
  if (!m_link.up()) return;  // the peer asks after contact
  for (const LeaseId& id : ended)
    m_link.request(wire::Close{{}, id}, CloseSent{id});
  std::erase_if(m_close_asked, [&](const LeaseId& id) { return m_pool.find(id) == nullptr; });
  for (const auto& [id, lease] : m_pool.leases())
    if (lease.closed_here && !lease.closed_there && m_close_asked.insert(id).second)
      m_link.request(wire::Close{{}, id}, CloseSent{id});
}

Result<void> Association::go_on_merging() {
  if (!m_contact.merging()) return {};
  QUIPU_TRY(m_contact.merge_part());
  if (m_link.up()) contact_made();
  if (m_contact.merging()) touch();
  return {};
}

Result<void> Association::handle_timeout() {
  m_due.reset();
  m_link.handle_timeout();
  m_accept.handle_timeout();
  m_transferred.progress();
  m_delivery.handle_timeout();
  if (!m_link.connected()) m_contact.forget_lists();  // whoever ended it
  QUIPU_TRY(go_on_merging());
  QUIPU_TRY(m_own.close_finished());
  QUIPU_TRY(m_opened.close_finished());
  m_delivery.tell_fetched();
  QUIPU_TRY(take_leases());
  ask_closes();
  count_rates();
  tell_low_stock();
  if (const auto end = m_availability.ends(); end && m_site.now >= *end && !m_end_reported) {
    m_end_reported = true;
    m_site.alarm("pool_stopped", "the KM link has been lost for too long: no keys of this pool are handed out",
                 {{"peer", m_config.id.value()}});
  }
  return {};
}

std::optional<TimePoint> Association::next_deadline() const {
  std::optional<TimePoint> next = earlier(m_due, m_link.next_deadline());
  next = earlier(next, m_accept.next_deadline());
  next = earlier(next, m_delivery.next_deadline());
  next = earlier(next, m_opened.next_expiry());
  next = earlier(next, m_transferred.next_deadline());
  return m_end_reported ? next : earlier(next, m_availability.ends());
}

// Octets of key that ever were to be had.
std::uint64_t Association::supply_octets() const {
  const Books& books = m_pool.books();
  const std::uint64_t taken = books.leased + books.delivered + books.consumed + books.burnt + books.expired;
  return m_pool.key_octets() + taken / m_pool.min_sources();
}

// Octets of key that were used here in this run. Not what is leased: leases are stores for later, taken many keys at a
// time.
std::uint64_t Association::used_octets() const {
  return m_own.used_octets() + m_opened.used_octets();
}

void Association::count_rates() {
  const auto grown = [](std::uint64_t now, std::uint64_t before) { return now > before ? now - before : 0; };
  m_production.add(grown(supply_octets(), m_counted_supply), m_site.now);
  m_consumption.add(grown(used_octets(), m_counted_use), m_site.now);
  m_counted_supply = supply_octets();
  m_counted_use = used_octets();
}

// The peer learns of it as it does after any outage: what only one end could use is void at both.
Result<void> Association::void_all() {
  std::vector<BlockId> ids;
  for (const auto& [id, block] : m_pool.blocks())
    ids.push_back(id);
  for (const BlockId& id : ids)
    m_opened.void_block(id);
  m_accept.abandon_relayed();
  m_transferred.erase_all();
  QUIPU_TRY(m_pool.commit());
  m_site.report(LogLevel::warning, "pool_voided", "all key material of a pool was voided by hand",
                {{"peer", m_config.id.value()}, {"blocks", std::to_string(ids.size())}});
  if (m_link.connected()) m_link.hang_up("all key material was voided here: inventories are compared anew");
  m_delivery.retry();
  touch();
  return {};
}

Result<void> Association::close_leases() {
  m_own.burn_all();
  m_opened.burn_all();
  return m_pool.commit();
}

// Told again only after the stock was twice that.
void Association::tell_low_stock() {
  const std::uint64_t left = m_pool.key_octets() + m_own.ready_slots() * kSlotSize;
  const std::uint64_t low = m_config.low_stock_octets;
  if (m_stock_low ? left < 2 * low : left >= low) return;
  m_stock_low = !m_stock_low;
  const std::vector<LogField> fields{{"peer", m_config.id.value()}, {"stock_bits", std::to_string(8 * left)}};
  if (m_stock_low)
    m_site.report(LogLevel::warning, "stock_low", "the stock of key material runs low", fields);
  else
    m_site.report(LogLevel::info, "stock_recovered", "the stock of key material has recovered", fields);
}

}  // namespace quipu::kms
