// SPDX-License-Identifier: Apache-2.0
#include "tun/linux_tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/unique_fd.h"
#include "tun/virtio_header.h"

namespace quipu::tun {
namespace {

constexpr const char* kTunNode = "/dev/net/tun";

Result<void> check_name(const std::string& name) {
  const bool printable =
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127 && c != '/' && c != ':'; });
  if (!name.empty() && name.size() < IFNAMSIZ && printable && name != "." && name != "..") return {};
  return fail(Errc::out_of_range, "interface name \"" + name +
                                      "\": 1 to 15 printable characters without spaces, slashes and colons are "
                                      "possible");
}

ifreq request_for(const std::string& name) {
  ifreq request{};
  std::copy(name.begin(), name.end(), request.ifr_name);
  return request;
}

Error explain_open(int error_number) {
  if (error_number == ENOENT || error_number == ENODEV || error_number == ENXIO)
    return {Errc::unavailable, std::string(kTunNode) + ": this kernel has no TUN support; load it with: modprobe tun"};
  if (error_number == EACCES || error_number == EPERM)
    return {Errc::not_permitted,
            std::string(kTunNode) + ": permission denied; run with CAP_NET_ADMIN and access to this device node"};
  return system_error(kTunNode, error_number);
}

Error explain_create(const std::string& name, int error_number) {
  if (error_number == EPERM)
    return {Errc::not_permitted, "creating the interface " + name +
                                     " needs CAP_NET_ADMIN: start it as a service (the unit grants it) or as root"};
  // EBUSY: a TUN that another program holds open. EINVAL: an interface of another kind or mode.
  if (error_number == EBUSY || error_number == EINVAL || error_number == EEXIST)
    return {Errc::conflict, "interface " + name + " exists already: stop the program that uses it (ip -d link show " +
                                name + "), or choose another name"};
  return system_error("creating the interface " + name, error_number);
}

// What the kernel may leave to us when we read and takes from us when we write, as TUNSETOFFLOAD has it. Linux 6.2 has
// runs of UDP; older headers do not even name them.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
constexpr unsigned kTcpRuns = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr unsigned kUdpRuns = TUN_F_USO4 | TUN_F_USO6;

// The most that this kernel has.
Offloads ask_for_offloads(int device) {
  const auto set = [device](unsigned offloads) { return ::ioctl(device, TUNSETOFFLOAD, offloads) == 0; };
  const bool udp = set(kTcpRuns | kUdpRuns);
  const bool tcp = udp || set(kTcpRuns);
  return {.checksum = true, .tcp4 = tcp, .tcp6 = tcp, .udp = udp};
}

class LinuxTun final : public TunDevice {
 public:
  // `offloads.checksum`: the device has IFF_VNET_HDR.
  LinuxTun(UniqueFd device, std::string name, const Offloads& offloads)
      : m_device(std::move(device)), m_name(std::move(name)), m_offloads(offloads) {}

