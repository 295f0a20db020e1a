// SPDX-License-Identifier: Apache-2.0
// The load of kms_pairs and kms_single: each lane asks the KMS of site A for a key (enc_keys) and, when it has come,
// the KMS of site B for the key of that key_ID (dec_keys); the two are compared, and the lane begins again.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/tls_client.h"

namespace quipu::bench {

// One KMS, and who asks it.
struct Site {
  Endpoint kms;
  std::string sae;
  TlsFiles files;
};

struct LoadOptions {
  Site a;
  Site b;
  std::size_t lanes = 1;
  std::chrono::milliseconds duration{1000};
};

struct LoadResult {
  std::uint64_t pairs = 0;       // compared and equal
  std::uint64_t unequal = 0;     // compared and not equal
  std::uint64_t unanswered = 0;  // requests without a key in the answer: refused, or no key in stock
  double seconds = 0;
  // Of each request that was answered by a key, from the first octet sent to the last one received; ascending.
  std::vector<std::uint64_t> enc_keys_ns;
  std::vector<std::uint64_t> dec_keys_ns;
};

// Errc::io: a connection does not stand or breaks.
Result<LoadResult> run_load(const LoadOptions& options);

}  // namespace quipu::bench
