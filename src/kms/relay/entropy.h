// SPDX-License-Identifier: Apache-2.0
// Octets of a configured entropy source (a quantum random number generator), for the blocks that this KME makes for
// relay. What is made is the exclusive or of these and of the kernel's random octets, so that a bad source makes
// nothing worse. Without enough octets none are made, and after a failed health test none until a restart: there is no
// silent going on with the kernel alone.
#pragma once

#include "base/secret.h"
#include "kms/relay/health_tests.h"
#include "kms/relay/relay_status.h"
#include "kms/site.h"

namespace quipu::kms {

class Entropy {
 public:
  // Enough for the longest block over the most paths. In locked memory.
  static constexpr std::size_t kCapacity = std::size_t{wire::kMaxRelayPaths} * wire::kMaxRelayedBlock;

  explicit Entropy(Site& site) : m_site(site), m_octets(kCapacity) {}

  // Octets that it would take now: none after a failure.
  std::size_t room() const;
  // At most room() octets, in the order in which the source made them.
  void add(ByteView octets);
  // The source has gone, or has come back: the start-up test is made anew. What has passed stays.
  void restart();

  bool has(std::size_t octets) const { return m_size >= octets; }

  // `out` becomes the exclusive or of itself and as many octets, of which there are enough, and which are wiped.
  void mask(MutableBytes out);

  EntropyStatus status() const;

 private:
  void fail();

  Site& m_site;
  HealthTests m_tests;
  std::uint32_t m_start_up = kStartUpSamples;  // samples that have to pass yet
  SecretBytes m_octets;                        // the first m_size of these
  std::size_t m_size = 0;
  std::uint64_t m_used = 0;
  bool m_failed = false;
};

}  // namespace quipu::kms
