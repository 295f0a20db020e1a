// SPDX-License-Identifier: Apache-2.0
#include "service/control_server.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "service/control_socket.h"

namespace quipu::service {
namespace {

constexpr std::uint64_t kListener = 0;  // clients count from 1
constexpr std::size_t kReadSize = 4096;
// Lines that one client may have waiting; more is left in the kernel's buffer.
constexpr std::size_t kMaxInput = 2 * control::kMaxRequestSize;

bool is_again(int error) {
  return error == EAGAIN || error == EINTR;
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::create(ControlServerOptions options, Handler handler,
                                                             LogSink& log) {
  QUIPU_TRY_ASSIGN(UniqueFd listener, listen_at(options.path, options.group, log));
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_system("epoll_create1");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kListener}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.get(), &event) != 0) return fail_system("epoll_ctl");
  return std::unique_ptr<ControlServer>(
      new ControlServer(std::move(options), std::move(handler), log, std::move(listener), std::move(epoll)));
}

ControlServer::ControlServer(ControlServerOptions options, Handler handler, LogSink& log, UniqueFd listener,
                             UniqueFd epoll)
    : m_options(std::move(options)),
      m_handler(std::move(handler)),
      m_log(log),
      m_listener(std::move(listener)),
      m_epoll(std::move(epoll)) {
  struct stat status{};
  if (::lstat(m_options.path.c_str(), &status) == 0) m_inode = status.st_ino;
}

ControlServer::~ControlServer() {
  // Not the socket of a daemon that was started since.
  struct stat status{};
  if (::lstat(m_options.path.c_str(), &status) == 0 && status.st_ino == m_inode) ::unlink(m_options.path.c_str());
}

void ControlServer::on_readable() {
  std::array<epoll_event, 16> events{};
  const int count = ::epoll_wait(m_epoll.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kListener) {
      accept_clients();
      continue;
    }
    const auto client = m_clients.find(ClientId(event.data.u64));
    if (client != m_clients.end() && !serve(client->second, event.events)) m_clients.erase(client);
  }
}

void ControlServer::answer(ClientId client, std::string_view reply) {
  const auto found = m_clients.find(client);
  if (found == m_clients.end() || !found->second.owed) return;
  found->second.owed = false;
  (found->second.output += reply) += '\n';
  if (!advance(found->second)) m_clients.erase(found);
}

void ControlServer::make_room() {
  if (m_clients.size() < m_options.max_clients) return;
  const auto oldest = std::ranges::min_element(
      m_clients, {}, [](const auto& entry) { return std::pair(entry.second.owed, entry.second.id); });
  if (!oldest->second.owed) m_clients.erase(oldest);
}

void ControlServer::accept_clients() {
  for (;;) {
    UniqueFd fd(::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) continue;
    make_room();
    if (m_clients.size() >= m_options.max_clients) continue;
    Client client;
    client.id = ClientId(++m_last_id);
    client.uid = credentials.uid;
    client.events = EPOLLIN;
    epoll_event event{.events = client.events, .data = {.u64 = client.id.value()}};
    if (::epoll_ctl(m_epoll.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) continue;
    client.fd = std::move(fd);
    m_clients.emplace(client.id, std::move(client));
  }
}

bool ControlServer::serve(Client& client, std::uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return false;
  if ((events & EPOLLIN) != 0 && !receive(client)) return false;
  return advance(client);
}

bool ControlServer::receive(Client& client) {
  std::array<char, kReadSize> buffer{};
  while (client.input.size() < kMaxInput) {
    const ssize_t size = ::recv(client.fd.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return is_again(errno);
    if (size == 0) {
      client.ended = true;
      return true;
    }
    client.input.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return true;
}

// One request after the other: the next line is read when the last reply has gone.
bool ControlServer::advance(Client& client) {
  for (;;) {
    if (!send(client)) return false;
    if (!client.output.empty() || client.owed) break;
    const std::size_t end = client.input.find('\n');
    if (std::min(end, client.input.size()) > control::kMaxRequestSize) return false;
    if (end == std::string::npos) break;
    const std::string line = client.input.substr(0, end);
    client.input.erase(0, end + 1);
    if (auto reply = reply_to(client, line))
      client.output = *std::move(reply) + '\n';
    else
      client.owed = true;
  }
  if (client.ended && client.output.empty() && !client.owed) return false;
  return watch(client);
}

bool ControlServer::watch(Client& client) {
  std::uint32_t events = client.output.empty() ? 0U : static_cast<std::uint32_t>(EPOLLOUT);
  if (!client.ended && client.input.size() < kMaxInput) events |= EPOLLIN;
  if (events == client.events) return true;
  client.events = events;
  epoll_event event{.events = events, .data = {.u64 = client.id.value()}};
  return ::epoll_ctl(m_epoll.get(), EPOLL_CTL_MOD, client.fd.get(), &event) == 0;
}

bool ControlServer::send(Client& client) {
  while (!client.output.empty()) {
    const ssize_t size = ::send(client.fd.get(), client.output.data(), client.output.size(), MSG_NOSIGNAL);
    if (size < 0) return is_again(errno);
    client.output.erase(0, static_cast<std::size_t>(size));
  }
  return true;
}

std::optional<std::string> ControlServer::reply_to(const Client& client, std::string_view line) {
  const auto request = control::parse_request(line);
  if (!request) return control::encode_error(request.error());
  if (control::is_write(*request)) {
    const std::string verb(control::verb_of(*request));
    if (client.uid != 0 && client.uid != ::geteuid()) {
      m_log.warning("control_refused", "a user without the right asked for a change",
                    {{"verb", verb}, {"uid", fmt::to_string(client.uid)}});
      return control::encode_error(Error{Errc::not_permitted, fmt::format("{} is for root", verb)}, "use sudo");
    }
    m_log.info("control_request", "an operator asked for a change",
               {{"verb", verb}, {"uid", fmt::to_string(client.uid)}});
  }
  return m_handler(*request, client.id);
}

}  // namespace quipu::service
