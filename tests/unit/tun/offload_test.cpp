// SPDX-License-Identifier: Apache-2.0
// The kernel's own TCP and UDP through a real device that is a mirror: what it sends to 10.99.0.2 comes back from
// there, with source and destination exchanged, which no checksum minds. So both ends of a connection are here, and
// what goes from one to the other went out and in by the device, in runs of segments where the kernel makes them.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>

#include "base/unique_fd.h"
#include "offload/coalescer.h"
#include "offload/cutter.h"
#include "support/network_namespace.h"
#include "tun/linux_tun.h"

namespace quipu::tun {
namespace {

using Segmentation = PacketHints::Segmentation;

struct Captured {
  Bytes bytes;
  PacketHints hints;
};

using Captures = std::vector<Captured>;

void exchange_addresses(Bytes& packet) {
  const bool v6 = packet[0] >> 4 == 6;
  const std::ptrdiff_t size = v6 ? 16 : 4;
  const auto source = packet.begin() + (v6 ? 8 : 12);
  std::swap_ranges(source, source + size, source + size);
}

class Mirror {
 public:
  Mirror() {
    auto device = open_linux_tun({.name = "quipu0"});
    EXPECT_TRUE(device) << device.error().text;
    m_device = std::move(*device);
    EXPECT_EQ(std::system("ip address add 10.99.0.1/24 dev quipu0 && ip address add fd99::1/64 dev quipu0 nodad && "
                          "ip link set quipu0 mtu 1400 up"),
              0);
  }

  int fd() const { return m_device->fd(); }

  const TunDevice& device() const { return *m_device; }

  // How many runs of segments came out of the device.
  int runs() const { return m_runs; }

  // What happens to the packets of a batch between out and in.
  std::function<Captures(Captures)> change = [](Captures packets) { return packets; };

  void pass() {
    std::vector<Bytes> storage(16, Bytes(kLargestRead));
    const std::vector<MutableBytes> buffers(storage.begin(), storage.end());
    std::vector<ReadPacket> packets(buffers.size());
    const auto count = m_device->read(buffers, packets);
    ASSERT_TRUE(count);
    Captures captured;
    for (std::size_t i = 0; i < *count; ++i) {
      captured.push_back({storage[i], packets[i].hints});
      captured.back().bytes.resize(packets[i].size);
      exchange_addresses(captured.back().bytes);
      m_runs += packets[i].hints.segmentation == Segmentation::none ? 0 : 1;
    }
    write(change(std::move(captured)));
  }

 private:
  void write(const Captures& packets) {
    for (const Captured& packet : packets) {
      const ByteView whole = packet.bytes;
      const GatheredPacket one{.parts = {&whole, 1}, .hints = packet.hints};
      EXPECT_EQ(m_device->write({&one, 1}), 1U);
    }
  }

