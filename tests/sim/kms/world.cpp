// SPDX-License-Identifier: Apache-2.0
#include "sim/kms/world.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace quipu::kms::sim {
namespace {

const WallTime kWallStart{std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)};

// "a-b", "a-b-2", ...
std::string link_name(std::string a, std::string b, unsigned device) {
  if (b < a) std::swap(a, b);
  return a + "-" + b + (device == 0 ? "" : "-" + std::to_string(device + 1));
}

char site_of(const SaeId& sae) {
  return sae.value().at(std::size("sae-") - 1);
}

// As kme.h promises it: longer where slaves at several KMEs shall have the keys.
Duration answer_time(const etsi::EncKeysCall* call) {
  const auto is_further = [&](const SaeId& slave) { return site_of(slave) != site_of(call->slave); };
  const bool several = call != nullptr && std::ranges::any_of(call->request.additional_slave_sae_ids, is_further);
  return several ? milliseconds(2'500) : milliseconds(500);
}

}  // namespace

std::vector<KeyId> Outcome::ids() const {
  std::vector<KeyId> out;
  if (ok())
    for (const etsi::Key& key : std::get<etsi::KeyContainer>(*reply).keys)
      out.push_back(key.id);
  return out;
}

World::World(std::uint64_t seed, unsigned sites, Limits limits)
    : m_rng(seed), m_key_rng(seed ^ 0x9e3779b97f4a7c15U), m_sites(sites), m_limits(limits) {
  for (unsigned i = 0; i < sites; ++i) {
    m_nodes.push_back(std::make_unique<Node>());
    m_nodes.back()->name = std::string(1, static_cast<char>('a' + i));
  }
}

World::World(std::uint64_t seed, unsigned sites, Limits limits, Topology topology) : World(seed, sites, limits) {
  m_topology = std::move(topology);
}

World::~World() {
  for (const auto& each : m_nodes)
    if (each->up()) expect_books(*each);
}

void World::expect_books(const Node& node) const {
  for (const PoolStatus& pool : node.kme->status(kWallStart, m_now))
    EXPECT_TRUE(pool.books.balanced()) << "of " << node.name << " with " << pool.peer.value();
}

std::vector<std::string> World::take_violations() {
  std::vector<std::string> all;
  for (const auto& each : m_nodes)
    std::ranges::move(each->books.take_violations(), std::back_inserter(all));
  return all;
}

Topology Topology::line(std::size_t sites, std::uint64_t target_octets) {
  Topology out;
  out.target_octets = target_octets;
  for (std::size_t i = 0; i + 1 < sites; ++i)
    out.links.emplace_back(i, i + 1);
  for (std::size_t i = 1; i + 1 < sites; ++i)
    out.trusted.insert(i);
  out.relayed.emplace_back(0, sites - 1);
  return out;
}

Topology Topology::ring(std::size_t sites, Pairs relayed, std::uint64_t target_octets) {
  Topology out = line(sites, target_octets);
  out.links.emplace_back(0, sites - 1);
  out.relayed = std::move(relayed);
  for (std::size_t i = 0; i < sites; ++i)
    out.trusted.insert(i);
  return out;
}

std::string World::sae(std::size_t site, bool second) {
  return std::string("sae-") + static_cast<char>('a' + static_cast<int>(site)) + (second ? "2" : "");
}

KmeConfig World::config_of(const std::string& name) const {
  KmeConfig config;
  config.limits = m_limits;
  config.id = KmeId(name);
  const auto own = static_cast<std::size_t>(name.front() - 'a');
  config.saes = {SaeId(sae(own)), SaeId(sae(own, true))};
  for (std::size_t other = 0; other < m_sites; ++other)
    if (other != own) add_peer(config, own, other);
  if (m_topology) {
    config.relay.trusted_node = m_topology->trusted.contains(own);
    if (const auto routes = m_topology->routes.find(own); routes != m_topology->routes.end())
      config.relay.routes = routes->second;
  }
  configure(config);
  return config;
}

