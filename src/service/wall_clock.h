// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/time.h"

namespace quipu::service {

inline WallTime wall_now() {
  return std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now());
}

}  // namespace quipu::service
