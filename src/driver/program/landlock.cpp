// SPDX-License-Identifier: Apache-2.0
#include "driver/program/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "base/unique_fd.h"

namespace quipu::driver {
namespace {

// Everything of the first version of Landlock: what is not granted below is refused. What later versions add
// (truncation, ioctl, connections, signals) the system call filter limits on every kernel.
constexpr std::uint64_t kHandled = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kReadFolder = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

constexpr std::array kFolders = {
    // libraries
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib64",
    // CA certificates; not /etc/ssl as a whole, where private keys lie
    "/etc/ssl/certs",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    // What /etc/resolv.conf may be a link to: these files are replaced as the network changes, and a permission is for
    // the file that is there now, or for a folder with whatever comes into it.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
};

constexpr std::array kFiles = {
    "/etc/ld.so.cache", "/etc/localtime",     "/etc/ssl/openssl.cnf", "/etc/gai.conf",    "/etc/host.conf",
    "/etc/hosts",       "/etc/nsswitch.conf", "/etc/protocols",       "/etc/resolv.conf", "/etc/services",
    "/dev/null",        "/dev/random",        "/dev/urandom",         "/dev/zero",
};

// What does not exist on this machine needs no permission.
Result<void> permit(const UniqueFd& ruleset, const std::string& path, std::uint64_t access) {
  const UniqueFd target(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!target) return {};
  const landlock_path_beneath_attr rule{.allowed_access = access, .parent_fd = target.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return fail_system("permitting " + path);
  return {};
}

Result<UniqueFd> make_ruleset() {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kHandled;
  UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (ruleset) return ruleset;
  // A container's own filter says EPERM.
  if (errno != ENOSYS && errno != EOPNOTSUPP && errno != EPERM) return fail_system("making the rules for files");
  return fail(Errc::unsupported,
              "Landlock is not available, without which a driver could read the key store, so no driver is loaded: "
              "add landlock to the kernel's parameter lsm=, or let the container use landlock_create_ruleset, "
              "landlock_add_rule and landlock_restrict_self");
}

std::string folder_of(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  return slash == std::string::npos ? "." : file.substr(0, slash + 1);
}

}  // namespace

Result<void> confine_to_files(const std::string& plugin) {
  QUIPU_TRY_ASSIGN(const UniqueFd ruleset, make_ruleset());
  QUIPU_TRY(permit(ruleset, folder_of(plugin), kReadFolder));
  for (const char* folder : kFolders)
    QUIPU_TRY(permit(ruleset, folder, kReadFolder));
  for (const char* file : kFiles)
    QUIPU_TRY(permit(ruleset, file, kReadFile));
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return fail_system("entering the rules for files");
  return {};
}

}  // namespace quipu::driver