  std::unique_ptr<TunDevice> m_device;
  int m_runs = 0;
};

sockaddr_in6 address(int family, const char* text, std::uint16_t port) {
  sockaddr_in6 out{};
  out.sin6_family = static_cast<sa_family_t>(family);
  out.sin6_port = htons(port);  // stands where sin_port does
  void* const octets = family == AF_INET ? static_cast<void*>(&reinterpret_cast<sockaddr_in*>(&out)->sin_addr)
                                         : static_cast<void*>(&out.sin6_addr);
  EXPECT_EQ(::inet_pton(family, text, octets), 1);
  return out;
}

const sockaddr* as_sockaddr(const sockaddr_in6& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

const char* here(int family) {
  return family == AF_INET ? "10.99.0.1" : "fd99::1";
}

const char* there(int family) {
  return family == AF_INET ? "10.99.0.2" : "fd99::2";
}

std::uint16_t bound_port(const UniqueFd& socket, int family) {
  const sockaddr_in6 any = address(family, here(family), 0);
  EXPECT_EQ(::bind(socket.get(), as_sockaddr(any), sizeof any), 0);
  sockaddr_in6 bound{};
  socklen_t size = sizeof bound;
  EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
  return ntohs(bound.sin6_port);
}

// Until done() says so, which is asked whenever something may have happened.
void pump(Mirror& mirror, const std::function<bool()>& done) {
  while (!done()) {
    pollfd waiting{mirror.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 20'000), 1) << "nothing goes any more";
    mirror.pass();
  }
}

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::uint8_t>(i * i >> 7);
  return out;
}

void carry_tcp(Mirror& mirror, int family) {
  const UniqueFd listener(::socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
  const std::uint16_t port = bound_port(listener, family);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const UniqueFd sender(::socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
  const sockaddr_in6 to = address(family, there(family), port);
  ASSERT_TRUE(::connect(sender.get(), as_sockaddr(to), sizeof to) == 0 || errno == EINPROGRESS);
  UniqueFd receiver;
  pump(mirror, [&] {
    receiver = UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
    return static_cast<bool>(receiver);
  });
  const Bytes sent = pattern(2'000'000);
  std::size_t out = 0;
  Bytes got;
  Bytes room(100'000);
  pump(mirror, [&] {
    if (out < sent.size()) {
      const ssize_t size = ::send(sender.get(), sent.data() + out, sent.size() - out, 0);
      if (size > 0) out += static_cast<std::size_t>(size);
    }
    for (ssize_t size = 0; (size = ::recv(receiver.get(), room.data(), room.size(), 0)) > 0;)
      got.insert(got.end(), room.begin(), room.begin() + size);
    return got.size() >= sent.size();
  });
  EXPECT_EQ(got, sent);
}

// As both ends of a tunnel do it, with what befalls datagrams between them: every 97th is lost, every 31st comes late.
class Path {
 public:
  explicit Path(const Offloads& offloads) : m_coalescer(offloads) {}

  Captures operator()(const Captures& packets) {
    std::vector<Bytes> segments;
    for (const Captured& packet : packets)
      cut(packet, segments);
    for (Bytes& segment : segments)
      EXPECT_TRUE(m_coalescer.add(segment, true));
    Captures out;
    for (const GatheredPacket& gathered : m_coalescer.gather()) {
      Captured& one = out.emplace_back(Bytes{}, gathered.hints);
      for (const ByteView part : gathered.parts)
        one.bytes.insert(one.bytes.end(), part.begin(), part.end());
      m_runs += gathered.hints.segmentation == Segmentation::none ? 0 : 1;
    }
    m_coalescer.clear();
    return out;
  }

  int runs() const { return m_runs; }

 private:
  void cut(const Captured& packet, std::vector<Bytes>& segments) {
    const auto cutter = offload::Cutter::create(packet.bytes, packet.hints);
    ASSERT_TRUE(cutter);
    if (!cutter->checksum_partial()) return;  // the kernel's own, as router solicitations
    for (std::size_t i = 0; i < cutter->segments(); ++i) {
      ++m_segments;
      if (m_segments % 97 == 0) continue;
      Bytes segment(cutter->size(i));
      cutter->write(i, segment);
      segments.insert(m_segments % 31 == 0 && !segments.empty() ? segments.end() - 1 : segments.end(), segment);
    }
  }

  offload::Coalescer m_coalescer;
  int m_segments = 0;
  int m_runs = 0;
};

void in_namespace(const std::function<void()>& body) {
  test::in_network_namespace("ip link set lo up", body);
}

TEST(LinuxTunOffload, CarriesRunsOfTcpSegments) {
  in_namespace([] {
    Mirror mirror;
    ASSERT_TRUE(mirror.device().offloads().tcp4 && mirror.device().offloads().tcp6);
    for (const int family : {AF_INET, AF_INET6}) {
      const int before = mirror.runs();
      carry_tcp(mirror, family);
      EXPECT_GT(mirror.runs(), before);
    }
    EXPECT_EQ(mirror.device().counters().write_refused, 0U);
  });
}

TEST(LinuxTunOffload, CutAndGatheredRunsCarryTcpInSpiteOfLossAndReordering) {
  in_namespace([] {
    Mirror mirror;
    Path path(mirror.device().offloads());
    mirror.change = [&path](const Captures& packets) { return path(packets); };
    for (const int family : {AF_INET, AF_INET6}) {
      const int before = path.runs();
      carry_tcp(mirror, family);
      EXPECT_GT(path.runs(), before);
    }
  });
}

// Nothing of it is left to the kernel.
TEST(LinuxTunOffload, TcpFlowsWithoutAnyOffload) {
  in_namespace([] {
    Mirror mirror;
    Path path(Offloads{});
    mirror.change = [&path](const Captures& packets) { return path(packets); };
    carry_tcp(mirror, AF_INET6);
    EXPECT_EQ(path.runs(), 0);
  });
}

// Linux 6.2 and later: a run of UDP is one packet for the device, and datagrams for the socket.
TEST(LinuxTunOffload, CarriesRunsOfUdpDatagrams) {
  in_namespace([] {
    Mirror mirror;
    if (!mirror.device().offloads().udp) GTEST_SKIP() << "this kernel has no segmentation of UDP for TUN devices";
    for (const int family : {AF_INET, AF_INET6}) {
      Path path(mirror.device().offloads());
      mirror.change = [&path](const Captures& packets) { return path(packets); };
      const UniqueFd sender(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0));
      bound_port(sender, family);
      const UniqueFd receiver(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0));
      const sockaddr_in6 to = address(family, there(family), bound_port(receiver, family));
      const Bytes payload = pattern(500);
      for (int i = 0; i < 20; ++i)
        ASSERT_EQ(::sendto(sender.get(), payload.data(), payload.size(), 0, as_sockaddr(to), sizeof to), 500);
      int got = 0;
      Bytes room(2000);
      pump(mirror, [&] {
        for (ssize_t size = 0; (size = ::recv(receiver.get(), room.data(), room.size(), 0)) > 0; ++got)
          EXPECT_TRUE(std::ranges::equal(std::span(room).first(static_cast<std::size_t>(size)), payload));
        return got == 20;
      });
      EXPECT_GT(path.runs(), 0);
    }
  });
}

}  // namespace
}  // namespace quipu::tun
