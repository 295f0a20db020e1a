// SPDX-License-Identifier: Apache-2.0
#include "kms/kme.h"

#include <algorithm>
#include <map>
#include <set>

#include "kms/association.h"
#include "kms/multicast.h"
#include "kms/relay/relay.h"
#include "kms/request_rules.h"

namespace quipu::kms {
namespace {

std::map<SaeId, std::uint64_t> rates_of(const KmeConfig& config) {
  std::map<SaeId, std::uint64_t> rates;
  for (const auto& [sae, terms] : config.terms)
    if (terms.max_rate_bit_s) rates.emplace(sae, *terms.max_rate_bit_s);
  return rates;
}

std::map<SaeId, std::uint32_t> quotas_of(const KmeConfig& config) {
  std::map<SaeId, std::uint32_t> quotas;
  for (const auto& [sae, terms] : config.terms)
    if (terms.max_unfetched_keys) quotas.emplace(sae, *terms.max_unfetched_keys);
  return quotas;
}

class CoreKme final : public Kme {
 public:
  CoreKme(KmeConfig config, crypto::Rng& rng, WallTime wall, TimePoint now)
      : m_site{std::move(config), rng, {}, now, wall, SaeRates(), SaeQuotas()} {
    m_site.rates = SaeRates(rates_of(m_site.config));
    m_site.quotas = SaeQuotas(quotas_of(m_site.config));
    m_site.instance = InstanceId(m_site.random_uuid());
  }

  Result<void> open(Store& store) {
    for (const PeerConfig& peer : m_site.config.peers) {
      QUIPU_TRY_ASSIGN(auto association, Association::open(m_site, peer, store));
      m_associations.emplace(peer.id, std::move(association));
    }
    m_relay.emplace(m_site, m_associations);
    m_multicast.emplace(m_site, m_associations);
    return {};
  }

  bool dials(const KmeId& peer) const override { return m_site.config.id < peer; }

  Actions link_connected(LinkId link, const KmeId& peer, TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      const auto found = m_associations.find(peer);
      if (found != m_associations.end()) return found->second->link_connected(link);
      m_site.act(CloseLink{link});
      return {};
    });
  }