void World::add_peer(KmeConfig& config, std::size_t own, std::size_t other) const {
  const KmeId id(node(other).name);
  const auto joins = [&](const std::pair<std::size_t, std::size_t>& each) {
    return each == std::pair(own, other) || each == std::pair(other, own);
  };
  const bool linked = !m_topology || std::ranges::any_of(m_topology->links, joins);
  const bool relayed = m_topology && std::ranges::any_of(m_topology->relayed, joins);
  if (!linked && !relayed) return;
  config.peers.push_back({.id = id,
                          .saes = {SaeId(sae(other)), SaeId(sae(other, true))},
                          .relay_target_octets = relayed ? m_topology->target_octets : 0,
                          .relay_paths = relayed ? m_topology->paths : 1,
                          .min_sources = m_devices});
  for (unsigned device = 0; linked && device < m_devices; ++device)
    config.sources.push_back({link_name(config.id.value(), id.value(), device), id});
}

void World::start(std::size_t index) {
  Node& n = node(index);
  n.store.calm();
  n.store.on_commit = [&n](const Transaction& transaction) { n.books.committed(transaction); };
  const auto before = n.store.books();
  auto kme = Kme::start(config_of(n.name), n.store, m_rng,
                        kWallStart + std::chrono::floor<milliseconds>(m_now - TimePoint{}), m_now);
  ASSERT_TRUE(kme) << kme.error().text;
  n.kme = std::move(*kme);
  n.books.started(before, n.store.books());
}

void World::kill(std::size_t index) {
  node(index).kme.reset();
  cut(index);
  std::erase_if(m_asked, [&](const auto& entry) { return entry.first.first == index; });
}

void World::end(std::size_t index) {
  run(index, [&](Kme& kme) { return kme.end(m_now); });
  kill(index);
}

// Its connections are gone; what it had sent may still arrive.
void World::cut(std::size_t index) {
  for (std::size_t other = 0; other < m_nodes.size(); ++other)
    if (other != index && connected(index, other)) disconnect(index, other, m_rng.below(3));
}

std::size_t World::clone(std::size_t index) {
  m_nodes.push_back(std::make_unique<Node>());
  m_nodes.back()->name = node(index).name;
  m_nodes.back()->store.restore(node(index).store.disk());
  return m_nodes.size() - 1;
}

bool World::connected(std::size_t a, std::size_t b) const {
  return std::ranges::any_of(m_wires, [&](const auto& w) { return w->open && w->from == a && w->to == b; });
}

void World::connect(std::size_t a, std::size_t b) {
  const LinkId at_a(++m_next_id);
  const LinkId at_b(++m_next_id);
  m_wires.push_back(std::make_unique<Wire>(Wire{a, b, at_a, at_b, true, {}}));
  m_wires.push_back(std::make_unique<Wire>(Wire{b, a, at_b, at_a, true, {}}));
  run(a, [&](Kme& kme) { return kme.link_connected(at_a, KmeId(node(b).name), m_now); });
  run(b, [&](Kme& kme) { return kme.link_connected(at_b, KmeId(node(a).name), m_now); });
}

void World::disconnect(std::size_t a, std::size_t b, std::size_t delivered) {
  for (std::size_t i = 0; i < m_wires.size(); ++i)
    if (Wire& wire = *m_wires[i]; wire.open && wire.from == a && wire.to == b) end_connection(wire.at_from, delivered);
}

void World::end_connection(LinkId at_one_end, std::size_t delivered) {
  for (std::size_t i = 0; i < m_wires.size(); ++i) {
    Wire& wire = *m_wires[i];
    if (!wire.open || (wire.at_from != at_one_end && wire.at_to != at_one_end)) continue;
    wire.open = false;
    for (std::size_t n = 0; n < delivered && !wire.messages.empty(); ++n) {
      const SecretBytes message = std::move(wire.messages.front());
      wire.messages.pop_front();
      receive(wire, message);
    }
    // The rest comes late or never: after the end of its connection it must have no effect.
    if (!wire.messages.empty() && m_rng.chance(50)) wire.messages.clear();
    run(wire.to, [&](Kme& kme) { return kme.link_disconnected(wire.at_to, "cut", m_now); });
  }
}

