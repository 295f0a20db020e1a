// SPDX-License-Identifier: Apache-2.0
// The one document with keys in it. They go from the input buffer into locked memory and nowhere else.
#pragma once

#include "base/result.h"
#include "etsi/etsi014.h"

namespace quipu::etsi {

// Ids of 1 to kMaxKeyIdSize printable ASCII octets, none twice; keys of at least one octet in strict base64. An empty
// container and unknown members are accepted.
Result<KeyContainer> read_container(ByteView json);

}  // namespace quipu::etsi
