// SPDX-License-Identifier: Apache-2.0
#include "net/udp_bind.h"

#include <netinet/udp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/unique_fd.h"
#include "net/sockaddr.h"

namespace quipu::net {
namespace {

constexpr std::size_t kBatch = 64;
constexpr int kPortAttempts = 16;  // for a port that is free in both families

Result<void> set_option(int fd, int level, int name, int value, std::string_view what) {
  if (::setsockopt(fd, level, name, &value, sizeof value) == 0) return {};
  return fail_system(what);
}

// The forced variants go beyond the system's limit and need CAP_NET_ADMIN.
void size_buffer(int fd, int forced, int plain, std::size_t octets) {
  const int value = static_cast<int>(std::min<std::size_t>(octets, 1 << 30));
  if (::setsockopt(fd, SOL_SOCKET, forced, &value, sizeof value) != 0)
    (void)::setsockopt(fd, SOL_SOCKET, plain, &value, sizeof value);
}

// One family's socket.
class UdpSocket {
 public:
  static Result<UdpSocket> open(IpFamily family, std::uint16_t port, const UdpOptions& options) {
    UdpSocket out;
    out.m_family = family;
    const int domain = family == IpFamily::v4 ? AF_INET : AF_INET6;
    out.m_fd = UniqueFd(::socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!out.m_fd) return fail_system("UDP socket");
    const int fd = out.m_fd.get();
    if (family == IpFamily::v6) QUIPU_TRY(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
    if (options.mark != 0) QUIPU_TRY(set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(options.mark), "SO_MARK"));
    size_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer);
    size_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer);
    // Linux before 5.0 has none of it.
    if (options.coalesce_received) out.m_gathers = set_option(fd, SOL_UDP, UDP_GRO, 1, "UDP_GRO").has_value();
    const bool v4 = family == IpFamily::v4;
    QUIPU_TRY(set_option(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVTOS : IPV6_RECVTCLASS, 1, "RECVTOS"));
    out.m_segments = set_option(fd, SOL_UDP, UDP_SEGMENT, 0, "UDP_SEGMENT").has_value();
    QUIPU_TRY(out.allow_fragments(false));
    const IpAddress any{family, {}};
    const SocketAddress address = to_sockaddr({any, port, 0});
    if (::bind(fd, address.get(), address.size) != 0) return fail_system("UDP port " + std::to_string(port));
    return out;
  }

  int fd() const { return m_fd.get(); }

  bool can_segment() const { return m_segments; }

  bool can_gather() const { return m_gathers; }

  void never_segment() { m_segments = false; }

  // Don't-Fragment is a state of the socket (IPv4 has no ancillary message for it); what changes it, handshakes and
  // packets that are too large for the path, is rare. PROBE: set DF, and leave the path MTU to our own probing.
  Result<void> allow_fragments(bool allowed) {
    if (m_fragments == allowed) return {};
    const bool v4 = m_family == IpFamily::v4;
    static_assert(IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT && IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE);
    QUIPU_TRY(set_option(m_fd.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
                         allowed ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE, "MTU_DISCOVER"));
    m_fragments = allowed;
    return {};
  }

 private:
  UniqueFd m_fd;
  IpFamily m_family = IpFamily::v4;
  bool m_segments = false;
  bool m_gathers = false;
  std::optional<bool> m_fragments;
};

// Room for two ancillary messages with an int each, aligned as the kernel wants them.
struct alignas(cmsghdr) ControlBuffer {
  std::array<char, 2 * CMSG_SPACE(sizeof(int))> octets{};
};

// Behind those that are there.
template <class Value>
void add_message(msghdr& header, ControlBuffer& control, int level, int type, Value value) {
  auto* const message = reinterpret_cast<cmsghdr*>(control.octets.data() + header.msg_controllen);
  header.msg_control = control.octets.data();
  header.msg_controllen += CMSG_SPACE(sizeof value);
  message->cmsg_level = level;
  message->cmsg_type = type;
  message->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(message), &value, sizeof value);
}

void add_messages(msghdr& header, ControlBuffer& control, const OutDatagram& datagram) {
  if (datagram.count() > 1) add_message(header, control, SOL_UDP, UDP_SEGMENT, datagram.segment_size);
  if (datagram.traffic_class == 0) return;
  const bool v4 = datagram.to.address.family == IpFamily::v4;
  add_message(header, control, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, int{datagram.traffic_class});
}

// Of IPv4 the kernel gives one octet, of the others an int.
int value_of(const cmsghdr& message) {
  int value = 0;
  const std::size_t size = message.cmsg_len - CMSG_LEN(0);
  if (size == 1)
    value = *CMSG_DATA(&message);
  else
    std::memcpy(&value, CMSG_DATA(&message), std::min(size, sizeof value));
  return value;
}

