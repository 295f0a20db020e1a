// SPDX-License-Identifier: Apache-2.0
// A whole KME that relays: "b" is a trusted node between a and c, the destination of blocks from a, and the source of
// blocks for d, over two paths both. Its peers do what the fuzzer says, with true key where it says so. Whatever they
// do, the KME goes on, says nothing that does not parse, and uses no slot for two hops.
#include <cstdlib>
#include <deque>
#include <set>

#include "kms/kme.h"
#include "kms/link_message.h"
#include "kms/relay/hop_seal.h"
#include "sim/kms/memory_store.h"
#include "sim/kms/seeded_rng.h"

namespace {

using namespace quipu;
using namespace quipu::kms;

void must(bool condition) {
  if (!condition) std::abort();
}

constexpr std::size_t kMaxSteps = 100;
constexpr std::size_t kMaxBlocks = 16;
constexpr std::uint32_t kBlockSize = 4'096;

KmeConfig configuration() {
  KmeConfig config{.id = KmeId("b"), .saes = {SaeId("sae-b")}, .peers = {}, .sources = {}, .limits = {}};
  for (const std::string name : {"a", "c", "d"})
    config.peers.push_back({.id = KmeId(name),
                            .saes = {SaeId("sae-" + name)},
                            .relay_target_octets = name == "c" ? 0U : 16'384U,
                            .relay_paths = name == "c" ? 1U : 2U});
  config.sources = {{"link-a", KmeId("a")}, {"link-c", KmeId("c")}};
  config.relay = {.trusted_node = true, .routes = {}, .entropy_source = true};
  return config;
}

struct Peer {
  KmeId id;
  LinkId link;
  bool up = false;
  std::uint32_t number = 0;
  std::deque<wire::Message> unanswered{};   // hops
  std::map<BlockId, Bytes> blocks{};        // in stock
  std::map<LeaseId, Bytes> leases{};        // of the peer, with their key
  std::map<LeaseId, std::uint16_t> used{};  // slots of these
};

class Network {
 public:
  explicit Network(ByteView script) : m_in(script), m_rng(1) {
    auto started = Kme::start(configuration(), m_store, m_rng, WallTime{}, m_now);
    must(started.has_value());
    m_kme = std::move(*started);
    for (const char* name : {"a", "c", "d"})
      connect(m_peers.emplace_back(Peer{KmeId(name), {}}));
    for (Peer& peer : m_peers)
      tell_links(peer, 1);
  }

  void run() {
    for (std::size_t step = 0; step < kMaxSteps && m_in.remaining() != 0; ++step) {
      Peer& peer = m_peers[m_in.u8() % m_peers.size()];
      switch (m_in.u8() % 11) {
        case 0: say_raw(peer); break;
        case 1: make_block(peer); break;
        case 2: lease(peer); break;
        case 3: hop(peer); break;
        case 4: answer_hop(peer); break;
        case 5: tell_links(peer, m_in.u8()); break;
        case 6: wait(std::chrono::milliseconds(m_in.u16())); break;
        case 7: reconnect(peer); break;
        case 8: give_entropy(); break;
        case 9: fail(peer); break;
        case 10: take(m_kme->void_pool(peer.id, m_now)); break;
        default: break;
      }
      settle();
    }
    (void)m_kme->relay_status();
  }

 private:
  Uuid uuid() {
    Bytes octets(16);
    m_rng.fill(octets);
    Uuid out;
    std::ranges::copy(octets, out.octets.begin());
    return out;
  }

  void take(Actions actions) {
    for (Action& action : actions) {
      must(!std::holds_alternative<Fatal>(action));
      if (auto* close = std::get_if<CloseLink>(&action))
        for (Peer& peer : m_peers)
          if (peer.link == close->link) peer.up = false;
      if (auto* send = std::get_if<SendLink>(&action)) {
        auto message = wire::decode(send->message.view());
        must(message.has_value());
        m_said.emplace_back(send->link, std::move(*message));
      }
    }
  }

  void say(const Peer& peer, const wire::Message& message) {
    if (peer.up) take(m_kme->link_received(peer.link, wire::encode(message).view(), m_now));
  }

