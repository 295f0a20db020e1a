// SPDX-License-Identifier: Apache-2.0
// Several KMEs in one process with simulated time, drivers, KM links, SAEs and disasters.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kms/kme.h"
#include "sim/kms/books_watch.h"
#include "sim/kms/ledger.h"
#include "sim/kms/memory_store.h"
#include "sim/kms/seeded_rng.h"

namespace quipu::kms::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What the nodes of a world are called in tests.
inline constexpr std::size_t kA = 0;
inline constexpr std::size_t kB = 1;
inline constexpr std::size_t kC = 2;
inline constexpr std::size_t kD = 3;
inline constexpr std::size_t kE = 4;

// One running copy of a KME with its disk. Copies of one KME share name and SAEs.
struct Node {
  std::string name;
  MemoryStore store;
  std::unique_ptr<Kme> kme;
  BooksWatch books;
  unsigned calls = 0;  // that it is in: what it does may lead to another

  bool up() const { return kme != nullptr; }
};

struct Outcome {
  RequestId id;
  std::optional<EtsiReply> reply;  // not yet, or never when the node died

  bool ok() const { return reply && std::holds_alternative<etsi::KeyContainer>(*reply); }

  unsigned error() const {
    const auto* e = reply ? std::get_if<etsi::ApiError>(&*reply) : nullptr;
    return e != nullptr ? e->http_status : 0;
  }

  std::vector<KeyId> ids() const;
};

// Which sites share QKD devices, and between which keys are relayed. Sites are numbers.
struct Topology {
  using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;

  Pairs links;
  Pairs relayed;
  std::uint64_t target_octets = 0;  // of each relayed pool
  std::uint32_t paths = 1;          // likewise
  std::set<std::size_t> trusted;
  std::map<std::size_t, std::vector<StaticRoute>> routes;  // at that site

  static Topology line(std::size_t sites, std::uint64_t target_octets);
  static Topology ring(std::size_t sites, Pairs relayed, std::uint64_t target_octets);
};

class World {
 public:
  // What becomes of a message on its way from one site to another: nothing, itself, others.
  using Meddler = std::function<std::vector<SecretBytes>(std::size_t from, std::size_t to, SecretBytes message)>;

  // Sites "a", "b", ... in one network, each pair with a pool; SAEs "sae-a", "sae-b", ... and a second one "sae-a2"
  // each.
  World(std::uint64_t seed, unsigned sites, Limits limits = {});
  // As above, but with pools only where the topology has them.
  World(std::uint64_t seed, unsigned sites, Limits limits, Topology topology);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  // Whatever befell them, the books of all running nodes balance.
  ~World();

  SeededRng& rng() { return m_rng; }

  // Each link has so many device pairs, and each key a part of every one: call it before any node starts. At most
  // three.
  void combine(unsigned devices);

  // Changes every node's configuration, from its next start on.
  std::function<void(KmeConfig&)> configure = [](KmeConfig&) {};

  TimePoint now() const { return m_now; }

  Node& node(std::size_t index) { return *m_nodes.at(index); }

  const Node& node(std::size_t index) const { return *m_nodes.at(index); }

  std::size_t nodes() const { return m_nodes.size(); }

  KeyLedger& ledger() { return m_ledger; }

  const KeyLedger& ledger() const { return m_ledger; }

  // --- lives of nodes ---
  void start(std::size_t index);
  // kill -9: memory and connections are lost, the disk stays.
  void kill(std::size_t index);
  // In order, as on SIGTERM.
  void end(std::size_t index);
  // A second machine with a copy of that disk; returns its index. Not started.
  std::size_t clone(std::size_t index);

  // --- links ---
  void connect(std::size_t a, std::size_t b);
  // What is on the way is lost, all but `delivered` messages of each direction.
  void disconnect(std::size_t a, std::size_t b, std::size_t delivered = 0);
  bool connected(std::size_t a, std::size_t b) const;

  // Nothing is carried, nothing due is served, while held.
  void hold_messages(bool held) { m_messages_held = held; }

  void hold_timers(bool held) { m_timers_held = held; }

  void meddle(Meddler meddler) { m_meddler = std::move(meddler); }

