// SPDX-License-Identifier: Apache-2.0
// Compares what one copy of a KME books when it closes a lease with what it said and gave of it: keys that SAEs got are
// delivered, no less and no more; pads that it sent are consumed. What a start finds open is burnt. Books that say
// something else fail the test at the watch's end, unless somebody took the violation.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/secret.h"
#include "kms/link_message.h"
#include "kms/store.h"

namespace quipu::kms::sim {

class BooksWatch {
 public:
  using AllBooks = std::map<KmeId, Books>;

  BooksWatch() = default;
  BooksWatch(const BooksWatch&) = delete;
  BooksWatch& operator=(const BooksWatch&) = delete;
  ~BooksWatch();

  // A run has begun, with the books that were on its disk before and those that it made of them.
  void started(const AllBooks& before, const AllBooks& now);
  void committed(const Transaction& transaction);
  // To an SAE: a key counts once, however many SAEs here get it. One that is of no lease came by a transfer.
  void handed_out(const KeyId& id, std::size_t octets);
  void sent(const SecretBytes& message);
  void received(const SecretBytes& message);

  // The KME has done what it was called for, and all that it gave and said is known.
  void check();

  std::vector<std::string> take_violations() { return std::exchange(m_violations, {}); }

 private:
  // In octets of key.
  struct Lease {
    KmeId pool;
    Holder holder = Holder::us;
    std::uint64_t octets = 0;
    std::uint64_t sources = 1;
    std::map<Uuid, std::uint64_t> handed_out;
    std::uint64_t pads = 0;
    std::map<std::uint16_t, std::uint64_t> bound;  // by slot
    bool closed = false;
    bool checked = false;  // after it was closed
  };

  static bool is_usual(const Books& delta, const std::vector<const Lease*>& closed);

  void see(const AddLease& change, const KmeId& pool);
  void see(const SetLease& change, const KmeId& pool);
  void see(const Books& change, const KmeId& pool);

  void see(const auto& /*change*/, const KmeId& /*pool*/) {}

  void pads(const SecretBytes& message, Holder holder);
  void expect(bool kept, const std::string& rule, const KmeId& pool);

  std::map<LeaseId, Lease> m_leases;  // of this run
  std::map<Uuid, LeaseId> m_lease_of;
  std::map<KmeId, std::vector<LeaseId>> m_closed;  // since they were checked
  AllBooks m_checked;
  AllBooks m_now;
  std::vector<std::string> m_violations;
};

}  // namespace quipu::kms::sim
