// SPDX-License-Identifier: Apache-2.0
// Two Devices; the input decides what becomes of each datagram and each question to a KMS, how time passes, and who
// restarts. Whatever happens: nothing is delivered that was not sent, nothing twice, and advance() never leaves work
// behind for which it would have to be called at once again and again.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <set>

#include "protocol/device.h"

namespace {

using namespace quipu;
using namespace quipu::protocol;
using namespace std::chrono_literals;

void require(bool holds) {
  if (!holds) std::abort();
}

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (std::uint8_t& octet : out) {
      m_state = m_state * 6364136223846793005U + 1442695040888963407U;
      octet = static_cast<std::uint8_t>(m_state >> 56);
    }
  }

 private:
  std::uint64_t m_state = 1;
};

// The input, octet by octet; zeros after its end.
class Choices {
 public:
  explicit Choices(ByteView input) : m_input(input) {}

  bool empty() const { return m_input.empty(); }

  std::uint8_t next() {
    if (m_input.empty()) return 0;
    const std::uint8_t octet = m_input.front();
    m_input = m_input.subspan(1);
    return octet;
  }

 private:
  ByteView m_input;
};

constexpr PeerId kPeer{1};

struct Site {
  std::optional<Device> device;
  crypto::X25519PrivateKey key;
  Endpoint endpoint;
  std::uint64_t stamps = 0;
  std::deque<Bytes> inbox;
  std::deque<RequestKey> requests;
  std::uint64_t sent = 0;
  std::set<std::uint64_t> received;
};

class World {
 public:
  explicit World(Choices choices) : m_choices(choices) {
    for (Site& site : m_sites)
      site.key = crypto::generate_x25519(m_rng);
    m_policy = m_choices.next();
    start(0);
    start(1);
  }

  void run() {
    for (int step = 0; step < 64 && !m_choices.empty(); ++step) {
      const std::uint8_t what = m_choices.next();
      const int at = what & 1;
      switch ((what >> 1) % 10) {
        case 0: send(at); break;
        case 1: deliver(at); break;
        case 2: lose(at); break;
        case 3: garble(at); break;
        case 4: answer_kms(at); break;
        case 5: m_now += Duration(1ms) * m_choices.next(); break;
        case 6: m_now += Duration(200ms) * m_choices.next(); break;
        case 7: replay(at); break;
        case 8: command(at); break;
        default: deliver(at); break;
      }
      turn(0);
      turn(1);
    }
  }

 private:
  void start(int at) {
    Site& site = m_sites[at];
    site.endpoint = Endpoint{*IpAddress::parse("192.0.2.1"), static_cast<std::uint16_t>(1000 + at)};
    site.requests.clear();
    site.device.emplace(*Device::create({site.key.clone(), Stamp(site.stamps)}, m_rng));
    PeerConfig peer;
    peer.id = kPeer;
    peer.public_key = crypto::x25519_public_key(m_sites[1 - at].key);
    peer.endpoint = Endpoint{*IpAddress::parse("192.0.2.1"), static_cast<std::uint16_t>(1001 - at)};
    peer.allowed_ips = {IpPrefix{*IpAddress::parse("10.0.0.0"), 8}};
    peer.policy.qkd = static_cast<QkdUse>(m_policy % 3);
    for (int slot = 0; slot < 1 + (m_policy / 3) % 2 && peer.policy.qkd != QkdUse::off; ++slot)
      peer.policy.sources.push_back(
          {"", SaeId(at == 0 ? "a" : "b"), SaeId(at == 0 ? "b" : "a"), KeyKind::etsi014, false});
    peer.rekey_interval = Duration(1s) * (1 + m_policy / 6 % 4);
    peer.always_on = (m_policy & 0x80) != 0;
    require(site.device->add_peer(std::move(peer), m_now).has_value());
  }

  void perform(int at, Actions& actions) {
    Site& site = m_sites[at];
    for (Action& action : actions) {
      if (auto* send = std::get_if<SendDatagram>(&action)) {
        Site& far = m_sites[1 - at];
        if (far.inbox.size() < 64) far.inbox.push_back(std::move(send->bytes));
      } else if (auto* request = std::get_if<RequestKey>(&action)) {
        site.requests.push_back(std::move(*request));
      } else if (const auto* reserve = std::get_if<ReserveStamps>(&action)) {
        site.stamps = reserve->end.value();
        Actions more;
        site.device->stamps_reserved(reserve->end, m_now, more);
        perform(at, more);
      }
    }
  }