bool World::carry_one() {
  if (m_messages_held) return false;
  std::vector<Wire*> busy;
  for (const auto& wire : m_wires)
    if (!wire->messages.empty()) busy.push_back(wire.get());
  if (busy.empty()) {
    std::erase_if(m_wires, [](const auto& wire) { return !wire->open; });
    return false;
  }
  Wire& wire = *busy[m_rng.below(static_cast<std::uint32_t>(busy.size()))];
  std::vector<SecretBytes> arriving;
  arriving.push_back(std::move(wire.messages.front()));
  wire.messages.pop_front();
  if (m_meddler) arriving = m_meddler(wire.from, wire.to, std::move(arriving.front()));
  for (const SecretBytes& message : arriving)
    receive(wire, message);
  return true;
}

void World::receive(const Wire& wire, const SecretBytes& message) {
  node(wire.to).books.received(message);
  run(wire.to, [&](Kme& kme) { return kme.link_received(wire.at_to, message.view(), m_now); });
}

Uuid World::random_uuid() {
  std::array<std::uint8_t, 16> random{};
  m_key_rng.fill(random);
  return Uuid::from_random(random);
}

void World::combine(unsigned devices) {
  m_devices = devices;
  m_ledger.expect_combined(devices);
}

BlockId World::make_block(std::size_t a, std::size_t b, std::uint32_t size, bool to_a, bool to_b, unsigned device) {
  const BlockId id(random_uuid());
  Bytes& octets = m_blocks[id];
  octets.resize(size);
  m_key_rng.fill(octets);
  m_device_of[id] = device;
  if (m_devices > 1) m_ledger.stamp(device, m_devices, octets);
  if (to_a) deliver_block(a, b, id, octets);
  if (to_b) deliver_block(b, a, id, octets);
  return id;
}

void World::deliver_block(std::size_t to, std::size_t peer, const BlockId& id, const Bytes& octets,
                          std::optional<std::uint64_t> sequence) {
  std::vector<SourceBlock> blocks;
  blocks.push_back({link_name(node(to).name, node(peer).name, m_device_of[id]), id, SecretBytes::copy_of(octets),
                    m_simulated, sequence});
  const WallTime wall = kWallStart + std::chrono::floor<milliseconds>(m_now - TimePoint{});
  run(to, [&](Kme& kme) { return kme.blocks_received(std::move(blocks), wall, m_now); });
}

void World::feed_entropy(std::size_t at, ByteView octets) {
  const ByteView wanted = octets.first(std::min(octets.size(), node(at).kme->entropy_room()));
  run(at, [&](Kme& kme) { return kme.entropy_received(wanted, m_now); });
}

std::shared_ptr<Outcome> World::ask(std::size_t at, const SaeId& caller, etsi::Call call) {
  const RequestId id(++m_next_id);
  auto outcome = std::make_shared<Outcome>(Outcome{id, {}});
  if (!node(at).up()) return outcome;
  const auto* enc = std::get_if<etsi::EncKeysCall>(&call);
  m_asked[{at, id}] = {outcome, caller, enc != nullptr, m_now + answer_time(enc)};
  run(at, [&](Kme& kme) { return kme.etsi_request(id, caller, std::move(call), m_now); });
  return outcome;
}

std::shared_ptr<Outcome> World::enc_keys(std::size_t at, const std::string& master, const std::string& slave,
                                         etsi::KeyRequest request) {
  return ask(at, SaeId(master), etsi::EncKeysCall{SaeId(slave), std::move(request)});
}

std::shared_ptr<Outcome> World::dec_keys(std::size_t at, const std::string& slave, const std::string& master,
                                         std::vector<KeyId> ids) {
  return ask(at, SaeId(slave), etsi::DecKeysCall{SaeId(master), {std::move(ids)}});
}

std::shared_ptr<Outcome> World::status(std::size_t at, const std::string& master, const std::string& slave) {
  return ask(at, SaeId(master), etsi::StatusCall{SaeId(slave)});
}

void World::cancel(std::size_t at, RequestId request) {
  m_asked.erase({at, request});
  run(at, [&](Kme& kme) { return kme.etsi_cancelled(request, m_now); });
}