  Actions link_received(LinkId link, ByteView message, TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      Association* association = find(link);
      return association != nullptr ? association->link_received(message) : Result<void>{};
    });
  }

  Actions link_disconnected(LinkId link, const std::string& reason, TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      if (Association* association = find(link)) association->link_disconnected(reason);
      return {};
    });
  }

  Actions blocks_received(std::vector<SourceBlock> blocks, WallTime wall, TimePoint now) override {
    m_site.wall = wall;
    return run(now, [&]() -> Result<void> {
      std::map<KmeId, std::vector<SourceBlock>> by_peer;
      for (SourceBlock& block : blocks)
        if (const SourceConfig* source = find_source(block.source)) by_peer[source->peer].push_back(std::move(block));
      for (auto& [peer, part] : by_peer)
        QUIPU_TRY(m_associations.at(peer)->blocks_received(std::move(part)));
      return {};
    });
  }

  Actions driver_message(const std::string& source, SecretBytes message, TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      if (const SourceConfig* config = find_source(source);
          config != nullptr && !message.empty() && message.size() <= wire::kMaxDriverMessage)
        m_associations.at(config->peer)->driver_message(source, std::move(message));
      return {};
    });
  }

  Actions entropy_received(ByteView octets, TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      if (Entropy* entropy = m_relay->entropy()) entropy->add(octets);
      return {};
    });
  }

  Actions entropy_gone(TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      if (Entropy* entropy = m_relay->entropy()) entropy->restart();
      return {};
    });
  }

  std::size_t entropy_room() const override {
    const Entropy* entropy = m_relay->entropy();
    return entropy == nullptr || m_failed ? 0 : entropy->room();
  }

  Actions etsi_request(RequestId request, const SaeId& caller, etsi::Call call, TimePoint now) override {
    if (m_failed) {
      m_site.act(ReplyEtsi{request, unavailable("this KME's store has failed")});
      return std::exchange(m_site.actions, {});
    }
    return run(now, [&]() -> Result<void> {
      if (std::ranges::find(m_site.config.saes, caller) == m_site.config.saes.end())
        m_site.act(ReplyEtsi{request, unauthorised()});
      else
        std::visit([&](const auto& c) { answer(request, caller, c); }, call);
      return {};
    });
  }

  Actions etsi_cancelled(RequestId request, TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      for (const auto& [peer, association] : m_associations)
        association->cancel(request);
      m_multicast->cancel(request);
      return {};
    });
  }

  Actions handle_timeout(TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      for (const auto& [peer, association] : m_associations)
        if (const auto due = association->next_deadline(); due && *due <= now) QUIPU_TRY(association->handle_timeout());
      m_relay->handle_timeout();
      return {};
    });
  }

  std::optional<TimePoint> next_deadline() const override {
    if (m_failed) return std::nullopt;
    std::optional<TimePoint> next = m_relay->next_deadline();
    if (const auto due = m_multicast->next_deadline(); due && (!next || *due < *next)) next = due;
    for (const auto& [peer, association] : m_associations)
      if (const auto due = association->next_deadline(); due && (!next || *due < *next)) next = due;
    return next;
  }

  Actions void_pool(const KmeId& peer, TimePoint now) override {
    return run(now, [&]() -> Result<void> { return m_associations.at(peer)->void_all(); });
  }

  Actions end(TimePoint now) override {
    return run(now, [&]() -> Result<void> {
      for (const auto& [peer, association] : m_associations)
        QUIPU_TRY(association->close_leases());
      return {};
    });
  }

  std::vector<PoolStatus> status(WallTime wall, TimePoint now) const override {
    std::vector<PoolStatus> pools;
    for (const auto& [peer, association] : m_associations)
      pools.push_back(association->status(wall, now));
    return pools;
  }

  RelayStatus relay_status() const override { return m_relay->status(); }

 private:
  // One call from outside: after a failure of the store nothing is done any more.
  template <class Work>
  Actions run(TimePoint now, Work work) {
    if (m_failed) return {};
    m_site.now = now;
    Result<void> result = work();
    if (result) result = m_relay->handle(std::exchange(m_site.relay_events, {}));
    if (result) m_multicast->handle(std::exchange(m_site.multicast_events, {}));
    if (!result) {
      m_failed = true;
      m_site.act(Fatal{result.error()});
    }
    return std::exchange(m_site.actions, {});
  }

  Association* find(LinkId link) const {
    for (const auto& [peer, association] : m_associations)
      if (association->is_current(link)) return association.get();
    return nullptr;
  }

  // Of the KME at which that SAE is served.
  Association* find(const SaeId& sae) const {
    for (const auto& [peer, association] : m_associations)
      if (const auto& saes = association->config().saes; std::ranges::find(saes, sae) != saes.end())
        return association.get();
    return nullptr;
  }

  const SourceConfig* find_source(const std::string& name) const {
    const auto found = std::ranges::find(m_site.config.sources, name, &SourceConfig::name);
    return found == m_site.config.sources.end() ? nullptr : &*found;
  }

  void answer(RequestId request, const SaeId& caller, const etsi::StatusCall& call) {
    if (const Association* association = find(call.slave))
      m_site.act(ReplyEtsi{request, association->status_reply(caller, call.slave)});
    else
      m_site.act(ReplyEtsi{request, bad_request("slave_SAE_ID is not known to this KME")});
  }

  void answer(RequestId request, const SaeId& caller, const etsi::EncKeysCall& call) {
    Association* const target = find(call.slave);
    if (target == nullptr) return m_site.act(ReplyEtsi{request, bad_request("slave_SAE_ID is not known to this KME")});
    auto order = order_of(caller, call, target->config(), m_site.config);
    if (!order) return m_site.act(ReplyEtsi{request, order.error()});
    if (auto refusal = m_multicast->refusal(*order, target->config()))
      return m_site.act(ReplyEtsi{request, *std::move(refusal)});
    target->enc_keys(request, *std::move(order));
  }

  void answer(RequestId request, const SaeId& caller, const etsi::DecKeysCall& call) {
    auto ids = key_ids_of(call, m_site.config.limits);
    if (!ids) return m_site.act(ReplyEtsi{request, ids.error()});
    Association* const association = find(call.master);
    // 5.4: the caller names another master than the key's, which any KME may serve. What another KME says of a key_ID
    // of that master's means nothing.
    const auto is_anothers = [&](const Uuid& id) {
      return (association == nullptr || !association->knows_key(id)) &&
             std::ranges::any_of(m_associations, [&](const auto& other) { return other.second->has_key(id); });
    };
    if (std::ranges::any_of(*ids, is_anothers)) return m_site.act(ReplyEtsi{request, unauthorised()});
    if (association == nullptr)
      return m_site.act(ReplyEtsi{request, bad_request("master_SAE_ID is not known to this KME")});
    association->dec_keys(request, caller, call, *std::move(ids));
  }

  Site m_site;
  Associations m_associations;
  std::optional<Relay> m_relay;          // once there are associations
  std::optional<Multicast> m_multicast;  // likewise
  bool m_failed = false;
};

