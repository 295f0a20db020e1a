// SPDX-License-Identifier: Apache-2.0
// Real devices, each in a network namespace of its own: a thread that has unshared its namespace takes it along when it
// ends.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <span>

#include "base/ip.h"
#include "base/unique_fd.h"
#include "support/network_namespace.h"
#include "tun/fake_tun.h"
#include "tun/linux_tun.h"

namespace quipu::tun {
namespace {

void in_namespace(const std::function<void()>& body) {
  test::in_network_namespace("ip link set lo up", body);
}

// Address 10.99.0.1/24 and up, by the oldest interface there is, so that this test needs no other layer.
void configure(const std::string& name, int mtu) {
  const UniqueFd control(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  auto* address = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(0x0a630001);
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFADDR, &request), 0);
  address->sin_addr.s_addr = htonl(0xffffff00);
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFNETMASK, &request), 0);
  request.ifr_mtu = mtu;
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFMTU, &request), 0);
  request.ifr_flags = IFF_UP;
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFFLAGS, &request), 0);
}

std::unique_ptr<TunDevice> open_device(const std::string& name, TunMode mode = TunMode::tun) {
  auto device = open_linux_tun({name, mode});
  EXPECT_TRUE(device) << device.error().text;
  return device ? std::move(*device) : nullptr;
}

UniqueFd udp_socket() {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(0x0a630001);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&local), sizeof local), 0);
  return socket;
}

void send_to_tunnel(const UniqueFd& socket, ByteView payload) {
  sockaddr_in remote{};
  remote.sin_family = AF_INET;
  remote.sin_port = htons(9);
  remote.sin_addr.s_addr = htonl(0x0a630002);
  ASSERT_EQ(
      ::sendto(socket.get(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&remote), sizeof remote),
      static_cast<ssize_t>(payload.size()));
}

struct Batch {
  explicit Batch(std::size_t count, std::size_t size = 2048) : storage(count, Bytes(size)), packets(count) {
    for (Bytes& bytes : storage)
      buffers.emplace_back(bytes);
  }

  std::vector<Bytes> storage;
  std::vector<MutableBytes> buffers;
  std::vector<ReadPacket> packets;
};

struct Captured {
  Bytes bytes;
  PacketHints hints;
};

Result<std::size_t> write(TunDevice& device, const std::vector<Captured>& packets) {
  std::vector<ByteView> whole;
  whole.reserve(packets.size());
  for (const Captured& packet : packets)
    whole.emplace_back(packet.bytes);
  std::vector<GatheredPacket> gathered;
  gathered.reserve(packets.size());
  for (std::size_t i = 0; i < packets.size(); ++i)
    gathered.push_back({.parts = std::span(whole).subspan(i, 1), .hints = packets[i].hints});
  return device.write(gathered);
}

// Only the packets that the test sent: the kernel adds router solicitations of its own.
std::vector<Captured> read_udp(TunDevice& device, std::size_t count) {
  std::vector<Captured> out;
  Batch batch(4);
  while (out.size() < count) {
    pollfd waiting{device.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 10000), 1) << "no packet came";
    const auto got = device.read(batch.buffers, batch.packets);
    EXPECT_TRUE(got && *got > 0);
    if (!got || *got == 0) return out;
    for (std::size_t i = 0; i < *got; ++i) {
      const Bytes& bytes = batch.storage[i];
      if (bytes[0] >> 4 == 4 && bytes[9] == IPPROTO_UDP)
        out.push_back({Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(batch.packets[i].size)),
                       batch.packets[i].hints});
    }
  }
  return out;
}

void answer(Bytes& packet) {
  std::swap_ranges(packet.begin() + 12, packet.begin() + 16, packet.begin() + 16);  // addresses
  std::swap_ranges(packet.begin() + 20, packet.begin() + 22, packet.begin() + 22);  // ports; checksums stay right
}

TEST(LinuxTun, CarriesPacketsBothWaysInBatches) {
  in_namespace([] {
    const auto device = open_device("quipu0");
    ASSERT_TRUE(device);
    EXPECT_EQ(device->name(), "quipu0");
    configure("quipu0", 1380);
    const UniqueFd socket = udp_socket();
    for (const char* text : {"one", "two", "three", "four", "five", "six"})
      send_to_tunnel(socket, as_bytes(text));
    std::vector<Captured> packets = read_udp(*device, 6);
    ASSERT_EQ(packets.size(), 6U);
    EXPECT_EQ(as_text(packets[2].bytes).substr(28), "three");

    // The remote port is 9, so the answers come from where the socket sent to.
    for (Captured& packet : packets)
      answer(packet.bytes);
    EXPECT_EQ(write(*device, packets), 6U);
    std::array<char, 16> text{};
    for (const std::string_view expected : {"one", "two", "three", "four", "five", "six"}) {
      const ssize_t size = ::recv(socket.get(), text.data(), text.size(), MSG_DONTWAIT);
      ASSERT_GT(size, 0);
      EXPECT_EQ(std::string_view(text.data(), static_cast<std::size_t>(size)), expected);
    }
  });
}

TEST(LinuxTun, ReadReturnsZeroWhenNothingWaits) {
  in_namespace([] {
    const auto device = open_device("quipu0");
    ASSERT_TRUE(device);
    Batch batch(2);
    EXPECT_EQ(device->read(batch.buffers, batch.packets), 0U);
  });
}

