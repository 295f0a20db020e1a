// SPDX-License-Identifier: Apache-2.0
// Of keys of masters that the peer limits: how many not all their slaves here have fetched (docs/km-link.md, section
// 6). BindingAck tells it.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "kms/link_message.h"

namespace quipu::kms {

class UnfetchedCounts {
 public:
  void add(const SaeId& master) {
    ++m_keys[master];
    m_recounted.insert(master);
  }

  // It was fetched by all of them, or is gone.
  void remove(const SaeId& master) {
    --m_keys.at(master);
    m_recounted.insert(master);
  }

  // All are news once more.
  void repeat() {
    for (const auto& [master, keys] : m_keys)
      m_recounted.insert(master);
  }

  bool has_news() const { return !m_recounted.empty(); }

  // Of masters whose count has changed since the last call.
  std::vector<wire::UnfetchedKeys> take_news() {
    std::vector<wire::UnfetchedKeys> news;
    for (const SaeId& master : std::exchange(m_recounted, {}))
      news.push_back({master, m_keys.at(master)});
    return news;
  }

 private:
  std::map<SaeId, std::uint32_t> m_keys;  // by master
  std::set<SaeId> m_recounted;            // whose count the peer does not know
};

}  // namespace quipu::kms
