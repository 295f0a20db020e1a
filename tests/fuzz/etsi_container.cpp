// SPDX-License-Identifier: Apache-2.0
// Whatever a KME answers: no crash, and what is accepted survives being written and read again.
#include <cstdlib>

#include "etsi/etsi014_client.h"
#include "etsi/etsi014_server.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quipu;
  if (size < 2) return 0;
  const unsigned http_status = data[0] < 128 ? 200 : 100U + (data[0] - 128U) * 4U;
  const std::uint32_t number = data[1] % 4;
  const ByteView body(data + 2, size - 2);
  (void)etsi::parse_status_reply(http_status, body);
  const auto container = etsi::parse_enc_keys_reply(http_status, body, number, 0);
  if (!container) return 0;
  if (container->keys.size() != number) std::abort();
  etsi::KeyIds ids;
  for (const etsi::Key& key : container->keys)
    ids.ids.push_back(key.id);
  const auto again = etsi::parse_dec_keys_reply(200, etsi::write_container(*container).view(), ids, 0);
  if (!again) std::abort();
  for (std::size_t i = 0; i < number; ++i) {
    if (!(again->keys[i].bytes == container->keys[i].bytes)) std::abort();
  }
  return 0;
}
