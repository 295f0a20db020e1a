// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"

namespace quipu::crypto {

// Known-answer tests of every primitive that the programs use, run by each program before anything else (about a
// millisecond). Also fixes OpenSSL's settings: no configuration file is read. The error names the primitive.
Result<void> self_test();

}  // namespace quipu::crypto