bool valid_name(const std::string& name, std::size_t max) {
  return !name.empty() && name.size() <= max &&
         std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<void> check_saes(const KmeConfig& config) {
  std::set<SaeId> seen;
  const auto check = [&](const SaeId& id) -> Result<void> {
    if (!valid_name(id.value(), wire::kMaxIdSize))
      return fail(Errc::out_of_range, "an SAE id is empty, too long or unprintable");
    if (!seen.insert(id).second) return fail(Errc::out_of_range, "SAE " + id.value() + " is named twice");
    return {};
  };
  for (const SaeId& id : config.saes)
    QUIPU_TRY(check(id));
  for (const PeerConfig& peer : config.peers)
    for (const SaeId& id : peer.saes)
      QUIPU_TRY(check(id));
  return {};
}

Result<void> check_limits(const Limits& limits) {
  const auto good = [](std::uint32_t bits) {
    return bits != 0 && bits % 8 == 0 && bits <= 8 * kSlotSize * kMaxLeaseSlots;
  };
  if (!good(limits.min_key_size_bits) || !good(limits.key_size_bits) || !good(limits.max_key_size_bits) ||
      limits.min_key_size_bits > limits.key_size_bits || limits.key_size_bits > limits.max_key_size_bits)
    return fail(Errc::out_of_range, "key sizes shall be multiples of 8 with min <= default <= max <= " +
                                        std::to_string(8 * kSlotSize * kMaxLeaseSlots));
  if (limits.max_keys_per_request == 0 || limits.max_additional_slaves > etsi::kMaxAdditionalSaes)
    return fail(Errc::out_of_range, "a limit of the ETSI 014 server is out of range");
  return {};
}

Result<void> check_combiners(const KmeConfig& config) {
  for (const PeerConfig& peer : config.peers)
    if (peer.min_sources == 0 || peer.min_sources > kMaxCombined ||
        (peer.min_sources > 1 && peer.min_sources > config.sources_of(peer).size()))
      return fail(Errc::out_of_range, "keys shared with KME " + peer.id.value() + " cannot be combined from " +
                                          std::to_string(peer.min_sources) + " sources");
  return {};
}

Result<void> check_relay(const KmeConfig& config) {
  for (const PeerConfig& peer : config.peers) {
    if (peer.relay_paths == 0 || peer.relay_paths > wire::kMaxRelayPaths)
      return fail(Errc::out_of_range, "key cannot be relayed to KME " + peer.id.value() + " over " +
                                          std::to_string(peer.relay_paths) + " paths");
    const std::uint64_t shares = peer.min_sources > 1 ? config.sources_of(peer).size() : 1;
    if (peer.relay_target_octets > config.limits.pool_octets / 2 / shares)
      return fail(Errc::out_of_range,
                  "the stock wanted by relay with KME " + peer.id.value() + " is more than half its share of a pool");
  }
  for (const StaticRoute& route : config.relay.routes) {
    const auto peer = std::ranges::find(config.peers, route.to, &PeerConfig::id);
    if (peer != config.peers.end() && peer->relay_paths != 1)
      return fail(Errc::out_of_range,
                  "the static route to KME " + route.to.value() + " is one path, and there shall be several");
    std::set<KmeId> passed{config.id, route.to};
    bool good = !route.via.empty() && route.via.size() <= wire::kMaxRelayPath && passed.size() == 2;
    for (const KmeId& node : route.via)
      good = passed.insert(node).second && good;
    if (!good)
      return fail(Errc::out_of_range,
                  "the static route to KME " + route.to.value() + " passes none, too many, or one twice");
  }
  return {};
}

Result<void> check(const KmeConfig& config) {
  std::set<KmeId> kmes{config.id};
  for (const PeerConfig& peer : config.peers)
    if (!kmes.insert(peer.id).second) return fail(Errc::out_of_range, "KME " + peer.id.value() + " is named twice");
  for (const KmeId& id : kmes)
    if (!valid_name(id.value(), wire::kMaxIdSize))
      return fail(Errc::out_of_range, "a KME id is empty, too long or unprintable");
  std::set<std::string> names;
  for (const SourceConfig& source : config.sources) {
    if (!valid_name(source.name, wire::kMaxSourceName) || source.name == kRelaySource ||
        !names.insert(source.name).second)
      return fail(Errc::out_of_range, "link name '" + source.name + "' is empty, reserved, too long or used twice");
    if (source.peer == config.id || !kmes.contains(source.peer))
      return fail(Errc::out_of_range, "link " + source.name + " feeds a pool with an unknown KME");
  }
  QUIPU_TRY(check_saes(config));
  QUIPU_TRY(check_combiners(config));
  QUIPU_TRY(check_relay(config));
  return check_limits(config.limits);
}

}  // namespace

std::set<std::string, std::less<>> KmeConfig::sources_of(const PeerConfig& peer) const {
  std::set<std::string, std::less<>> names;
  for (const SourceConfig& source : sources)
    if (source.peer == peer.id) names.insert(source.name);
  if (peer.relay_target_octets != 0) names.emplace(kRelaySource);
  return names;
}

Result<std::unique_ptr<Kme>> Kme::start(KmeConfig config, Store& store, crypto::Rng& rng, WallTime wall,
                                        TimePoint now) {
  QUIPU_TRY(check(config));
  auto kme = std::make_unique<CoreKme>(std::move(config), rng, wall, now);
  QUIPU_TRY(kme->open(store));
  return kme;
}

}  // namespace quipu::kms