  // Sees each message that leaves a site, whether or not it arrives.
  std::function<void(std::size_t from, std::size_t to, const SecretBytes& message)> on_sent =
      [](std::size_t, std::size_t, const SecretBytes&) {};

  // Carries one message if there is any; which, is random.
  bool carry_one();

  // --- drivers ---
  // The same fresh block to both; `to_a`, `to_b` say who gets it. `device`: which pair makes it.
  BlockId make_block(std::size_t a, std::size_t b, std::uint32_t size, bool to_a = true, bool to_b = true,
                     unsigned device = 0);
  void deliver_block(std::size_t to, std::size_t peer, const BlockId& id, const Bytes& octets,
                     std::optional<std::uint64_t> sequence = {});

  // From the entropy source there, as far as they are wanted.
  void feed_entropy(std::size_t at, ByteView octets);

  // Whether the drivers are simulations from now on.
  void simulate(bool simulated) { m_simulated = simulated; }

  const Bytes& octets_of(const BlockId& id) const { return m_blocks.at(id); }

  // --- SAEs ---
  std::shared_ptr<Outcome> enc_keys(std::size_t at, const std::string& master, const std::string& slave,
                                    etsi::KeyRequest request = {});
  std::shared_ptr<Outcome> dec_keys(std::size_t at, const std::string& slave, const std::string& master,
                                    std::vector<KeyId> ids);
  std::shared_ptr<Outcome> status(std::size_t at, const std::string& master, const std::string& slave);
  void cancel(std::size_t at, RequestId request);
  PoolStatus pool(std::size_t at, std::size_t peer) const;

  RelayStatus relay(std::size_t at) const { return m_nodes.at(at)->kme->relay_status(); }

  // By hand, as an operator does it.
  void void_pool(std::size_t at, std::size_t peer);

  // --- time ---
  // Serves what is due, and carries messages, until nothing is left at this moment.
  void settle();
  // A request that is not answered within the promised time fails the test, unless timers are held.
  void advance(Duration by);

  // Every report so far, by event name.
  const std::map<std::string, int>& reports() const { return m_reports; }

  // The last node that lost its power in a commit, to be started again.
  std::vector<std::size_t> take_struck() { return std::exchange(m_struck, {}); }

  // Of books of all nodes.
  std::vector<std::string> take_violations();

  Uuid random_uuid();
  static std::string sae(std::size_t site, bool second = false);

 private:
  struct Wire {
    std::size_t from = 0, to = 0;
    LinkId at_from, at_to;
    bool open = true;
    std::deque<SecretBytes> messages;
  };

  KmeConfig config_of(const std::string& name) const;
  void add_peer(KmeConfig& config, std::size_t own, std::size_t other) const;
  std::shared_ptr<Outcome> ask(std::size_t at, const SaeId& caller, etsi::Call call);
  void run(std::size_t index, const std::function<Actions(Kme&)>& call);
  void act(std::size_t index, Actions actions);
  void act_one(std::size_t index, Action& action);
  void receive(const Wire& wire, const SecretBytes& message);
  void answered(std::size_t index, ReplyEtsi& reply);
  void expect_answers();
  void cut(std::size_t index);
  void expect_books(const Node& node) const;
  void end_connection(LinkId at_one_end, std::size_t delivered);
  bool serve_due();

  struct Asked {
    std::shared_ptr<Outcome> outcome;
    SaeId caller;
    bool enc = false;
    TimePoint due;  // kme.h promises an answer until then
  };

  SeededRng m_rng;
  SeededRng m_key_rng;
  unsigned m_sites;
  Limits m_limits;
  std::optional<Topology> m_topology;
  Meddler m_meddler;
  TimePoint m_now{};
  std::vector<std::unique_ptr<Node>> m_nodes;
  std::vector<std::unique_ptr<Wire>> m_wires;
  unsigned m_devices = 1;
  std::map<BlockId, Bytes> m_blocks;
  std::map<BlockId, unsigned> m_device_of;  // of those blocks
  std::map<std::pair<std::size_t, RequestId>, Asked> m_asked;
  std::uint64_t m_next_id = 0;
  bool m_simulated = true;
  bool m_messages_held = false;
  bool m_timers_held = false;
  KeyLedger m_ledger;
  std::map<std::string, int> m_reports;
  std::vector<std::size_t> m_struck;
};

}  // namespace quipu::kms::sim