  // What the KME says is answered as an honest peer does, but for hops.
  void settle() {
    for (int rounds = 0; rounds < 1'000 && !m_said.empty(); ++rounds) {
      const auto [link, message] = std::move(m_said.front());
      m_said.pop_front();
      for (Peer& peer : m_peers)
        if (peer.link == link) std::visit([&](const auto& each) { hear(peer, each); }, message);
    }
    must(m_said.empty());  // it comes to rest
  }

  template <class M>
  void hear(Peer&, const M&) {}

  void hear(Peer&, const wire::Hello& m) { m_nonce = m.nonce; }

  void hear(Peer& peer, const wire::Contact& m) { say(peer, wire::Contact{m_nonce, m.inventory}); }

  void hear(Peer& peer, const wire::Lease& m) { say(peer, wire::Ack{m.number}); }

  void hear(Peer& peer, const wire::Open& m) { say(peer, wire::Ack{m.number}); }

  void hear(Peer& peer, const wire::Ping& m) { say(peer, wire::Ack{m.number}); }

  void hear(Peer& peer, const wire::Close& m) { say(peer, wire::Closed{m.number, true}); }

  void hear(Peer& peer, const wire::Offer& m) { confirm(peer, m.number, m.blocks.size()); }

  void hear(Peer& peer, const wire::VoidRequest& m) { confirm(peer, m.number, m.blocks.size()); }

  void hear(Peer& peer, const wire::RelayHop& m) {
    for (const wire::PadPart& part : m.pad)
      for (int slot = part.slot; slot < part.slot + part.slots; ++slot)
        must(m_used.emplace(part.lease, slot).second);
    peer.unanswered.push_back(m);
  }

  void confirm(const Peer& peer, wire::RequestNumber number, std::size_t count) {
    say(peer, wire::BlockStates{number, std::vector(count, BlockState::usable)});
  }

  // Each has an inventory like the KME's.
  void connect(Peer& peer) {
    peer.link = LinkId(++m_last_link);
    peer.up = true;
    peer.number = 0;
    peer.unanswered.clear();
    peer.leases.clear();
    peer.blocks.clear();
    take(m_kme->link_connected(peer.link, peer.id, m_now));
    settle();
    wire::Hello hello{.sender = peer.id, .receiver = KmeId("b"), .instance = InstanceId(uuid())};
    m_instances[peer.id] = hello.instance;
    say(peer, hello);
    settle();
  }

  void reconnect(Peer& peer) {
    take(m_kme->link_disconnected(peer.link, "cut", m_now));
    m_said.clear();
    connect(peer);
  }

  void say_raw(const Peer& peer) {
    const std::size_t size = m_in.u8();
    const ByteView octets = m_in.take(std::min(size, m_in.remaining()));
    if (peer.up) take(m_kme->link_received(peer.link, octets, m_now));
  }

  void make_block(Peer& peer) {
    if (peer.id == KmeId("d") || peer.blocks.size() == kMaxBlocks) return;
    const BlockId id(uuid());
    Bytes octets(kBlockSize);
    m_rng.fill(octets);
    std::vector<SourceBlock> blocks;
    blocks.push_back({"link-" + peer.id.value(), id, SecretBytes::copy_of(octets), false, {}});
    take(m_kme->blocks_received(std::move(blocks), WallTime{}, m_now));
    peer.blocks.emplace(id, std::move(octets));
  }

  void lease(Peer& peer) {
    if (peer.blocks.empty()) return;
    const auto& [block, octets] = *std::next(peer.blocks.begin(), m_in.u8() % static_cast<int>(peer.blocks.size()));
    const std::uint32_t slots = 1 + m_in.u8() % 64U;
    const std::uint32_t offset = m_in.u8() % (kBlockSize / kSlotSize - slots) * kSlotSize;
    wire::Lease lease{next(peer), LeaseId(uuid()), m_instances[peer.id], {{block, {offset, slots * kSlotSize}}}, {}};
    for (std::uint32_t i = 0; i < slots; ++i)
      lease.key_ids.push_back(uuid());
    const auto begin = octets.begin() + offset;
    peer.leases[lease.id] = Bytes(begin, begin + std::ptrdiff_t{slots} * kSlotSize);
    say(peer, lease);
  }

