// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace quipu::sim {

using namespace protocol;

namespace {

// An IPv4 packet from 10.0.FROM.1 to the other end that carries its number.
Bytes numbered_packet(int from, std::uint64_t number, std::size_t size, bool dont_fragment) {
  Bytes packet(size);
  packet[0] = 0x45;
  packet[2] = static_cast<std::uint8_t>(size >> 8);
  packet[3] = static_cast<std::uint8_t>(size);
  packet[6] = dont_fragment ? 0x40 : 0;
  const std::uint8_t source[] = {10, 0, static_cast<std::uint8_t>(from), 1};
  const std::uint8_t destination[] = {10, 0, static_cast<std::uint8_t>(1 - from), 1};
  std::copy(std::begin(source), std::end(source), packet.begin() + 12);
  std::copy(std::begin(destination), std::end(destination), packet.begin() + 16);
  ByteWriter(MutableBytes(packet).subspan(20)).u64(number);
  return packet;
}

KeySource source_of(int number, std::size_t slot) {
  const std::string suffix = std::to_string(slot);
  const SaeId ids[] = {SaeId("sae-a-" + suffix), SaeId("sae-b-" + suffix)};
  return {"kms" + suffix, ids[number], ids[1 - number], KeyKind::etsi014, false};
}

// How long lanes and Device take to hear of each other.
constexpr Duration kToThread = 1ms;

Endpoint port_of(Endpoint first, std::size_t lane) {
  first.port = static_cast<std::uint16_t>(first.port + lane);
  return first;
}

}  // namespace

Node::Node(World& world, int number, const Options& options)
    : lanes(options.lanes), m_world(world), m_number(number), m_options(options) {
  endpoint = *Endpoint::parse("192.0.2." + std::to_string(number + 1) + ":51900");
}

void Node::start(bool knows_endpoint) {
  ++m_life;
  m_wake.reset();
  m_turn_pending = false;
  keys_delivered = keys_burnt = 0;
  m_rng = std::make_unique<SeededRng>(m_world.rng.next());
  m_device.emplace(*Device::create({.private_key = m_world.identities[m_number]->private_key.clone(),
                                    .stamps_end = Stamp(durable_stamps),
                                    .key_limits = m_options.key_limits,
                                    .lanes = lanes},
                                   *m_rng));
  m_lanes.clear();
  for (std::uint8_t lane = 1; lane < lanes; ++lane)
    m_lanes.emplace_back(Lane(lane));
  const auto added = m_device->add_peer(peer_config(knows_endpoint), m_world.now());
  ASSERT_TRUE(added) << added.error().text;
  turn();
}

PeerConfig Node::peer_config(bool knows_endpoint) {
  PeerConfig peer;
  peer.id = kFarEnd;
  peer.name = m_number == 0 ? "site-b" : "site-a";
  peer.public_key = m_world.identities[1 - m_number]->public_key;
  peer.psk = m_world.psk.clone();
  if (knows_endpoint) peer.endpoint = m_world.node(1 - m_number).endpoint;
  peer.allowed_ips = {*IpPrefix::parse("10.0." + std::to_string(1 - m_number) + ".0/24")};
  peer.policy.qkd = m_options.qkd;
  peer.policy.min_sources = m_options.min_sources;
  for (std::size_t slot = 0; slot < m_options.sources && m_options.qkd != QkdUse::off; ++slot)
    peer.policy.sources.push_back(source_of(m_number, slot));
  peer.rekey_interval = m_options.interval;
  peer.max_key_age = m_options.max_key_age;
  peer.always_on = m_options.always_on;
  if (adjust) adjust(peer);
  return peer;
}

void Node::restart(bool knows_endpoint) {
  start(knows_endpoint);
}

void Node::restart_with_stamps(std::uint64_t end) {
  durable_stamps = end;
  start();
}

void Node::with_device(const std::function<void(Device&, Actions&)>& what) {
  Actions actions;
  what(*m_device, actions);
  perform(actions);
  turn();
}

PacketPath& Node::path(std::size_t lane) {
  if (lane == 0) return *m_device;
  return m_lanes[lane - 1];
}

