// SPDX-License-Identifier: Apache-2.0
// Two sites in one process: Devices, a bad link, a pair of KMSs, and virtual time. Everything follows from one seed.
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>

#include "kms_pair.h"
#include "protocol/answer_keeper.h"
#include "protocol/device.h"

namespace quipu::sim {

using protocol::Actions;
using protocol::PeerId;

inline constexpr PeerId kFarEnd{1};

inline bool is_initiation(ByteView datagram) {
  return protocol::message_type(datagram) == protocol::MessageType::initiation;
}

inline bool is_response(ByteView datagram) {
  return protocol::message_type(datagram) == protocol::MessageType::response;
}

// One direction.
struct Link {
  Duration delay = 5ms;
  Duration jitter{};  // evenly on top: reorders
  double loss = 0;
  double duplication = 0;
  bool cut = false;
  std::size_t width = SIZE_MAX;  // longer datagrams are lost, unless they may be fragmented
  // Datagrams that this says yes to are lost.
  std::function<bool(ByteView)> lose;
};

struct Options {
  std::uint64_t seed = 1;
  Duration interval = 10s;
  Duration max_key_age{};
  protocol::QkdUse qkd = protocol::QkdUse::required;
  std::size_t sources = 1;
  std::uint8_t min_sources = 0;
  bool always_on = false;
  protocol::KeyLimits key_limits{};
  std::uint8_t lanes = 1;
};

class World;

// One site: the program around a Device.
class Node {
 public:
  Node(World& world, int number, const Options& options);

  // As after a crash: a new Device. What is remembered is what is on disk, unless told otherwise.
  void start(bool knows_endpoint = true);
  void restart(bool knows_endpoint = true);
  // As after a restored snapshot: the stamps begin at `end` again.
  void restart_with_stamps(std::uint64_t end);

  protocol::Device& device() { return *m_device; }

  int number() const { return m_number; }

  Endpoint endpoint;
  std::uint64_t durable_stamps = 0;
  bool answers_stamps = true;
  std::uint8_t lanes;                                 // of the next start()
  std::function<void(protocol::PeerConfig&)> adjust;  // the last word on the peer's configuration
  // How long the event loop goes on receiving before it ends its turn: 0 for a turn per datagram.
  Duration batch{};

  // Calls the Device and carries out what it asks for.
  void with_device(const std::function<void(protocol::Device&, Actions&)>& what);

  // What is sent.
  struct Sending {
    std::size_t size = 60;  // octets
    bool dont_fragment = true;
    std::size_t lane = 0;  // whose TUN queue has it
  };

  // Sends one numbered IPv4 packet through the tunnel; returns its number.
  std::uint64_t send(const Sending& sending);

  std::uint64_t send(std::size_t size = 60, bool dont_fragment = true) { return send({size, dont_fragment, 0}); }

  // `lane`: by whose port it came.
  void receive(Bytes datagram, const Endpoint& from, std::size_t lane = 0);
  void turn();  // end of a turn of the event loop

  protocol::PeerStatus status() const;
  std::size_t events(std::string_view name) const;

  std::set<std::uint64_t> sent;
  std::set<std::uint64_t> received;
  std::uint64_t duplicates = 0;
  std::map<std::string, std::size_t, std::less<>> reported;
  std::map<std::string, std::string, std::less<>> reasons;  // field `reason` of the last report of each event
  std::uint64_t handshakes_sent = 0;
  std::uint64_t names_asked = 0;         // ResolveEndpoint
  std::optional<Endpoint> name_answers;  // where the peer's name leads
  // Of this life: QKD keys that the KMSs delivered, and those that the Device gave up.
  std::uint64_t keys_delivered = 0;
  std::uint64_t keys_burnt = 0;

  // Packets that went by lanes after the first.
  std::uint64_t sent_by_lanes = 0;

  protocol::PeerConfig peer_config(bool knows_endpoint);

 private:
  protocol::PacketPath& path(std::size_t lane);
  void take(const protocol::Opened& opened);
  void update_lanes(const protocol::LaneUpdate& update);
  void lane_turn(std::size_t lane);
  void perform(Actions& actions);
  void end_turn();
  void ask_kms(const protocol::RequestKey& request);
  void resolve();