  // With the key of a lease of the peer's, or with that of none.
  void hop(Peer& peer) {
    if (peer.leases.empty()) return;
    const auto& [lease, key] = *std::next(peer.leases.begin(), m_in.u8() % static_cast<int>(peer.leases.size()));
    std::uint16_t& first = peer.used[lease];
    const std::uint8_t what = m_in.u8();
    const auto slots = static_cast<std::uint16_t>(2 + what % 3);
    const std::size_t begin = std::size_t{first} * kSlotSize;
    const std::size_t size = std::size_t{slots} * kSlotSize;
    if (begin + size > key.size()) return;
    wire::RelayHop hop;
    hop.number = next(peer);
    hop.relay = BlockId(Uuid{{static_cast<std::uint8_t>(m_in.u8() % 8)}});
    hop.shares = static_cast<std::uint8_t>(1 + what / 3 % 2);
    hop.share = static_cast<std::uint8_t>(1 + what / 6 % hop.shares);
    hop.source = KmeId((what & 0x40) != 0 ? "a" : "x");
    hop.destination = KmeId((what & 0x80) != 0 ? "b" : "d");
    if (hop.destination == KmeId("d")) hop.path = {KmeId(peer.id == KmeId("a") ? "c" : "a"), KmeId("d")};
    hop.pad = {{lease, first, slots}};
    Bytes block(std::size_t{slots - 1U} * kSlotSize, m_in.u8());
    seal_hop(hop, block, ByteView(key).subspan(begin, size));
    if (m_in.u8() % 8 == 0) hop.tag[0] ^= 1;
    first = static_cast<std::uint16_t>(first + slots);
    say(peer, hop);
    if (m_in.u8() % 4 == 0) say(peer, (hop.number = next(peer), hop));
  }

  void answer_hop(Peer& peer) {
    if (peer.unanswered.empty()) return;
    const auto hop = std::get<wire::RelayHop>(peer.unanswered.front());
    peer.unanswered.pop_front();
    const std::uint8_t how = m_in.u8() % 32;
    if (how >= 1 && how <= 15)
      say(peer, wire::Refused{hop.number, static_cast<wire::RefusalReason>(how)});
    else
      say(peer, wire::Ack{hop.number});
    m_last_relayed = hop.relay;
  }

  void fail(const Peer& peer) {
    say(peer, wire::RelayFailed{m_last_relayed, wire::RefusalReason::timeout, peer.id, KmeId("d")});
  }

  // a and c lead to d.
  void tell_links(const Peer& peer, std::uint8_t how) {
    const bool up = how % 4 != 0;
    wire::LinkState state{peer.id, ++m_sequence, 0, true, {}};
    for (const char* other : {"a", "b", "c", "d"})
      if (KmeId(other) != peer.id) state.neighbours.push_back({KmeId(other), up, false, std::uint64_t{how} << 12U});
    say(peer, state);
  }

  void give_entropy() {
    Bytes octets(m_in.u16());
    m_rng.fill(octets);
    if (m_in.u8() == 0) octets.assign(octets.size(), 0);
    octets.resize(std::min(octets.size(), m_kme->entropy_room()));
    take(m_kme->entropy_received(octets, m_now));
    if (m_in.u8() % 16 == 0) take(m_kme->entropy_gone(m_now));
  }

  void wait(Duration by) {
    m_now += by;
    for (int i = 0; i < 100; ++i) {
      const auto due = m_kme->next_deadline();
      if (!due || *due > m_now) return;
      take(m_kme->handle_timeout(m_now));
      settle();
    }
    must(false);  // it does not come to rest
  }

  static wire::RequestNumber next(Peer& peer) { return wire::RequestNumber(++peer.number); }

  ByteReader m_in;
  sim::SeededRng m_rng;
  sim::MemoryStore m_store;
  TimePoint m_now;
  std::unique_ptr<Kme> m_kme;
  std::deque<Peer> m_peers;
  std::deque<std::pair<LinkId, wire::Message>> m_said;
  std::map<KmeId, InstanceId> m_instances;
  std::set<std::pair<LeaseId, int>> m_used;  // slots of leases of the KME
  wire::Nonce m_nonce{};
  BlockId m_last_relayed;
  std::uint64_t m_sequence = 0;
  std::uint64_t m_last_link = 0;
};

}  // namespace

// What the store checks ends the run, too.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  GTEST_FLAG_SET(break_on_failure, true);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Network({data, size}).run();
  return 0;
}
