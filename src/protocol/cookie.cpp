// SPDX-License-Identifier: Apache-2.0
#include "protocol/cookie.h"

#include <algorithm>

#include "base/assert.h"
#include "protocol/labels.h"
#include "protocol/macs.h"

namespace quipu::protocol {
namespace {

std::array<std::uint8_t, 32> cookie_key(const crypto::X25519PublicKey& receiver) {
  return crypto::blake2b_256({as_bytes(labels::kCookie), receiver.value()});
}

crypto::Mac mac2(const crypto::Mac& cookie, ByteView message) {
  return crypto::blake2b_mac(cookie, {before_mac2(message)});
}

bool ends_in_macs(ByteView message) {
  const auto type = message_type(message);
  return type == MessageType::initiation || type == MessageType::response || type == MessageType::reject;
}

}  // namespace

CookieChecker::CookieChecker(const crypto::X25519PublicKey& own) : m_key(cookie_key(own)) {}

crypto::Mac CookieChecker::cookie_for(const Endpoint& from, TimePoint now, crypto::Rng& rng) {
  if (!m_made || now - *m_made >= kCookieSecretLifetime) {
    rng.fill(m_secret.mutable_view());
    m_made = now;
  }
  std::array<std::uint8_t, 3> rest{};
  ByteWriter(rest).u8(static_cast<std::uint8_t>(from.address.family)).u16(from.port);
  return crypto::blake2b_mac(m_secret.view(), {rest, from.address.view()});
}

bool CookieChecker::check_mac2(ByteView message, const Endpoint& from, TimePoint now, crypto::Rng& rng) {
  if (!ends_in_macs(message)) return false;
  return constant_time_equal(mac2(cookie_for(from, now, rng), message), mac2_of(message));
}

Outcome<std::array<std::uint8_t, kCookieReplySize>> CookieChecker::create_reply(ByteView message, const Endpoint& from,
                                                                                TimePoint now, crypto::Rng& rng) {
  const auto type = message_type(message);
  if (type != MessageType::initiation && type != MessageType::response) return std::unexpected(Errc::malformed);
  const std::uint32_t sender = ByteReader(message.subspan(4)).u32();  // at the same place in both
  const crypto::Mac cookie = cookie_for(from, now, rng);
  crypto::XChaChaNonce nonce{};
  rng.fill(nonce);
  std::array<std::uint8_t, kCookieReplySize> out{};
  ByteWriter writer(out);
  writer.u8(static_cast<std::uint8_t>(MessageType::cookie_reply)).u8(kWireVersion).u16(0).u32(sender).bytes(nonce);
  QUIPU_TRY(crypto::xchacha_seal(m_key, nonce, mac1_of(message), cookie,
                                 writer.reserve(cookie.size() + crypto::kAeadTagSize)));
  QUIPU_ASSERT(writer.ok() && writer.size() == kCookieReplySize);
  return out;
}

CookieGenerator::CookieGenerator(const crypto::X25519PublicKey& peer) : m_key(cookie_key(peer)) {}

void CookieGenerator::add_mac2(MutableBytes message, TimePoint now) {
  QUIPU_ASSERT(ends_in_macs(message));
  m_last_mac1.emplace();
  std::ranges::copy(mac1_of(message), m_last_mac1->begin());
  if (m_cookie && now - m_received >= kCookieLifetime) m_cookie.reset();
  const crypto::Mac mac = m_cookie ? mac2(*m_cookie, message) : crypto::Mac{};
  std::ranges::copy(mac, message.last(crypto::kMacSize).begin());
}

Outcome<void> CookieGenerator::consume_reply(ByteView reply, TimePoint now) {
  QUIPU_TRY_ASSIGN(const CookieReplyFields fields, parse_cookie_reply(reply));
  if (!m_last_mac1) return std::unexpected(Errc::authentication);
  crypto::Mac cookie{};
  QUIPU_TRY(crypto::xchacha_open(m_key, fields.nonce, *m_last_mac1, fields.sealed_cookie, cookie));
  m_cookie = cookie;
  m_received = now;
  return {};
}

}  // namespace quipu::protocol
