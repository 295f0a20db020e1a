// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace quipu::driver {

// From here on this process, which must have set no_new_privs, can write no file at all and read only what a program
// needs to load the plugin, to look up a name and to check a certificate: the plugin's folder, libraries, the system's
// CA certificates and a few files of /etc and /dev. The key store, the daemon's keys and credentials, /proc and the
// control sockets are outside, whoever's user this process runs as. Errc::unsupported when the kernel lacks Landlock:
// without it a plugin could read the store, so none is loaded.
Result<void> confine_to_files(const std::string& plugin);

}  // namespace quipu::driver
