// SPDX-License-Identifier: Apache-2.0
#include "protocol/key_fetch.h"

#include <algorithm>

#include "protocol/timing.h"

namespace quipu::protocol {

void KeyFetch::send(Question& question, const Context& context) const {
  question.id = context.next_request({m_peer, question.slot, question.source});
  question.state = State::asked;
  question.asked_at = context.now;
  context.out.emplace_back(
      RequestKey{question.id, m_peer, question.slot, question.source, question.key_id, m_deadline});
}

void KeyFetch::ask(std::uint8_t slot, const KeySource& source, std::optional<KeyId> key_id, const Context& context) {
  m_questions.push_back({{}, slot, source, std::move(key_id), State::asked, {}, {}});
  send(m_questions.back(), context);
}

void KeyFetch::put(HeldKey key) {
  m_held.push_back(std::move(key));
}

void KeyFetch::adopt(Late late, const KeySource& source) {
  m_questions.push_back({late.id, late.slot, source, std::move(late.key_id), State::asked, late.asked_at, {}});
}

void KeyFetch::put_unknown(std::uint8_t slot) {
  m_questions.push_back({{}, slot, {}, std::nullopt, State::unknown, {}, {}});
}

bool KeyFetch::put_if_wanted(HeldKey& key) {
  const auto wanted = std::ranges::find_if(m_questions, [&](const Question& q) {
    return q.state != State::fetched && q.slot == key.reference.slot && q.key_id == key.reference.key_id;
  });
  if (wanted == m_questions.end()) return false;
  wanted->state = State::fetched;
  put(std::move(key));
  return true;
}

std::optional<KeyFetch::Late> KeyFetch::find(KeyRequestId id) const {
  const auto found = std::ranges::find(m_questions, id, &Question::id);
  if (found == m_questions.end() || found->state != State::asked) return std::nullopt;
  return Late{found->id, found->slot, found->key_id, found->asked_at};
}

KeyFetch::Question& KeyFetch::question(KeyRequestId id) {
  const auto found = std::ranges::find(m_questions, id, &Question::id);
  QUIPU_ASSERT(found != m_questions.end());
  return *found;
}

void KeyFetch::fetched(KeyRequestId id, const KeyId& key_id, Secret<32> key, TimePoint expires) {
  Question& answered = question(id);
  answered.state = State::fetched;
  m_held.push_back({KeyReference{answered.slot, answered.source.kind, key_id, {}, 0}, std::move(key), expires});
}

void KeyFetch::failed(KeyRequestId id, KeyFailure failure, TimePoint now) {
  Question& answered = question(id);
  answered.again_at = now + kKmsRetry;
  const bool unknown = failure == KeyFailure::unknown;
  if (unknown && answered.key_id && answered.again_at < m_deadline)
    answered.state = State::to_ask_again;
  else
    answered.state = unknown ? State::unknown : State::unavailable;
}

std::vector<KeyFetch::Late> KeyFetch::advance(const Context& context) {
  std::vector<Late> given_up;
  if (context.now >= m_deadline) return given_up;
  for (Question& question : m_questions) {
    const bool hangs = question.state == State::asked && question.asked_at + kKmsDeadline <= context.now;
    if (hangs) given_up.push_back({question.id, question.slot, question.key_id, question.asked_at});
    if (hangs || (question.state == State::to_ask_again && question.again_at <= context.now)) send(question, context);
  }
  return given_up;
}

bool KeyFetch::done(TimePoint now) const {
  if (now >= m_deadline) return true;
  return std::ranges::none_of(
      m_questions, [](const Question& q) { return q.state == State::asked || q.state == State::to_ask_again; });
}

std::optional<TimePoint> KeyFetch::next_deadline() const {
  std::optional<TimePoint> next;
  for (const Question& question : m_questions) {
    if (question.state != State::asked && question.state != State::to_ask_again) continue;
    const TimePoint due = question.state == State::asked ? question.asked_at + kKmsDeadline : question.again_at;
    const TimePoint at = std::min(m_deadline, due);
    next = next ? std::min(*next, at) : at;
  }
  return next;
}

bool KeyFetch::any_unknown() const {
  return std::ranges::any_of(
      m_questions, [](const Question& q) { return q.state == State::unknown || q.state == State::to_ask_again; });
}

std::vector<HeldKey> KeyFetch::take_keys() {
  std::ranges::sort(m_held, {}, [](const HeldKey& held) { return held.reference.slot; });
  return std::exchange(m_held, {});
}

std::vector<KeyFetch::Late> KeyFetch::outstanding() const {
  std::vector<Late> late;
  for (const Question& question : m_questions)
    if (question.state == State::asked)
      late.push_back({question.id, question.slot, question.key_id, question.asked_at});
  return late;
}

}  // namespace quipu::protocol