  void turn(int at) {
    for (int i = 0;; ++i) {
      require(i < 20);
      Actions actions;
      m_sites[at].device->advance(m_now, actions);
      perform(at, actions);
      const auto next = m_sites[at].device->next_deadline();
      if (!next || *next > m_now) return;
    }
  }

  void send(int at) {
    Site& site = m_sites[at];
    Bytes packet(28);
    packet[0] = 0x45;
    packet[3] = 28;
    packet[12] = packet[16] = 10;
    ByteWriter(MutableBytes(packet).subspan(20)).u64(++site.sent);
    Bytes out(packet.size() + kMaxOverhead);
    const auto route = site.device->route(packet, m_now);
    require(route.has_value());
    if (const auto sealed = site.device->seal(*route, {packet}, out, m_now)) {
      out.resize(sealed->size);
      m_sites[1 - at].inbox.push_back(std::move(out));
    }
  }

  void receive(int at, Bytes datagram) {
    Site& site = m_sites[at];
    m_seen.push_back(datagram);
    if (m_seen.size() > 16) m_seen.pop_front();
    Actions actions;
    if (!Device::is_data(datagram)) {
      site.device->receive(datagram, m_sites[1 - at].endpoint, m_now, actions);
    } else if (const auto opened = site.device->open(datagram, m_sites[1 - at].endpoint, m_now);
               opened && !opened->packet.empty()) {
      const std::uint64_t number = ByteReader(opened->packet.subspan(20)).u64();
      require(number >= 1 && number <= m_sites[1 - at].sent);
      require(site.received.insert(number).second);
    }
    perform(at, actions);
  }

  void deliver(int at) {
    Site& site = m_sites[at];
    if (site.inbox.empty()) return;
    Bytes datagram = std::move(site.inbox.front());
    site.inbox.pop_front();
    receive(at, std::move(datagram));
  }

  void lose(int at) {
    if (!m_sites[at].inbox.empty()) m_sites[at].inbox.pop_front();
  }

  void garble(int at) {
    Site& site = m_sites[at];
    if (site.inbox.empty() || site.inbox.front().empty()) return;
    Bytes copy = site.inbox.front();
    const std::size_t where = (m_choices.next() * 256U + m_choices.next()) % copy.size();
    copy[where] = static_cast<std::uint8_t>(copy[where] ^ m_choices.next());
    if (m_choices.next() % 4 == 0) copy.resize(where);
    receive(at, std::move(copy));
  }

  void replay(int at) {
    if (!m_seen.empty()) receive(at, m_seen[m_choices.next() % m_seen.size()]);
  }

  void answer_kms(int at) {
    Site& site = m_sites[at];
    if (site.requests.empty()) return;
    const RequestKey request = std::move(site.requests.front());
    site.requests.pop_front();
    Actions actions;
    const std::uint8_t how = m_choices.next();
    if (how % 8 == 7) {
      site.device->key_failed(request.id, how & 0x80 ? KeyFailure::unknown : KeyFailure::unavailable, m_now, actions);
    } else {
      // The key follows from its name, so that both ends hold the same one; now and then it does not.
      const KeyId id = how % 8 == 6 ? KeyId("again") : request.key_id.value_or(KeyId("key" + std::to_string(++m_keys)));
      Secret<32> key;
      const auto hash = crypto::blake2b_256({as_bytes(id.value())});
      std::ranges::copy(hash, key.mutable_view().begin());
      if (how % 8 == 5) key.mutable_view()[0] ^= 1;
      site.device->key_fetched(request.id, id, std::move(key), m_now, actions);
    }
    perform(at, actions);
  }

  void command(int at) {
    Site& site = m_sites[at];
    Actions actions;
    switch (m_choices.next() % 5) {
      case 0: {
        [[maybe_unused]] const auto started = site.device->rekey_now(kPeer, m_now, actions);
        break;
      }
      case 1: site.device->erase_sessions(m_now, actions); break;
      case 2: start(at); break;
      case 3: site.device->key_stock(kPeer, m_choices.next(), m_choices.next()); break;
      default: require(site.device->status(m_now).size() == 1); break;
    }
    perform(at, actions);
  }

  Choices m_choices;
  CountingRng m_rng;
  Site m_sites[2];
  TimePoint m_now{1000s};
  std::deque<Bytes> m_seen;
  std::uint8_t m_policy = 0;
  std::uint64_t m_keys = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World(Choices({data, size})).run();
  return 0;
}
