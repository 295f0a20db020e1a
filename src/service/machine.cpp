// SPDX-License-Identifier: Apache-2.0
#include "service/machine.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/unique_fd.h"

namespace quipu::service {
namespace {

constexpr const char* kBootIdFile = "/proc/sys/kernel/random/boot_id";
constexpr unsigned kKernelUevents = 1;   // multicast group
constexpr int kReceiveBuffer = 1 << 20;  // octets; the kernel grants what it permits

Result<UniqueFd> open_boot_id() {
  UniqueFd file(::open(kBootIdFile, O_RDONLY | O_CLOEXEC));
  if (!file) return fail_system(kBootIdFile);
  return file;
}

Result<Uuid> read_boot_id() {
  // Kept open: the answer must not depend on whether a busy process has a descriptor left. It is made at each reading.
  static const Result<UniqueFd> file = open_boot_id();
  if (!file) return std::unexpected(file.error());
  std::array<char, 64> text{};
  const ssize_t size = ::pread(file->get(), text.data(), text.size(), 0);
  if (size < 0) return fail_system(kBootIdFile);
  std::string_view line(text.data(), static_cast<std::size_t>(size));
  if (line.ends_with('\n')) line.remove_suffix(1);
  const auto id = Uuid::parse(line);
  if (!id) return fail(Errc::malformed, std::string(kBootIdFile) + " holds no UUID");
  return *id;
}

// Lets through only messages that begin with "chan", as in "change@/devices/platform/VMGENCTR:00": hundreds of devices
// that come and go at once then cannot fill the buffer.
void pass_changes_only(int socket) {
  constexpr std::uint32_t kWanted = 0x6368616e;
  std::array<sock_filter, 4> code{{{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                                   {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kWanted},
                                   {BPF_RET | BPF_K, 0, 0, 0xffffffff},
                                   {BPF_RET | BPF_K, 0, 0, 0}}};
  const sock_fprog program{code.size(), code.data()};
  // Without the filter more is read and passed over, that is all.
  static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
  static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer));
}

// Announcements reach a socket only once it listens, so there is one for the life of the process.
class GenerationCounter {
 public:
  GenerationCounter() {
    UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    if (!socket) return;
    pass_changes_only(socket.get());
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = kKernelUevents;
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      m_socket = std::move(socket);
  }

  int fd() const { return m_socket ? m_socket.get() : -1; }

  std::optional<std::uint64_t> read() {
    if (!m_socket) return std::nullopt;
    for (;;) {
      sockaddr_nl sender{};
      socklen_t sender_size = sizeof sender;
      const ssize_t size = ::recvfrom(m_socket.get(), m_buffer.data(), m_buffer.size(), 0,
                                      reinterpret_cast<sockaddr*>(&sender), &sender_size);
      // The kernel dropped messages. An announcement may have been among them, so it counts as one.
      const bool dropped = size < 0 && errno == ENOBUFS;
      if (size < 0 && !dropped && errno != EINTR) return m_count;
      const std::string_view text(m_buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      if (dropped || (sender.nl_pid == 0 && announces_new_generation(text))) ++m_count;
    }
  }

 private:
  UniqueFd m_socket;
  std::uint64_t m_count = 0;
  std::array<char, 8192> m_buffer{};
};

GenerationCounter& generation_counter() {
  static GenerationCounter counter;
  return counter;
}

}  // namespace

bool announces_new_generation(std::string_view uevent) {
  constexpr std::string_view kWanted = "NEW_VMGENID=1";
  while (!uevent.empty()) {
    const std::size_t end = std::min(uevent.find('\0'), uevent.size());
    if (uevent.substr(0, end) == kWanted) return true;
    uevent.remove_prefix(std::min(end + 1, uevent.size()));
  }
  return false;
}

Result<MachineState> read_machine_state() {
  // Taken in first: an announcement that is left unread would wake whoever waits for one again and again.
  const std::optional<std::uint64_t> generation = generation_counter().read();
  QUIPU_TRY_ASSIGN(const Uuid boot_id, read_boot_id());
  return MachineState{boot_id, generation};
}

int machine_state_fd() {
  return generation_counter().fd();
}

}  // namespace quipu::service
