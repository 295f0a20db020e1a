// SPDX-License-Identifier: Apache-2.0
// What the systemd units of the packages (systemd/*.service) give each daemon, for whoever stands in for a unit: a
// daemon's --check in a shell, and the admin's commands.
#pragma once

#include <array>
#include <string_view>

namespace quipu::config {

struct Unit {
  std::string_view daemon;
  std::string_view configuration;  // --config, an absolute path
  std::string_view user;           // User=
  // LoadCredential=: every file of this folder is the credential whose name is this prefix and the file's name.
  std::string_view credential_prefix;
  std::string_view credential_folder;
};

inline constexpr Unit kQuipudUnit{"quipud", "/etc/quipu/quipu.toml", "_quipu", "quipu_", "/etc/quipu/credentials"};
inline constexpr Unit kKmsdUnit{"quipu-kmsd", "/etc/quipu/kms.toml", "_quipu-kms", "kms_",
                                "/etc/quipu/kms-credentials"};
inline constexpr std::array kUnits{kQuipudUnit, kKmsdUnit};

// SupplementaryGroups= of both: whose members may use the control sockets.
inline constexpr std::string_view kControlGroup = "quipu";

// ProtectHome= and PrivateTmp= of both: folders below which a unit finds nothing.
inline constexpr std::array<std::string_view, 5> kHiddenFromUnits{"/home", "/root", "/run/user", "/tmp", "/var/tmp"};

// How a configuration names a file that is a credential.
inline constexpr std::string_view kCredential = "credential:";

}  // namespace quipu::config
