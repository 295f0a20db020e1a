// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/ip.h"

namespace quipu::net {

// Whether an interface of this host has the address at this time, or it stands for all of them (0.0.0.0, ::).
bool is_address_here(const IpAddress& address);

}  // namespace quipu::net
