// SPDX-License-Identifier: Apache-2.0
// Handshake datagrams, cheapest checks first: whoever is not proven costs no state, no log line and no KMS call.
#include "protocol/device_state.h"

namespace quipu::protocol {

// Whether a message 1 or 2 with a right mac1 may cost an X25519. Under load its sender proves its address first, and
// even then gets only so much: a peer where it is known to be has a share of its own, which nobody else can use up.
bool Device::State::may_open(ByteView message, const Endpoint& from, const Context& context) {
  load.count(context.now);
  if (!load.under_load(context.now)) return true;
  if (!cookies.check_mac2(message, from, context.now, shared.rng)) {
    const auto reply = cookies.create_reply(message, from, context.now, shared.rng);
    if (!reply) return false;
    ++statistics.cookies_sent;
    context.out.emplace_back(SendDatagram{std::nullopt, from, Bytes(reply->begin(), reply->end()), true, true});
    return false;
  }
  PeerMachine* known = peer_at(from);
  if (known != nullptr ? known->may_open(context.now) : strangers.take(from.address, context.now)) return true;
  ++statistics.rate_limited;
  return false;
}

void Device::State::receive_initiation(ByteView message, const Endpoint& from, const Context& context) {
  if (!may_open(message, from, context)) return;
  const MessageDigest digest = digest_of(message);
  for (auto& [id, entry] : peers)
    if (entry.machine.holds(digest)) {
      peers.touch(entry);
      entry.machine.repeat_answer(from, context);
      return;
    }
  auto initiation = ReceivedInitiation::consume(message, shared.own,
                                                [this](const crypto::X25519PublicKey& key) -> const PreSharedKey* {
                                                  const PeerMachine* peer = peer_with_key(key);
                                                  return peer == nullptr ? nullptr : &peer->psk();
                                                });
  if (!initiation) {
    ++statistics.unknown_peer;
    return;
  }
  PeerMachine* peer = peer_with_key(initiation->peer());
  QUIPU_ASSERT(peer != nullptr);
  peer->handle_initiation(*std::move(initiation), digest, from, context);
}

void Device::receive(MutableBytes datagram, const Endpoint& from, TimePoint now, Actions& out) {
  State& state = *m_state;
  const auto type = message_type(datagram);
  if (!type || type == MessageType::data) {
    ++state.statistics.malformed;
    return;
  }
  const bool has_mac1 = type != MessageType::cookie_reply;
  if (has_mac1 && !check_mac1(datagram, state.shared.own.public_key)) {
    ++state.statistics.bad_mac1;
    return;
  }
  const Context context = state.context(now, out);
  if (type == MessageType::initiation) {
    state.receive_initiation(datagram, from, context);
    return;
  }
  const auto index = receiver_index(datagram);
  PeerMachine* peer = index ? state.peer_with_index(*index) : nullptr;
  if (peer == nullptr) {
    ++state.statistics.unknown_index;
    return;
  }
  if (type == MessageType::response) {
    if (state.may_open(datagram, from, context)) peer->handle_response(datagram, context);
  } else if (type == MessageType::reject) {
    peer->handle_reject(datagram, context);
  } else {
    peer->handle_cookie_reply(datagram, now);
  }
}

}  // namespace quipu::protocol
