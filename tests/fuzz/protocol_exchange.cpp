// SPDX-License-Identifier: Apache-2.0
// Two parties in a handshake, and a network in the fuzzer's hands: it changes, cuts, joins, repeats, reorders and
// redirects datagrams, and may put a right mac1 on them, which anybody can who knows the public keys. No datagram may
// be accepted but a genuine one, by the party it was meant for.
#include <algorithm>
#include <cstdlib>

#include "protocol/macs.h"
#include "support/handshakes.h"

namespace {

using namespace quipu;
using namespace quipu::protocol;

void must(bool condition) {
  if (!condition) std::abort();
}

// Made once: the fuzzer explores the network, not the parties' randomness.
class World {
 public:
  World() {
    m_scenario.with_key("one", 0).with_key("two", 1);
    test::SeededRng rng("world");
    for (const std::uint32_t index : {1U, 2U}) {
      m_scenario.initiator_index = SessionIndex(index);
      m_initiations.push_back(*m_scenario.initiate(rng));
      const auto received = *m_scenario.receive(m_initiations.back().message());
      auto answer = *m_scenario.respond(received, rng);
      m_genuine.push_back(m_initiations.back().message());
      m_genuine.push_back(answer.message);
      m_genuine.push_back(received.create_reject({RejectReason::busy, {}, {}}, rng));
      m_secrets.push_back(std::move(answer.secrets));
    }
  }

  const std::vector<Bytes>& genuine() const { return m_genuine; }

  void deliver(ByteView message, std::size_t attempt) const {
    const Initiation& initiation = m_initiations[attempt];
    if (m_scenario.receive(message)) must(is(message, 0) || is(message, 3));
    if (const auto response = initiation.consume_response(message, m_scenario.initiator_keys)) {
      must(is(message, attempt * 3 + 1));
      must(test::agree(response->secrets, m_secrets[attempt]));
    }
    if (initiation.consume_reject(message)) must(is(message, attempt * 3 + 2));
  }

  void fix_mac1(Bytes& message, bool for_responder) const {
    if (message.size() < kMacsSize) return;
    write_macs(message, (for_responder ? m_scenario.responder : m_scenario.initiator).public_key);
  }

 private:
  // mac2 is for the load gate alone.
  bool is(ByteView message, std::size_t which) const {
    return message.size() == m_genuine[which].size() &&
           std::ranges::equal(before_mac2(message), before_mac2(m_genuine[which]));
  }

  test::Scenario m_scenario;
  std::vector<Initiation> m_initiations;
  std::vector<Bytes> m_genuine;  // message 1, message 2, reject of the first attempt, then of the second
  std::vector<SessionSecrets> m_secrets;
};

constexpr std::size_t kMaxInFlight = 12;

// One step of the network on the datagrams in flight.
void step(const World& world, std::vector<Bytes>& flight, ByteReader& script) {
  const std::uint8_t action = script.u8();
  Bytes& message = flight[script.u8() % flight.size()];
  switch (action % 8) {
    case 0:
    case 1: world.deliver(message, action / 8 % 2); return;
    case 2:
      if (const std::uint16_t at = script.u16(); !message.empty()) message[at % message.size()] ^= script.u8();
      return;
    case 3: message.resize(std::min<std::size_t>(message.size(), script.u16())); return;
    case 4: {
      const Bytes other = flight[script.u8() % flight.size()];
      const std::size_t at = std::min({std::size_t{script.u16()}, message.size(), other.size()});
      message.resize(at);
      message.insert(message.end(), other.begin() + static_cast<std::ptrdiff_t>(at), other.end());
      return;
    }
    case 5: world.fix_mac1(message, action / 8 % 2 == 0); return;
    case 6:
      if (flight.size() < kMaxInFlight) flight.push_back(Bytes(message));
      return;
    case 7: message = world.genuine()[script.u8() % world.genuine().size()]; return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  std::vector<Bytes> flight = world.genuine();
  ByteReader script({data, std::min<std::size_t>(size, 200)});
  while (script.remaining() != 0)
    step(world, flight, script);
  for (const Bytes& message : flight)
    for (const std::size_t attempt : {0U, 1U})
      world.deliver(message, attempt);
  return 0;
}
