// SPDX-License-Identifier: Apache-2.0
// What decodes must encode back to itself: no two texts for one value.
#include <cstdlib>

#include "base/encoding.h"
#include "base/ids.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = quipu::as_text({data, size});
  if (const auto bytes = quipu::from_base64(text)) {
    if (quipu::to_base64(*bytes) != text) std::abort();
    const auto secret = quipu::secret_from_base64(text);
    if (!secret || !quipu::constant_time_equal(secret->view(), *bytes)) std::abort();
  }
  if (const auto uuid = quipu::Uuid::parse(text)) {
    if (quipu::Uuid::parse(uuid->text()) != uuid) std::abort();
  }
  if (const auto bytes = quipu::from_hex(text)) {
    if (bytes->size() * 2 != size) std::abort();
  }
  return 0;
}