  Result<std::size_t> read(std::span<const MutableBytes> buffers, std::span<ReadPacket> packets) override {
    QUIPU_ASSERT(packets.size() >= buffers.size());
    std::size_t count = 0;
    while (count < buffers.size()) {
      const ssize_t size = read_one(buffers[count], packets[count]);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) break;
      // What was read before the failure is delivered; the failure comes again with the next call.
      if (size < 0 && count > 0) break;
      if (size < 0) return fail_device("reading from");
      // The kernel cuts silently, so a packet that fills its buffer cannot be told from one that was cut.
      if (static_cast<std::size_t>(size) >= buffers[count].size())
        ++m_counters.read_cut;
      else
        packets[count++].size = static_cast<std::size_t>(size);
    }
    return count;
  }

  Result<std::size_t> write(std::span<const GatheredPacket> packets) override {
    std::size_t count = 0;
    for (const GatheredPacket& packet : packets) {
      ssize_t size = 0;
      do {
        size = write_one(packet);
      } while (size < 0 && errno == EINTR);
      if (size >= 0)
        ++count;
      else if (errno == EBADFD)
        return fail_device("writing to");
      else
        m_counters.write_refused += packet.parts.size();
    }
    return count;
  }

  Offloads offloads() const override { return m_offloads; }

  int fd() const override { return m_device.get(); }

  const std::string& name() const override { return m_name; }

 private:
  std::unexpected<Error> fail_device(std::string_view what) const {
    if (errno == EBADFD) return fail(Errc::closed, m_name + ": the interface was deleted");
    return fail_system(std::string(what) + " " + m_name);
  }

  // Octets of the packet; sets its hints. Less than 0: errno.
  ssize_t read_one(MutableBytes buffer, ReadPacket& packet) {
    if (!m_offloads.checksum) {
      packet.hints = {};
      return ::read(m_device.get(), buffer.data(), buffer.size());
    }
    VirtioHeader header{};
    const std::array<iovec, 2> parts{{{header.data(), header.size()}, {buffer.data(), buffer.size()}}};
    const ssize_t size = ::readv(m_device.get(), parts.data(), parts.size());
    if (size < 0) return size;
    const auto hints = from_virtio(header);
    // Never, of a kernel that was told what we understand: as one that was cut.
    if (!hints || size < static_cast<ssize_t>(header.size())) return static_cast<ssize_t>(buffer.size());
    packet.hints = *hints;
    return size - static_cast<ssize_t>(header.size());
  }

  ssize_t write_one(const GatheredPacket& packet) {
    if (!m_offloads.checksum && packet.hints != PacketHints()) {
      errno = EINVAL;
      return -1;
    }
    VirtioHeader header = to_virtio(packet.hints);
    m_parts.clear();
    if (m_offloads.checksum) m_parts.push_back({header.data(), header.size()});
    for (const ByteView part : packet.parts)
      m_parts.push_back({const_cast<std::uint8_t*>(part.data()), part.size()});
    return ::writev(m_device.get(), m_parts.data(), static_cast<int>(m_parts.size()));
  }

  UniqueFd m_device;
  std::string m_name;
  Offloads m_offloads;
  std::vector<iovec> m_parts;
};

// `flags`: of IFF_MULTI_QUEUE and IFF_TUN_EXCL.
Result<std::unique_ptr<TunDevice>> open_queue(const TunOptions& options, int flags) {
  UniqueFd device(::open(kTunNode, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!device) return std::unexpected(explain_open(errno));
  unsigned features = 0;
  const bool has_header = ::ioctl(device.get(), TUNGETFEATURES, &features) == 0 && (features & IFF_VNET_HDR) != 0;
  ifreq request = request_for(options.name);
  const int mode = options.mode == TunMode::tun ? IFF_TUN : IFF_TAP;
  request.ifr_flags = static_cast<short>(mode | IFF_NO_PI | flags | (has_header ? IFF_VNET_HDR : 0));
  if (::ioctl(device.get(), TUNSETIFF, &request) != 0) return std::unexpected(explain_create(options.name, errno));
  const Offloads offloads = has_header ? ask_for_offloads(device.get()) : Offloads{};
  return std::make_unique<LinuxTun>(std::move(device), request.ifr_name, offloads);
}

}  // namespace

Result<std::unique_ptr<TunDevice>> open_linux_tun(const TunOptions& options) {
  QUIPU_TRY(check_name(options.name));
  return open_queue(options, 0);
}

Result<std::vector<std::unique_ptr<TunDevice>>> open_linux_tun_queues(const TunOptions& options, std::size_t queues) {
  QUIPU_TRY(check_name(options.name));
  std::vector<std::unique_ptr<TunDevice>> out(queues);
  if (queues == 1) {
    QUIPU_TRY_ASSIGN(out[0], open_queue(options, 0));
    return out;
  }
  constexpr int several = IFF_MULTI_QUEUE;
  // Not a queue more of another program's interface.
  QUIPU_TRY_ASSIGN(out[0], open_queue(options, several | IFF_TUN_EXCL));
  for (std::size_t i = 1; i < queues; ++i) {
    QUIPU_TRY_ASSIGN(out[i], open_queue({.name = out[0]->name(), .mode = options.mode}, several));
  }
  return out;
}

}  // namespace quipu::tun
