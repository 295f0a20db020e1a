// SPDX-License-Identifier: Apache-2.0
#include "tun/linux_tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/unique_fd.h"

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

class LinuxTun final : public TunDevice {
 public:
  LinuxTun(UniqueFd device, std::string name) : m_device(std::move(device)), m_name(std::move(name)) {}

  Result<std::size_t> read(std::span<const MutableBytes> buffers, std::span<ReadPacket> packets) override {
    QUIPU_ASSERT(packets.size() >= buffers.size());
    std::size_t count = 0;
    while (count < buffers.size()) {
      const MutableBytes buffer = buffers[count];
      const ssize_t size = ::read(m_device.get(), buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) break;
      // What was read before the failure is delivered; the failure comes again with the next call.
      if (size < 0 && count > 0) break;
      if (size < 0) return fail_device("reading from");
      // The kernel cuts silently, so a packet that fills its buffer cannot be told from one that was cut.
      if (static_cast<std::size_t>(size) >= buffer.size())
        ++m_counters.read_cut;
      else
        packets[count++] = {static_cast<std::size_t>(size), {}};
    }
    return count;
  }

  Result<std::size_t> write(std::span<const WritePacket> packets) override {
    std::size_t count = 0;
    for (const WritePacket& packet : packets) {
      ssize_t size = 0;
      do {
        size = ::write(m_device.get(), packet.bytes.data(), packet.bytes.size());
      } while (size < 0 && errno == EINTR);
      if (size >= 0)
        ++count;
      else if (errno == EBADFD)
        return fail_device("writing to");
      else
        ++m_counters.write_refused;
    }
    return count;
  }

  int fd() const override { return m_device.get(); }

  const std::string& name() const override { return m_name; }

 private:
  std::unexpected<Error> fail_device(std::string_view what) const {
    if (errno == EBADFD) return fail(Errc::closed, m_name + ": the interface was deleted");
    return fail_system(std::string(what) + " " + m_name);
  }

  UniqueFd m_device;
  std::string m_name;
};

}  // namespace

Result<std::unique_ptr<TunDevice>> open_linux_tun(const TunOptions& options) {
  QUIPU_TRY(check_name(options.name));
  UniqueFd device(::open(kTunNode, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!device) return std::unexpected(explain_open(errno));
  ifreq request = request_for(options.name);
  const int mode = options.mode == TunMode::tun ? IFF_TUN : IFF_TAP;
  request.ifr_flags = static_cast<short>(mode | IFF_NO_PI);
  if (::ioctl(device.get(), TUNSETIFF, &request) != 0) return std::unexpected(explain_create(options.name, errno));
  return std::make_unique<LinuxTun>(std::move(device), request.ifr_name);
}

}  // namespace quipu::tun