TEST(LinuxTun, DropsAndCountsAPacketThatFillsItsBuffer) {
  in_namespace([] {
    const auto device = open_device("quipu0");
    ASSERT_TRUE(device);
    configure("quipu0", 1380);
    const UniqueFd socket = udp_socket();
    const Bytes payload(1380 - 28, 0x55);
    Batch batch(8, 1380);
    do {  // until the kernel's own packets have passed
      send_to_tunnel(socket, payload);
      ASSERT_TRUE(device->read(batch.buffers, batch.packets));
    } while (device->counters().read_cut == 0);
    send_to_tunnel(socket, payload);
    Batch larger(8, 1381);
    const auto got = device->read(larger.buffers, larger.packets);
    ASSERT_TRUE(got);
    // And perhaps one of the kernel's.
    EXPECT_TRUE(std::ranges::any_of(std::span(larger.packets).first(*got),
                                    [](const ReadPacket& packet) { return packet.size == 1380; }));
  });
}

TEST(LinuxTun, CountsWhatTheKernelRefuses) {
  in_namespace([] {
    const auto device = open_device("quipu0");
    ASSERT_TRUE(device);
    configure("quipu0", 1380);
    const Bytes garbage(40, 0xff);  // no IP version 15
    EXPECT_EQ(write(*device, {{garbage, {}}, {garbage, {}}}), 0U);
    EXPECT_EQ(device->counters().write_refused, 2U);
  });
}

TEST(LinuxTun, TapCarriesEthernetFrames) {
  in_namespace([] {
    const auto device = open_device("quipu0", TunMode::tap);
    ASSERT_TRUE(device);
    configure("quipu0", 1400);
    const UniqueFd socket = udp_socket();
    send_to_tunnel(socket, as_bytes("arp first"));
    Batch batch(1);
    for (;;) {
      pollfd waiting{device->fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&waiting, 1, 10000), 1);
      ASSERT_EQ(device->read(batch.buffers, batch.packets), 1U);
      const Bytes& frame = batch.storage[0];
      if (frame[12] == 0x08 && frame[13] == 0x06) break;  // EtherType ARP
    }
    EXPECT_GE(batch.packets[0].size, 42U);
  });
}

TEST(LinuxTun, SaysThatTheNameIsTaken) {
  in_namespace([] {
    const auto first = open_device("quipu0");
    const auto second = open_linux_tun({"quipu0"});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_NE(second.error().text.find("quipu0 exists already"), std::string::npos);
    const auto loopback = open_linux_tun({"lo"});
    ASSERT_FALSE(loopback);
    EXPECT_EQ(loopback.error().code, Errc::conflict);
  });
}

TEST(LinuxTun, SaysWhichCapabilityIsMissing) {
  in_namespace([] {
    // Capabilities belong to a thread, so the rest of the program keeps its own.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    ASSERT_EQ(::syscall(SYS_capset, &header, none), 0);
    const auto device = open_linux_tun({"quipu0"});
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().code, Errc::not_permitted);
    EXPECT_NE(device.error().text.find("CAP_NET_ADMIN"), std::string::npos);
  });
}

TEST(LinuxTun, RefusesNamesThatCannotBe) {
  for (const char* name : {"", "sixteen-letters-", "a b", "a/b", ".", ".."}) {
    const auto device = open_linux_tun({name});
    ASSERT_FALSE(device) << name;
    EXPECT_EQ(device.error().code, Errc::out_of_range);
  }
}

TEST(LinuxTun, VanishesWithItsOwner) {
  in_namespace([] {
    {
      const auto device = open_device("quipu0");
      EXPECT_NE(::if_nametoindex("quipu0"), 0U);
    }
    EXPECT_EQ(::if_nametoindex("quipu0"), 0U);
  });
}

TEST(LinuxTun, TellsThatTheInterfaceWasDeleted) {
  in_namespace([] {
    const auto device = open_device("quipu0");
    ASSERT_TRUE(device);
    ASSERT_EQ(std::system("ip link delete quipu0"), 0);
    Batch batch(1);
    const auto got = device->read(batch.buffers, batch.packets);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::closed);
    const Bytes packet(20, 0x45);
    const auto written = write(*device, {{packet, {}}});
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Errc::closed);
  });
}

TEST(FakeTun, BehavesLikeADevice) {
  FakeTun fake("fake0");
  pollfd waiting{fake.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 0), 0);
  fake.inject(as_bytes("a"));
  fake.inject(Bytes(100));
  fake.inject(as_bytes("ccc"));
  EXPECT_EQ(::poll(&waiting, 1, 0), 1);
  Batch batch(3, 100);
  EXPECT_EQ(fake.read(batch.buffers, batch.packets), 2U);
  EXPECT_EQ(batch.packets[1].size, 3U);
  EXPECT_EQ(fake.counters().read_cut, 1U);
  EXPECT_EQ(::poll(&waiting, 1, 0), 0);

  const Bytes packet{1, 2, 3};
  EXPECT_EQ(write(fake, {{packet, {}}}), 1U);
  fake.refuse(1);
  EXPECT_EQ(write(fake, {{packet, {}}}), 0U);
  EXPECT_EQ(fake.counters().write_refused, 1U);
  const auto written = fake.take_written();
  ASSERT_EQ(written.size(), 1U);
  EXPECT_EQ(written[0].bytes, packet);
  EXPECT_TRUE(fake.take_written().empty());

  fake.remove();
  EXPECT_EQ(::poll(&waiting, 1, 0), 1);
  EXPECT_EQ(fake.read(batch.buffers, batch.packets).error().code, Errc::closed);
}

}  // namespace
}  // namespace quipu::tun
