// SPDX-License-Identifier: Apache-2.0
// Messages of the KM link: what decodes must encode back to the same octets, and nothing that does not may decode.
#include <cstdlib>

#include "kms/link_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const quipu::ByteView octets(data, size);
  const auto message = quipu::kms::wire::decode(octets);
  if (!message) return 0;
  const quipu::SecretBytes again = quipu::kms::wire::encode(*message);
  if (!quipu::constant_time_equal(again.view(), octets)) std::abort();
  return 0;
}
