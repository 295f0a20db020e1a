// SPDX-License-Identifier: Apache-2.0
// Start-up of the two cryptographic libraries; for the .cpp files of this folder.
#pragma once

namespace quipu::crypto {

// Idempotent and cheap after the first call. OpenSSL reads no configuration file, so nothing outside the program can
// change its providers. A library that does not start is fatal.
void start_libraries();

}  // namespace quipu::crypto