std::uint64_t Node::send(const Sending& sending) {
  std::size_t lane = sending.lane;
  const std::uint64_t number = sent.size() + 1;
  sent.insert(number);
  const auto packet = numbered_packet(m_number, number, sending.size, sending.dont_fragment);
  Bytes out(packet.size() + kMaxOverhead);
  auto route = path(lane).route(packet, m_world.now());
  if (!route && lane != 0) {
    lane_turn(lane);
    lane = 0;
    route = m_device->route(packet, m_world.now());
  }
  EXPECT_TRUE(route);
  if (const auto sealed = path(lane).seal(*route, {packet}, out, m_world.now())) {
    out.resize(sealed->size);
    if (lane != 0) ++sent_by_lanes;
    m_world.transmit(m_number, std::move(out), sealed->to, sealed->may_fragment, lane);
  }
  if (lane == 0)
    turn();
  else
    lane_turn(lane);
  return number;
}

void Node::receive(Bytes datagram, const Endpoint& from, std::size_t lane) {
  if (!m_device || lane > m_lanes.size()) return;
  Actions actions;
  if (!PacketPath::is_data(datagram))
    path(lane).receive(datagram, from, m_world.now(), actions);
  else if (const auto opened = path(lane).open(datagram, from, m_world.now()))
    take(*opened);
  if (lane != 0) return lane_turn(lane);
  perform(actions);
  end_turn();
}

void Node::take(const Opened& opened) {
  if (opened.packet.empty()) return;
  const std::uint64_t number = ByteReader(opened.packet.subspan(20)).u64();
  EXPECT_TRUE(m_world.node(1 - m_number).sent.contains(number)) << "a packet that nobody sent";
  if (!received.insert(number).second) ++duplicates;
}

void Node::update_lanes(const LaneUpdate& update) {
  m_world.after(kToThread, [this, update, life = m_life] {
    if (life != m_life) return;
    for (SideLane& lane : m_lanes)
      lane.apply(update);
  });
}

void Node::lane_turn(std::size_t lane) {
  SideLane& side = m_lanes[lane - 1];
  SideLane::Events events;
  side.advance(m_world.now(), events);
  for (SendDatagram& datagram : events.send)
    m_world.transmit(m_number, std::move(datagram.bytes), datagram.to, datagram.may_fragment, lane);
  for (const SideLane::Used& used : events.used)
    m_world.after(kToThread, [this, used, life = m_life] {
      if (life == m_life) with_device([&](Device& device, Actions&) { device.lane_was_used(used, m_world.now()); });
    });
  if (const auto next = side.next_deadline())
    m_world.at(std::max(*next, m_world.now() + kToThread), [this, lane, life = m_life] {
      if (life == m_life && m_lanes[lane - 1].next_deadline() <= m_world.now()) lane_turn(lane);
    });
}

void Node::end_turn() {
  if (batch == Duration{}) {
    turn();
    return;
  }
  if (std::exchange(m_turn_pending, true)) return;
  m_world.after(batch, [this, life = m_life] {
    if (life != m_life) return;
    m_turn_pending = false;
    turn();
  });
}

void Node::turn() {
  for (int i = 0;; ++i) {
    ASSERT_LT(i, 20) << "advance() leaves its own deadline in the past";
    Actions actions;
    m_device->advance(m_world.now(), actions);
    perform(actions);
    const auto next = m_device->next_deadline();
    if (!next) return;
    if (*next > m_world.now()) {
      if (m_wake && *m_wake <= *next && *m_wake > m_world.now()) return;
      m_wake = *next;
      m_world.at(*next, [this, life = m_life] {
        if (life == m_life) turn();
      });
      return;
    }
  }
}

void Node::perform(Actions& actions) {
  for (Action& action : actions) {
    if (auto* send = std::get_if<SendDatagram>(&action)) {
      if (send->handshake) ++handshakes_sent;
      m_world.transmit(m_number, std::move(send->bytes), send->to, send->may_fragment);
    } else if (const auto* request = std::get_if<RequestKey>(&action)) {
      ask_kms(*request);
    } else if (const auto* reserve = std::get_if<ReserveStamps>(&action)) {
      if (!answers_stamps) continue;
      m_world.after(1ms, [this, end = reserve->end, life = m_life] {
        if (life != m_life) return;
        durable_stamps = std::max(durable_stamps, end.value());
        Actions more;
        m_device->stamps_reserved(end, m_world.now(), more);
        perform(more);
        turn();
      });
    } else if (const auto* update = std::get_if<UpdateLanes>(&action)) {
      update_lanes(update->update);
    } else if (std::holds_alternative<BurnKey>(action)) {
      ++keys_burnt;
    } else if (std::holds_alternative<ResolveEndpoint>(action)) {
      resolve();
    } else if (const auto* event = std::get_if<ReportEvent>(&action)) {
      ++reported[std::string(event->event)];
      for (const LogField& field : event->fields)
        if (field.name == "reason") reasons[std::string(event->event)] = field.value;
      if (std::getenv("QUIPU_SIM_LOG") != nullptr) {
        std::fprintf(stderr, "%10.3f %c %s", std::chrono::duration<double>(m_world.now().time_since_epoch()).count(),
                     m_number == 0 ? 'A' : 'B', std::string(event->event).c_str());
        for (const LogField& field : event->fields)
          std::fprintf(stderr, " %s=%s", std::string(field.name).c_str(), field.value.c_str());
        std::fprintf(stderr, "\n");
      }
    }
  }
  actions.clear();
}

