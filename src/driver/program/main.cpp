// SPDX-License-Identifier: Apache-2.0
// quipu-driver PLUGIN: hosts one driver plugin for quipu-kmsd, with which it speaks over the socket that it inherits.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "driver/child_process.h"
#include "driver/program/sandbox.h"
#include "driver/program/session.h"

namespace {

using namespace quipu::driver;

bool is_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

// The plugin's destructors and atexit handlers do not run: the device is closed, and nothing else is to be saved.
[[noreturn]] void leave(int status) {
  ::_exit(status);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !is_socket(kDriverSocket)) {
    std::fputs("quipu-driver is started by quipu-kmsd and cannot be used by hand\n", stderr);
    return 2;
  }
  Bridge bridge(kDriverSocket);
  quipu::Result<void> result = enter_sandbox(argv[1]);
  bool permanent = false;
  if (result) {
    Session session(kDriverSocket, bridge);
    result = session.run(argv[1]);
    permanent = session.permanent();
  }
  if (result) leave(EXIT_SUCCESS);
  bridge.send(FrameType::failed, encode(OutcomeMessage{permanent, result.error().text}));
  leave(EXIT_FAILURE);
}