void read_messages(msghdr& header, InDatagram& datagram) {
  datagram.segment_size = 0;
  datagram.traffic_class = 0;
  for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr; message = CMSG_NXTHDR(&header, message)) {
    const int level = message->cmsg_level;
    const int type = message->cmsg_type;
    if (level == SOL_UDP && type == UDP_GRO)
      datagram.segment_size = static_cast<std::uint16_t>(value_of(*message));
    else if ((level == IPPROTO_IP && type == IP_TOS) || (level == IPPROTO_IPV6 && type == IPV6_TCLASS))
      datagram.traffic_class = static_cast<std::uint8_t>(value_of(*message));
  }
}

// The arrays that one sendmmsg or recvmmsg works on.
struct Batch {
  std::array<mmsghdr, kBatch> headers{};
  std::array<iovec, kBatch> parts{};
  std::array<SocketAddress, kBatch> addresses{};
  std::array<ControlBuffer, kBatch> controls{};

  msghdr& prepare(std::size_t i, const void* data, std::size_t size) {
    parts[i] = {const_cast<void*>(data), size};
    msghdr& header = headers[i].msg_hdr;
    header = {};
    header.msg_iov = &parts[i];
    header.msg_iovlen = 1;
    header.msg_name = addresses[i].get();
    return header;
  }
};

class SystemUdpBind final : public UdpBind {
 public:
  SystemUdpBind(std::optional<UdpSocket> v4, std::optional<UdpSocket> v6, std::uint16_t port)
      : m_v4(std::move(v4)), m_v6(std::move(v6)), m_port(port) {
    if (m_v4) m_descriptors.push_back(m_v4->fd());
    if (m_v6) m_descriptors.push_back(m_v6->fd());
  }

  std::size_t send(std::span<const OutDatagram> datagrams) override {
    std::size_t done = 0;
    while (done < datagrams.size()) {
      const std::span<const OutDatagram> run = next_run(datagrams.subspan(done));
      const std::size_t sent = send_run(run);
      done += sent;
      if (sent < run.size()) break;
    }
    return done;
  }

  std::size_t receive(std::span<InDatagram> datagrams) override {
    m_v6_first = !m_v6_first;  // neither family can starve the other
    std::size_t filled = receive_from(m_v6_first ? m_v6 : m_v4, datagrams);
    filled += receive_from(m_v6_first ? m_v4 : m_v6, datagrams.subspan(filled));
    return filled;
  }

  std::span<const int> descriptors() const override { return m_descriptors; }

  int descriptor_for(IpFamily family) const override {
    const std::optional<UdpSocket>& socket = family == IpFamily::v4 ? m_v4 : m_v6;
    QUIPU_ASSERT(socket);
    return socket->fd();
  }

  std::uint16_t port() const override { return m_port; }

  UdpStats stats() const override { return m_stats; }

  UdpOffloads offloads() const override {
    const auto all = [this](bool (UdpSocket::*can)() const) {
      return (!m_v4 || ((*m_v4).*can)()) && (!m_v6 || ((*m_v6).*can)());
    };
    return {.segment = all(&UdpSocket::can_segment), .gather = all(&UdpSocket::can_gather)};
  }

 private:
  std::optional<UdpSocket>& socket_for(const OutDatagram& datagram) {
    return datagram.to.address.family == IpFamily::v4 ? m_v4 : m_v6;
  }

  bool must_split(const OutDatagram& datagram) { return datagram.count() > 1 && !socket_for(datagram)->can_segment(); }

  // The longest front part that goes through one socket in one state.
  std::span<const OutDatagram> next_run(std::span<const OutDatagram> datagrams) {
    const OutDatagram& first = datagrams[0];
    std::size_t n = 1;
    while (n < std::min(datagrams.size(), kBatch) && datagrams[n].to.address.family == first.to.address.family &&
           datagrams[n].may_fragment == first.may_fragment)
      ++n;
    return datagrams.first(n);
  }

  std::size_t send_run(std::span<const OutDatagram> run) {
    std::optional<UdpSocket>& socket = socket_for(run[0]);
    if (!socket || !socket->allow_fragments(run[0].may_fragment)) {
      for (const OutDatagram& datagram : run)
        m_stats.send_failed += datagram.count();
      return run.size();
    }
    std::size_t done = 0;
    while (done < run.size()) {
      if (must_split(run[done])) {
        split(*socket, run[done++]);
        continue;
      }
      const std::span<const OutDatagram> part = run.subspan(done);
      const int sent = send_batch(*socket, part);
      if (sent > 0) done += static_cast<std::size_t>(sent);
      if (sent >= 0) continue;
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      // The error belongs to the first datagram of the part.
      refused(*socket, part[0]);
      ++done;
    }
    return done;
  }

  int send_batch(const UdpSocket& socket, std::span<const OutDatagram> datagrams) {
    std::size_t n = 0;
    for (; n < datagrams.size() && !must_split(datagrams[n]); ++n) {
      const OutDatagram& datagram = datagrams[n];
      m_batch.addresses[n] = to_sockaddr(datagram.to);
      msghdr& header = m_batch.prepare(n, datagram.payload.data(), datagram.payload.size());
      header.msg_namelen = m_batch.addresses[n].size;
      add_messages(header, m_batch.controls[n], datagram);
    }
    return ::sendmmsg(socket.fd(), m_batch.headers.data(), static_cast<unsigned>(n), 0);
  }