void Node::ask_kms(const RequestKey& request) {
  EXPECT_EQ(request.source.own, source_of(m_number, request.slot).own);
  auto answer = std::make_shared<KmsPair::Answer>(m_world.kms.ask(m_number, request, m_world.now()));
  if (answer->silent) return;
  m_world.after(answer->after, [this, answer, id = request.id, life = m_life] {
    if (life != m_life) return;
    Actions actions;
    if (answer->failure) {
      m_device->key_failed(id, *answer->failure, m_world.now(), actions);
    } else {
      ++keys_delivered;
      m_device->key_fetched(id, answer->key_id, std::move(answer->key), m_world.now(), actions);
    }
    perform(actions);
    turn();
  });
}

void Node::resolve() {
  ++names_asked;
  if (!name_answers) return;
  m_world.after(1ms, [this, endpoint_of_name = *name_answers, life = m_life] {
    if (life != m_life) return;
    with_device([&](Device& device, Actions& actions) {
      device.endpoint_resolved(kFarEnd, endpoint_of_name, m_world.now(), actions);
    });
  });
}

PeerStatus Node::status() const {
  return m_device->status(m_world.now()).front();
}

std::size_t Node::events(std::string_view name) const {
  const auto found = reported.find(name);
  return found == reported.end() ? 0 : found->second;
}

void Watch::initiation(int from, const ReceivedInitiation& opened, const MessageDigest& digest) {
  m_named[from].insert_or_assign(opened.remote().value(), Named{digest, opened.payload().keys});
}

// A key enters one transcript, whatever its KMS does: one message 1 and its answer.
void Watch::answered(int responder, const ResponseHeader& response) {
  const auto named = m_named[1 - responder].find(response.receiver.value());
  if (named == m_named[1 - responder].end()) return;  // of an identity that only the test holds
  const auto& [digest, keys] = named->second;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (((response.accepted.value() >> i) & 1U) == 0) continue;
    const auto [entered, first] = m_entered[responder].try_emplace(keys[i].key_id, digest);
    EXPECT_TRUE(entered->second == digest) << "a key in two handshakes: " << keys[i].key_id.value();
  }
}

void Watch::sent(int from, ByteView datagram) {
  const auto type = message_type(datagram);
  if (type == MessageType::response) {
    answered(from, *parse_response_header(datagram));
    const auto fields = parse_response(datagram);
    if (m_by_index.contains(fields->sender.value())) return;  // a repetition
    m_by_index[fields->sender.value()] = m_by_index[fields->receiver.value()] = m_pairs.size();
    m_pairs.push_back({fields->receiver.value(), fields->sender.value(), from});
  }
  if (type != MessageType::data) return;
  const auto found = m_by_index.find(parse_data(datagram)->receiver.value());
  ASSERT_NE(found, m_by_index.end()) << "data for an index of no handshake";
  const Pair& pair = m_pairs[found->second];
  EXPECT_TRUE(from != pair.responder || pair.confirmed) << "the responder sends under an unconfirmed keypair";
  m_last[from] = found->second;
}

void Watch::delivered(int to, ByteView datagram) {
  if (message_type(datagram) != MessageType::data) return;
  const auto found = m_by_index.find(parse_data(datagram)->receiver.value());
  if (found != m_by_index.end() && m_pairs[found->second].responder == to) m_pairs[found->second].confirmed = true;
}

bool Watch::agree() const {
  return m_last[0] && m_last[0] == m_last[1];
}

World::World(Options given) : options(given), rng(given.seed), kms(given.seed ^ 0x5eed) {
  psk.mutable_view()[0] = 42;
  for (auto& identity : identities) {
    auto key = crypto::generate_x25519(rng);
    const auto public_key = crypto::x25519_public_key(key);
    identity = std::make_unique<Identity>(Identity{std::move(key), public_key});
  }
  if (identities[1]->public_key < identities[0]->public_key) std::swap(identities[0], identities[1]);
  for (int i = 0; i < 2; ++i)
    m_nodes[i] = std::make_unique<Node>(*this, i, options);
}

