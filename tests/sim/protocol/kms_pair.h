// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "protocol/action.h"
#include "rng.h"

namespace quipu::sim {

using namespace std::chrono_literals;

// The KMSs of two sites as their SAEs see them: a key fetched at one can be fetched by its key_ID at the other, once,
// as the standard wants it, or as often as it likes. Ends are numbered 0 and 1.
class KmsPair {
 public:
  explicit KmsPair(std::uint64_t seed) : m_rng(seed) {}

  struct End {
    Duration latency = 2ms;
    std::optional<Duration> next_latency;  // of the next answer alone
    bool available = true;
    bool silent = false;      // answers nothing at all
    bool starved = false;     // no fresh keys
    bool wrong_keys = false;  // delivers other octets than the far end did
    std::set<std::uint8_t> slots_down;
    bool repeats = false;  // delivers its last fresh key again and again
    bool zeros = false;    // delivers keys of zeros
    std::uint64_t delivered_fresh = 0;
    std::uint64_t delivered_named = 0;
    std::uint64_t requests = 0;
  };

  struct Answer {
    Duration after{};
    bool silent = false;
    std::optional<protocol::KeyFailure> failure;
    KeyId key_id;
    Secret<32> key;
  };

  Answer ask(int end, const protocol::RequestKey& request, TimePoint now) {
    End& at = ends[end];
    ++at.requests;
    Answer answer;
    answer.after = std::exchange(at.next_latency, std::nullopt).value_or(at.latency);
    answer.silent = at.silent;
    if (at.silent) return answer;
    if (!at.available || at.slots_down.contains(request.slot)) {
      answer.failure = protocol::KeyFailure::unavailable;
      return answer;
    }
    return request.key_id ? named(at, end, *request.key_id, now, std::move(answer))
                          : fresh(at, end, now, std::move(answer));
  }

  // An outage of both, and its end.
  void set_available(bool available) {
    for (End& end : ends)
      end.available = available;
  }

  End ends[2];
  std::optional<KeyId> first_fresh;
  bool hands_out_again = false;   // a key that was named before
  Duration synchronised_after{};  // how long a fresh key takes to the far end

 private:
  struct Stored {
    Secret<32> key;
    int fetched_at;
    TimePoint there_at;
  };

  Answer fresh(End& at, int end, TimePoint now, Answer answer) {
    if (at.starved) {
      answer.failure = protocol::KeyFailure::unavailable;
      return answer;
    }
    std::array<std::uint8_t, 16> id{};
    m_rng.fill(id);
    if (at.repeats && m_last)
      answer.key_id = *m_last;
    else
      m_last = answer.key_id = KeyId(Uuid::from_random(id).text());
    if (!first_fresh) first_fresh = answer.key_id;
    if (at.zeros) return answer;
    m_rng.fill(answer.key.mutable_view());
    m_stored.emplace(answer.key_id, Stored{answer.key.clone(), end, now + synchronised_after});
    if (at.wrong_keys) m_rng.fill(answer.key.mutable_view());
    ++at.delivered_fresh;
    return answer;
  }

  Answer named(End& at, int end, const KeyId& id, TimePoint now, Answer answer) {
    const auto found = m_stored.find(id);
    if (found == m_stored.end() || found->second.fetched_at == end || found->second.there_at > now) {
      answer.failure = protocol::KeyFailure::unknown;
      return answer;
    }
    answer.key_id = id;
    answer.key = found->second.key.clone();
    if (!hands_out_again) m_stored.erase(found);
    if (at.wrong_keys) m_rng.fill(answer.key.mutable_view());
    ++at.delivered_named;
    return answer;
  }

  SeededRng m_rng;
  std::optional<KeyId> m_last;
  std::map<KeyId, Stored> m_stored;
};

}  // namespace quipu::sim
