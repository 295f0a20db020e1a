// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/entropy.h"

#include "kms/relay/shares.h"

namespace quipu::kms {

std::size_t Entropy::room() const {
  return m_failed ? 0 : kCapacity - m_size + m_start_up;
}

// Samples of the start-up test are used for nothing else.
void Entropy::add(ByteView octets) {
  QUIPU_ASSERT(octets.size() <= room());
  for (const std::uint8_t octet : octets) {
    if (!m_tests.passes(octet)) return fail();
    if (m_start_up == 0) {
      m_octets.mutable_view()[m_size++] = octet;
    } else if (--m_start_up == 0) {
      m_site.report(LogLevel::info, "relay_entropy_good", "the entropy source has passed its start-up test", {});
    }
  }
}

void Entropy::fail() {
  m_failed = true;
  m_size = 0;
  m_octets.clear();
  m_site.alarm("relay_entropy_failed",
               "the entropy source has failed a health test: it repeats itself; no block is made for relay until "
               "quipu-kmsd is restarted; have the source repaired first",
               {});
}

void Entropy::restart() {
  m_tests = {};
  m_start_up = kStartUpSamples;
}

void Entropy::mask(MutableBytes out) {
  QUIPU_ASSERT(has(out.size()));
  m_size -= out.size();
  const MutableBytes taken = m_octets.mutable_view().subspan(m_size, out.size());
  xor_into(out, taken);
  wipe(taken.data(), taken.size());
  m_used += out.size();
}

EntropyStatus Entropy::status() const {
  const EntropyState state = m_failed          ? EntropyState::failed
                             : m_start_up != 0 ? EntropyState::testing
                                               : EntropyState::good;
  return {state, m_used, m_size};
}

}  // namespace quipu::kms
