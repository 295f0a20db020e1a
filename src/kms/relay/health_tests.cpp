// SPDX-License-Identifier: Apache-2.0
#include "kms/relay/health_tests.h"

#include <utility>

namespace quipu::kms {

bool HealthTests::passes_repetition(std::uint8_t sample) {
  const bool same = std::exchange(m_last, sample) == sample && m_repeated != 0;
  m_repeated = same ? m_repeated + 1 : 1;
  return m_repeated < kRepetitionCutoff;
}

bool HealthTests::passes_proportion(std::uint8_t sample) {
  if (m_counted == 0) {
    m_first = sample;
    m_equal = 0;
  }
  m_equal += sample == m_first ? 1U : 0U;
  m_counted = (m_counted + 1) % kProportionWindow;
  return m_equal < kProportionCutoff;
}

}  // namespace quipu::kms
