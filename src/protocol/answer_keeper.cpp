// SPDX-License-Identifier: Apache-2.0
#include "protocol/answer_keeper.h"

#include <algorithm>

#include "crypto/hash.h"

namespace quipu::protocol {

MessageDigest digest_of(ByteView initiation) {
  return crypto::blake2b_256({initiation.first(initiation.size() - crypto::kMacSize)});
}

void AnswerKeeper::accept(const MessageDigest& digest, const Endpoint& from, std::uint64_t order, TimePoint now) {
  QUIPU_ASSERT(!m_asking);
  drop();
  m_in_hand = true;
  m_digest = digest;
  m_from = from;
  m_order = order;
  m_accepted = now;
  m_repeated = now;
}

void AnswerKeeper::answer(Bytes message, bool is_response, TimePoint now) {
  m_answer = std::move(message);
  m_is_response = is_response;
  m_sent = now;
}

const Bytes* AnswerKeeper::repeated(const Endpoint& from, TimePoint now) {
  const bool first_sender = from == m_from;
  if (first_sender) m_repeated = now;
  TimePoint& sent = first_sender ? m_sent : m_sent_elsewhere;
  if (m_answer.empty() || now - sent < kAnswerInterval) return nullptr;
  sent = now;
  return &m_answer;
}

void AnswerKeeper::drop() {
  m_in_hand = false;
  m_is_response = false;
  m_answer.clear();
}

void AnswerKeeper::expire(TimePoint now) {
  if (!m_in_hand || m_asking) return;
  if (now - m_repeated >= kAnswerKept || now - m_accepted >= kAnswerKeptAtMost) drop();
}

std::optional<TimePoint> AnswerKeeper::next_deadline() const {
  if (m_asking) return m_asking->fetch.next_deadline();
  if (!m_in_hand) return std::nullopt;
  return std::min(m_repeated + kAnswerKept, m_accepted + kAnswerKeptAtMost);
}

}  // namespace quipu::protocol
