// SPDX-License-Identifier: Apache-2.0
// The continuous health tests of an entropy source, NIST SP 800-90B 4.4.1 and 4.4.2: they find a source that is stuck,
// or whose octets have become much less random than assumed, and no finer fault. A sample is an octet.
#pragma once

#include <cstdint>

namespace quipu::kms {

// Assumed of each sample: 4 bits of min-entropy. A source that has just that fails either test wrongly with a
// probability of 2^-30 a sample or window; one of full entropy practically never.
//
// 1 + ceil(30 / 4) equal samples in a row.
inline constexpr std::uint32_t kRepetitionCutoff = 9;
// So many samples equal to the first one of a window: 1 + the number that is exceeded with probability 2^-30, where
// each is it with probability 2^-4.
inline constexpr std::uint32_t kProportionCutoff = 71;
inline constexpr std::uint32_t kProportionWindow = 512;
// In a row have to pass before anything of the source is used (SP 800-90B 4.3, item 12).
inline constexpr std::uint32_t kStartUpSamples = 1'024;

class HealthTests {
 public:
  // False when the sample fails a test.
  bool passes(std::uint8_t sample) {
    const bool repetition = passes_repetition(sample);
    return passes_proportion(sample) && repetition;
  }

 private:
  bool passes_repetition(std::uint8_t sample);
  bool passes_proportion(std::uint8_t sample);

  std::uint8_t m_last = 0;
  std::uint32_t m_repeated = 0;  // times in a row
  std::uint8_t m_first = 0;      // of the window
  std::uint32_t m_counted = 0;   // of the window
  std::uint32_t m_equal = 0;     // of these, to the first
};

}  // namespace quipu::kms
