// SPDX-License-Identifier: Apache-2.0
#include "cli/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <filesystem>

#include "base/unique_fd.h"

namespace quipu::cli {
namespace {

using Clock = std::chrono::steady_clock;

Error not_permitted(const std::string& path, const control::Request& request) {
  if (control::is_write(request))
    return {Errc::not_permitted,
            path + ": not permitted; " + std::string(control::verb_of(request)) + " is for root: use sudo"};
  return {Errc::not_permitted, path + ": not permitted; ask as root, or as a member of group quipu"};
}

Error nobody_listens(const std::string& path) {
  std::error_code unreadable;
  if (std::filesystem::exists(path, unreadable) && !std::filesystem::is_socket(path, unreadable))
    return {Errc::malformed, path + ": no socket: name the daemon's control_socket"};
  return {Errc::closed, path + ": the daemon that made this socket has gone; start it again"};
}

Error connection_error(const std::string& path, const control::Request& request, int error_number) {
  switch (error_number) {
    case ENOENT: return {Errc::not_found, path + ": no such socket; is the daemon running?"};
    case ECONNREFUSED: return nobody_listens(path);
    case EACCES:
    case EPERM: return not_permitted(path, request);
    default: return system_error(path, error_number);
  }
}

Result<UniqueFd> connect_to(const std::string& path, const control::Request& request) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(Errc::too_large, path + ": too long for a socket's name");
  std::ranges::copy(path, address.sun_path);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_system("socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return std::unexpected(connection_error(path, request, errno));
  return fd;
}

Result<void> wait_for(int fd, short events, Clock::time_point deadline, const std::string& path) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return fail(Errc::timeout, path + ": the daemon does not answer");
    pollfd wanted{.fd = fd, .events = events, .revents = 0};
    const int n = ::poll(&wanted, 1, static_cast<int>(left));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return fail_system(path);
  }
}

Result<void> send_line(int fd, std::string_view line, Clock::time_point deadline, const std::string& path) {
  while (!line.empty()) {
    const ssize_t n = ::send(fd, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0)
      line.remove_prefix(static_cast<std::size_t>(n));
    else if (errno == EAGAIN || errno == EINTR)
      QUIPU_TRY(wait_for(fd, POLLOUT, deadline, path));
    else
      return fail_system(path);
  }
  return {};
}

Result<std::string> receive_line(int fd, Clock::time_point deadline, const std::string& path) {
  std::string line;
  while (line.size() <= control::kMaxReplySize) {
    QUIPU_TRY(wait_for(fd, POLLIN, deadline, path));
    char buffer[16 * 1024];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0) return fail(Errc::closed, path + ": the daemon closed the connection without an answer");
    if (n < 0 && errno != EAGAIN && errno != EINTR) return fail_system(path);
    const std::string_view received(buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    const std::size_t end = received.find('\n');
    line += received.substr(0, end);
    if (end != std::string_view::npos) return line;
  }
  return fail(Errc::too_large, path + ": the answer is longer than any answer of a daemon");
}

}  // namespace

Result<control::Reply> ask(const std::string& socket_path, const control::Request& request,
                           std::chrono::milliseconds patience) {
  const Clock::time_point deadline = Clock::now() + patience;
  QUIPU_TRY_ASSIGN(const UniqueFd fd, connect_to(socket_path, request));
  QUIPU_TRY(send_line(fd.get(), control::encode(request) + "\n", deadline, socket_path));
  QUIPU_TRY_ASSIGN(const std::string line, receive_line(fd.get(), deadline, socket_path));
  return control::parse_reply(line);
}

Result<std::string> result_of(control::Reply reply) {
  if (auto* result = std::get_if<std::string>(&reply)) return std::move(*result);
  const auto& refusal = std::get<control::ReplyError>(reply);
  return fail(Errc::refused, refusal.hint.empty() ? refusal.message : refusal.message + "; " + refusal.hint);
}

}  // namespace quipu::cli