void World::at(TimePoint time, std::function<void()> what) {
  m_events.push({time, ++m_order, std::move(what)});
}

void World::run(Duration duration) {
  run_until([] { return false; }, duration);
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = m_now + limit;
  while (!m_events.empty() && m_events.top().time <= end && !testing::Test::HasFatalFailure()) {
    Event event = m_events.top();
    m_events.pop();
    m_now = std::max(m_now, event.time);
    event.what();
    if (done()) return true;
  }
  m_now = end;
  return false;
}

void World::traffic(Duration interval, Duration duration, bool from_a, bool from_b) {
  const TimePoint end = m_now + duration;
  for (int i = 0; i < 2; ++i) {
    if (!(i == 0 ? from_a : from_b)) continue;
    auto send = std::make_shared<std::function<void()>>();
    *send = [this, i, end, interval, self = std::weak_ptr(send)] {
      node(i).send();
      if (auto again = self.lock(); again && m_now + interval < end) after(interval, [again] { (*again)(); });
    };
    after(interval * (i + 1) / 2, [send] { (*send)(); });
  }
}

bool World::healthy() {
  const std::uint64_t from_a = a().send();
  const std::uint64_t from_b = b().send();
  // A rekey may be under way: both have to hold at one moment.
  return run_until(
      [&] {
        const bool arrived = a().received.contains(from_b) && b().received.contains(from_a);
        return arrived && watch.agree() && a().status().confirmed && b().status().confirmed;
      },
      1s);
}

bool World::heals(Duration limit) {
  const TimePoint end = m_now + limit;
  while (m_now < end)
    if (healthy()) return true;
  return false;
}

void World::rekey() {
  a().with_device([&](Device& device, Actions& actions) { ASSERT_TRUE(device.rekey_now(kFarEnd, now(), actions)); });
}

Bytes World::policy_of_a() {
  return policy_on_wire(a().peer_config(true).policy.canonical(identities[0]->public_key, identities[1]->public_key));
}

void World::overtake(int times) {
  links[0].lose = [this, times](ByteView datagram) mutable {
    if (!is_initiation(datagram) || --times < 0) return false;
    const InitiationPayload payload{Stamp(++m_overtaken << 32), {}, policy_of_a(), 1, {}};
    const auto later =
        Initiation::create(*identities[0], identities[1]->public_key, psk, SessionIndex(1), payload, rng);
    inject(0, later->message(), *Endpoint::parse("203.0.113.9:1"));
    return false;
  };
}

void World::inject(int from, Bytes datagram, const Endpoint& source) {
  node(1 - from).receive(std::move(datagram), source);
}

void World::transmit(int from, Bytes datagram, const Endpoint& to, bool may_fragment, std::size_t lane) {
  if (message_type(datagram) == MessageType::initiation)
    if (const auto opened =
            ReceivedInitiation::consume(datagram, *identities[1 - from], [this](const auto&) { return &psk; }))
      watch.initiation(from, *opened, digest_of(datagram));
  watch.sent(from, datagram);
  if (!Device::is_data(datagram)) handshakes[from].push_back(datagram);
  Link& link = links[from];
  const Endpoint source = port_of(node(from).endpoint, lane);
  const Endpoint there = port_of(node(1 - from).endpoint, lane);
  if (to != there) return;
  const int copies = rng.chance(link.duplication) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const bool fits = may_fragment || datagram.size() <= link.width;
    if (link.cut || rng.chance(link.loss) || !fits || (link.lose && link.lose(datagram))) continue;
    const auto jitter = link.jitter == Duration{} ? 0 : rng.below(static_cast<std::uint64_t>(link.jitter.count()));
    after(link.delay + Duration(static_cast<Duration::rep>(jitter)), [this, from, source, to, lane, copy = datagram] {
      if (port_of(node(1 - from).endpoint, lane) != to) return;
      watch.delivered(1 - from, copy);
      node(1 - from).receive(copy, source, lane);
    });
  }
}

std::vector<Bytes> Started::record_rekeys() {
  for (int i = 0; i < 5; ++i) {
    rekey();
    run(2s);
  }
  std::vector<Bytes> out;
  std::ranges::copy_if(handshakes[0], std::back_inserter(out), is_initiation);
  return out;
}

std::uint64_t seeds(std::uint64_t normal) {
  const char* told = std::getenv("QUIPU_SIM_SEEDS");
  return told == nullptr ? normal
                         : std::max<std::uint64_t>(1, std::strtoull(told, nullptr, 10) * normal / kCampaignSeeds);
}

}  // namespace quipu::sim
