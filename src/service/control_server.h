// SPDX-License-Identifier: Apache-2.0
// The control socket of a daemon: who may ask, framing and limits. What the verbs do is the daemon's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"
#include "base/strong.h"
#include "base/unique_fd.h"
#include "control/message.h"

namespace quipu::service {

struct ControlServerOptions {
  std::string path;             // unix stream socket, mode 0660
  std::string group = "quipu";  // its group, if the system has it; else the process's own
  std::size_t max_clients = 16;
};

// Errc::conflict when another kind of file stands where a daemon would make its control socket, which would keep it
// from starting. What a running daemon has there is as it should be.
Result<void> check_socket_path(const std::string& path);

// Never blocks: one descriptor to watch, one call when it is readable. Read verbs answer whoever may open the socket,
// write verbs root and the daemon's own user (SO_PEERCRED). A client that sends a line beyond kMaxRequestSize is
// closed; one that does not take its replies is read no further; where there are too many, the oldest that waits for
// nothing gives way. Single-threaded. The socket is removed when this ends.
class ControlServer {
 public:
  // Names one client, and is never used twice.
  using ClientId = Strong<struct ControlClientTag, std::uint64_t>;
  // Called from on_readable(). Returns one reply line (control::encode_ok or encode_error), or nothing when the answer
  // takes time: it is then given by answer(), and no further line of this client is read before that.
  using Handler = std::function<std::optional<std::string>(const control::Request&, ClientId)>;

  // A socket left behind by a process that died is replaced; one that answers, or a file of another kind, is an error.
  static Result<std::unique_ptr<ControlServer>> create(ControlServerOptions options, Handler handler, LogSink& log);

  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

  // Readable whenever there is something to do.
  int fd() const { return m_epoll.get(); }

  void on_readable();

  // The reply that a handler owes. Does nothing when the client has gone. Not to be called from within the handler.
  void answer(ClientId client, std::string_view reply);

  std::size_t clients() const { return m_clients.size(); }

 private:
  struct Client {
    ClientId id;
    UniqueFd fd;
    uid_t uid = 0;
    std::string input;
    std::string output;
    std::uint32_t events = 0;  // watched for
    bool ended = false;        // it will send no more
    bool owed = false;         // a handler will answer later
  };

  ControlServer(ControlServerOptions options, Handler handler, LogSink& log, UniqueFd listener, UniqueFd epoll);

  void accept_clients();
  // Closes the oldest client that waits for nothing when there are as many as may be.
  void make_room();
  // These return false when the client is to be closed.
  bool serve(Client& client, std::uint32_t events);
  bool receive(Client& client);
  bool advance(Client& client);
  bool send(Client& client);
  bool watch(Client& client);
  std::optional<std::string> reply_to(const Client& client, std::string_view line);

  ControlServerOptions m_options;
  Handler m_handler;
  LogSink& m_log;
  UniqueFd m_listener;
  UniqueFd m_epoll;
  ino_t m_inode = 0;
  std::uint64_t m_last_id = 0;
  std::map<ClientId, Client> m_clients;
};

}  // namespace quipu::service
