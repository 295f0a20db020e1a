// SPDX-License-Identifier: Apache-2.0
// Sees what KMEs say to each other: every slot of a pool is used for one key, one relayed hop or one transfer of keys,
// and for nothing else, at whichever end and under whatever lease. What is used twice fails the test at the watch's
// end, unless somebody took the violation.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "kms/link_message.h"

namespace quipu::kms::sim {

class SlotWatch {
 public:
  SlotWatch() = default;
  SlotWatch(const SlotWatch&) = delete;
  SlotWatch& operator=(const SlotWatch&) = delete;
  ~SlotWatch();

  // From one KME, by name, to another; copies of one KME have one name.
  void sent(const std::string& from, const std::string& to, const SecretBytes& octets);

  const std::vector<std::string>& violations() const { return m_violations; }

  std::vector<std::string> take_violations() { return std::exchange(m_violations, {}); }

  std::size_t hops() const { return m_hops; }

 private:
  struct Leased {
    std::vector<Extent> extents;
    std::size_t slots = 0;  // of key
  };

  using Pool = std::pair<std::string, std::string>;

  void use(const Pool& pool, const std::vector<wire::PadPart>& pad, const std::string& what);

  std::map<LeaseId, Leased> m_leases;
  std::map<std::tuple<Pool, BlockId, std::uint32_t>, std::string> m_used;  // by block and offset: what for
  std::vector<std::string> m_violations;
  std::size_t m_hops = 0;
};

}  // namespace quipu::kms::sim