  World& m_world;
  int m_number;
  const Options& m_options;
  std::unique_ptr<SeededRng> m_rng;
  std::optional<protocol::Device> m_device;
  std::vector<protocol::SideLane> m_lanes;
  std::uint64_t m_life = 0;  // of the process: answers for an earlier one are void
  std::optional<TimePoint> m_wake;
  bool m_turn_pending = false;  // a batch is being received
};

// What holds at all times, whatever the link does; told through EXPECT.
class Watch {
 public:
  // What only the two ends can read in a message 1.
  void initiation(int from, const protocol::ReceivedInitiation& opened, const protocol::MessageDigest& digest);
  void sent(int from, ByteView datagram);
  void delivered(int to, ByteView datagram);
  // Both ends last sent under one keypair.
  bool agree() const;

 private:
  struct Pair {
    std::uint32_t initiator_index;
    std::uint32_t responder_index;
    int responder;
    bool confirmed = false;
  };

  struct Named {
    protocol::MessageDigest digest;
    std::vector<protocol::KeyReference> keys;
  };

  void answered(int responder, const protocol::ResponseHeader& response);

  std::map<std::uint32_t, Named> m_named[2];              // by sender, then by its index
  std::map<KeyId, protocol::MessageDigest> m_entered[2];  // by responder: the message 1 whose answer a key entered
  std::vector<Pair> m_pairs;
  std::map<std::uint32_t, std::size_t> m_by_index;
  std::optional<std::size_t> m_last[2];
};

class World {
 public:
  explicit World(Options options);

  Node& a() { return *m_nodes[0]; }  // the regular initiator

  Node& b() { return *m_nodes[1]; }

  Node& node(int i) { return *m_nodes[i]; }

  void start() {
    a().start();
    b().start();
  }

  TimePoint now() const { return m_now; }

  void at(TimePoint time, std::function<void()> what);

  void after(Duration wait, std::function<void()> what) { at(m_now + wait, std::move(what)); }

  void run(Duration duration);
  // False when it did not come true in time.
  bool run_until(const std::function<bool()>& done, Duration limit);

  // A packet each way per interval for the duration, while run() goes on.
  void traffic(Duration interval, Duration duration, bool from_a = true, bool from_b = true);
  // Both ends carry data under one keypair now.
  bool healthy();
  // The same, before so much time has gone.
  bool heals(Duration limit);

  // A makes a new epoch at once.
  void rekey();

  // As A has it in its messages 1.
  Bytes policy_of_a();

  // B sees a later stamp of A's just before each of A's next messages 1, so many times. Sets links[0].lose.
  void overtake(int times);

  // Puts a datagram onto the wire of `from` now, as an attacker would: no watch, no loss.
  void inject(int from, Bytes datagram, const Endpoint& source);

  // All handshake datagrams that were sent, by sender.
  std::vector<Bytes> handshakes[2];

  void transmit(int from, Bytes datagram, const Endpoint& to, bool may_fragment, std::size_t lane = 0);

  const Options options;
  SeededRng rng;
  KmsPair kms;
  Link links[2];  // by sender
  Watch watch;
  std::unique_ptr<protocol::Identity> identities[2];
  protocol::PreSharedKey psk;

 private:
  struct Event {
    TimePoint time;
    std::uint64_t order;
    std::function<void()> what;

    bool operator>(const Event& other) const { return time != other.time ? time > other.time : order > other.order; }
  };

  TimePoint m_now{1000s};
  std::uint64_t m_overtaken = 0;
  std::uint64_t m_order = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> m_events;
  std::unique_ptr<Node> m_nodes[2];
};

// Both ends run from the beginning.
struct Started : World {
  explicit Started(Options given) : World(given) { start(); }

  // The messages 1 of five rekeys, and of all that A made before.
  std::vector<Bytes> record_rekeys();
};

// B has started again, and somebody recorded the messages 1 that A sent it before.
struct Recorded : Started {
  Recorded() : Started({.interval = 1s}) {
    traffic(50ms, 10s);
    run(11s);
    std::ranges::copy_if(handshakes[0], std::back_inserter(recorded), is_initiation);
    b().restart();
  }

  std::vector<Bytes> recorded;
};

// How many worlds the campaign has.
inline constexpr std::uint64_t kCampaignSeeds = 200;

// `normal`, or as many times that as QUIPU_SIM_SEEDS is of the campaign's.
std::uint64_t seeds(std::uint64_t normal);

}  // namespace quipu::sim