void World::void_pool(std::size_t at, std::size_t peer) {
  run(at, [&](Kme& kme) { return kme.void_pool(KmeId(node(peer).name), m_now); });
}

PoolStatus World::pool(std::size_t at, std::size_t peer) const {
  for (PoolStatus& status : m_nodes.at(at)->kme->status(kWallStart, m_now))
    if (status.peer.value() == m_nodes.at(peer)->name) return std::move(status);
  return {};
}

void World::run(std::size_t index, const std::function<Actions(Kme&)>& call) {
  Node& n = node(index);
  if (!n.up()) return;
  ++n.calls;
  try {
    act(index, call(*n.kme));
  } catch (const PowerLoss&) {
    kill(index);
    m_struck.push_back(index);
  }
  if (--n.calls == 0 && n.up()) n.books.check();
}

void World::act(std::size_t index, Actions actions) {
  for (Action& action : actions) {
    if (!node(index).up()) return;
    act_one(index, action);
  }
}

void World::act_one(std::size_t index, Action& action) {
  if (auto* send = std::get_if<SendLink>(&action)) {
    node(index).books.sent(send->message);
    for (const auto& wire : m_wires) {
      if (!wire->open || wire->from != index || wire->at_from != send->link) continue;
      on_sent(index, wire->to, send->message);
      wire->messages.push_back(std::move(send->message));
    }
  } else if (auto* close = std::get_if<CloseLink>(&action)) {
    // What was said before arrives; this end says and hears nothing more.
    end_connection(close->link, std::numeric_limits<std::size_t>::max());
  } else if (auto* reply = std::get_if<ReplyEtsi>(&action)) {
    answered(index, *reply);
  } else if (auto* report = std::get_if<Report>(&action)) {
    ++m_reports[std::string(report->event)];
  } else if (auto* fatal = std::get_if<Fatal>(&action)) {
    ++m_reports["fatal"];
    ADD_FAILURE() << "fatal at " << node(index).name << ": " << fatal->error.text;
  }
}

void World::answered(std::size_t index, ReplyEtsi& reply) {
  const auto asked = m_asked.find({index, reply.request});
  ASSERT_NE(asked, m_asked.end()) << "a request was answered twice";
  if (const auto* container = std::get_if<etsi::KeyContainer>(&reply.reply))
    for (const etsi::Key& key : container->keys) {
      node(index).books.handed_out(key.id, key.bytes.size());
      if (asked->second.enc)
        m_ledger.handed_to_master(asked->second.caller, key.id, key.bytes.view());
      else
        m_ledger.handed_to_slave(asked->second.caller, key.id, key.bytes.view());
    }
  asked->second.outcome->reply = std::move(reply.reply);
  m_asked.erase(asked);
}

void World::expect_answers() {
  if (m_timers_held) return;
  std::erase_if(m_asked, [&](const auto& entry) {
    const auto& [at, request] = entry.first;
    if (entry.second.due > m_now) return false;
    ADD_FAILURE() << "request " << request.value() << " at " << node(at).name << " was not answered in time";
    return true;
  });
}

bool World::serve_due() {
  if (m_timers_held) return false;
  bool served = false;
  for (std::size_t i = 0; i < m_nodes.size(); ++i) {
    if (!node(i).up()) continue;
    const auto due = node(i).kme->next_deadline();
    if (!due || *due > m_now) continue;
    served = true;
    run(i, [&](Kme& kme) { return kme.handle_timeout(m_now); });
  }
  return served;
}

void World::settle() {
  for (int rounds = 0; rounds < 100'000; ++rounds)
    if (!serve_due() && !carry_one()) return;
  FAIL() << "the exchange does not come to rest";
}

void World::advance(Duration by) {
  const TimePoint end = m_now + by;
  settle();
  while (m_now < end) {
    TimePoint next = end;
    for (const auto& n : m_nodes)
      if (n->up())
        if (const auto due = n->kme->next_deadline()) next = std::min(next, *due);
    m_now = std::max(next, m_now);
    settle();
    expect_answers();
  }
}

}  // namespace quipu::kms::sim
