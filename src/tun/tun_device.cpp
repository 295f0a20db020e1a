// SPDX-License-Identifier: Apache-2.0
#include "tun/tun_device.h"

namespace quipu::tun {
namespace {

constexpr int kLinkHeaderRoom = 18;  // Ethernet with one VLAN tag; unused by TUN

}  // namespace

Result<std::size_t> TunDevice::read_size() const {
  QUIPU_TRY_ASSIGN(const int payload, mtu());
  return static_cast<std::size_t>(payload + kLinkHeaderRoom + 1);
}

}  // namespace quipu::tun
