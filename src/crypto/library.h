// SPDX-License-Identifier: Apache-2.0
// Start-up of the two cryptographic libraries; for the .cpp files of this folder and for net/tls.cpp.
#pragma once

namespace quipu::crypto {

// Idempotent and cheap after the first call, which must be made before anything else uses OpenSSL. It reads no
// configuration file, so nothing outside the program can change its providers, and it wipes all memory that it gives
// back. A library that does not start is fatal.
void start_libraries();

}  // namespace quipu::crypto
