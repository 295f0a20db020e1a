// SPDX-License-Identifier: Apache-2.0
#include "service/control_socket.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "service/control_server.h"

namespace quipu::service {
namespace {

constexpr mode_t kMode = 0660;
constexpr int kBacklog = 16;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Errc::too_large,
                fmt::format("{}: the path of a socket has 1 to {} octets", path, sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// False when there is nothing.
Result<bool> is_socket(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    return fail_system(path);
  }
  if (!S_ISSOCK(status.st_mode)) return fail(Errc::conflict, path + ": stands there and is no socket; move it away");
  return true;
}

Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  QUIPU_TRY_ASSIGN(const bool there, is_socket(path));
  if (!there) return {};
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return fail_system("socket");
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN)
    return fail(Errc::busy, path + ": another daemon answers there; stop it first");
  if (errno != ECONNREFUSED) return fail_system(path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_system(path);
  return {};
}

void give_to_group(const std::string& path, const std::string& group, LogSink& log) {
  std::array<char, 4096> buffer{};
  ::group entry{};
  ::group* found = nullptr;
  if (::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return;
  if (::chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0)
    log.warning("control_group", "the control socket could not be given to its group, only root can use it",
                {{"group", group}, {"path", path}, error_field(system_error("chown"))});
}

}  // namespace

Result<void> check_socket_path(const std::string& path) {
  QUIPU_TRY(is_socket(path));
  return {};
}

Result<UniqueFd> listen_at(const std::string& path, const std::string& group, LogSink& log) {
  QUIPU_TRY_ASSIGN(const sockaddr_un address, address_of(path));
  QUIPU_TRY(remove_stale(path, address));
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return fail_system("socket");
  // Linux takes the mode of the new file from the socket: at no moment can anybody else open it.
  if (::fchmod(listener.get(), S_IRUSR | S_IWUSR) != 0) return fail_system("fchmod");
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_system(path);
  give_to_group(path, group, log);
  if (::chmod(path.c_str(), kMode) != 0) return fail_system(path);
  if (::listen(listener.get(), kBacklog) != 0) return fail_system(path);
  return listener;
}

}  // namespace quipu::service