  // By the kernel, as errno says. Of a train each datagram has its own chance: one may be too long for the path, and
  // the others not, or some kernels take fewer at once.
  void refused(UdpSocket& socket, const OutDatagram& datagram) {
    const bool may_be_the_train = errno == EIO || errno == EINVAL || errno == EMSGSIZE;
    if (datagram.count() == 1 || !may_be_the_train) {
      m_stats.send_failed += datagram.count();
      return;
    }
    if (errno == EIO) socket.never_segment();  // an interface without checksum offload
    split(socket, datagram);
  }

  // Segmentation for kernels and interfaces that have none. What does not fit into the socket is lost.
  void split(const UdpSocket& socket, const OutDatagram& datagram) {
    OutDatagram rest = datagram;
    while (!rest.payload.empty()) {
      OutDatagram one = rest;
      one.payload = rest.payload.first(std::min<std::size_t>(rest.segment_size, rest.payload.size()));
      const int sent = send_batch(socket, {&one, 1});
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        m_stats.queue_full += rest.count();
        return;
      }
      if (sent < 0) ++m_stats.send_failed;
      rest.payload = rest.payload.subspan(one.payload.size());
    }
  }

  std::size_t receive_from(const std::optional<UdpSocket>& socket, std::span<InDatagram> datagrams) {
    std::size_t filled = 0;
    while (socket && filled < datagrams.size()) {
      const std::span<InDatagram> room = datagrams.subspan(filled, std::min(kBatch, datagrams.size() - filled));
      const std::size_t arrived = receive_batch(*socket, room);
      filled += keep_whole(room.first(arrived));
      if (arrived < room.size()) break;
    }
    return filled;
  }

  std::size_t receive_batch(const UdpSocket& socket, std::span<InDatagram> room) {
    for (std::size_t i = 0; i < room.size(); ++i) {
      msghdr& header = m_batch.prepare(i, room[i].buffer.data(), room[i].buffer.size());
      header.msg_namelen = sizeof(sockaddr_storage);
      header.msg_control = m_batch.controls[i].octets.data();
      header.msg_controllen = m_batch.controls[i].octets.size();
    }
    int arrived = -1;
    do {
      arrived = ::recvmmsg(socket.fd(), m_batch.headers.data(), static_cast<unsigned>(room.size()), 0, nullptr);
    } while (arrived < 0 && errno == EINTR);
    return arrived < 0 ? 0 : static_cast<std::size_t>(arrived);
  }

  // Moves what arrived whole to the front. Returns how many.
  std::size_t keep_whole(std::span<InDatagram> arrived) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < arrived.size(); ++i) {
      msghdr& header = m_batch.headers[i].msg_hdr;
      const auto from = from_sockaddr(m_batch.addresses[i].get(), header.msg_namelen);
      if ((header.msg_flags & MSG_TRUNC) != 0 || !from) {
        ++m_stats.truncated;
        continue;
      }
      std::swap(arrived[kept].buffer, arrived[i].buffer);
      arrived[kept].size = m_batch.headers[i].msg_len;
      arrived[kept].from = *from;
      read_messages(header, arrived[kept]);
      ++kept;
    }
    return kept;
  }

  std::optional<UdpSocket> m_v4;
  std::optional<UdpSocket> m_v6;
  std::vector<int> m_descriptors;
  std::uint16_t m_port;
  bool m_v6_first = false;
  UdpStats m_stats;
  Batch m_batch;
};

bool means_no_family(int error) {
  return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

Result<std::unique_ptr<UdpBind>> open_once(const UdpOptions& options) {
  std::optional<UdpSocket> v4;
  std::optional<UdpSocket> v6;
  std::uint16_t port = options.port;
  if (options.ipv4) {
    QUIPU_TRY_ASSIGN(v4, UdpSocket::open(IpFamily::v4, port, options));
    port = local_endpoint(v4->fd()).value_or(Endpoint{}).port;
  }
  if (options.ipv6) {
    errno = 0;
    auto opened = UdpSocket::open(IpFamily::v6, port, options);
    if (opened)
      v6 = std::move(*opened);
    else if (!v4 || !means_no_family(errno))
      return std::unexpected(std::move(opened).error());
    if (v6) port = local_endpoint(v6->fd()).value_or(Endpoint{}).port;
  }
  if (!v4 && !v6) return fail(Errc::out_of_range, "UDP: neither IPv4 nor IPv6");
  return std::make_unique<SystemUdpBind>(std::move(v4), std::move(v6), port);
}

}  // namespace

Result<std::unique_ptr<UdpBind>> open_udp(const UdpOptions& options) {
  auto opened = open_once(options);
  for (int attempt = 1; options.port == 0 && !opened && attempt < kPortAttempts; ++attempt)
    opened = open_once(options);
  return opened;
}

}  // namespace quipu::net
