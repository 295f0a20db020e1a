// SPDX-License-Identifier: Apache-2.0
// Congestion marks on packets of any form: nothing outside the packet is touched, and nothing in it but its class.
#include <cstdlib>

#include "offload/traffic_class.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quipu;
  if (size == 0) return 0;
  Bytes packet(data + 1, data + size);
  const Bytes before = packet;
  const std::uint8_t own = offload::outer_traffic_class(packet, true);
  const bool kept = offload::take_congestion(packet, data[0]);
  // RFC 6040: a packet that cannot tell of congestion is dropped, and no other.
  if (kept != ((data[0] & 3) != 3 || (own & 3) != 0)) std::abort();
  if (packet.size() != before.size()) std::abort();
  if (!kept && packet != before) std::abort();
  if ((offload::outer_traffic_class(packet, true) ^ own) > 3) std::abort();
  for (std::size_t i = 12; i < packet.size(); ++i)
    if (packet[i] != before[i]) std::abort();
  return 0;
}
