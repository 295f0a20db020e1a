// SPDX-License-Identifier: Apache-2.0
#include "driver/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "base/unique_fd.h"

namespace quipu::driver {
namespace {

// The other end reads nothing, and what it is told by the driver at the other site fills the queue.
TEST(Channel, PeerMessagesOfEachSizeLeaveRoomForCredit) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{65536}}) {
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()), 0);
    const UniqueFd ours(pair[0]);
    const UniqueFd theirs(pair[1]);
    Channel channel(ours.get(), Direction::from_driver);
    const Bytes message(size);
    Result<void> sent;
    while ((sent = channel.send(FrameType::peer_message, message))) {
    }
    EXPECT_EQ(sent.error().code, Errc::busy);
    const Bytes credit(4);
    for (int i = 0; i < 1024; ++i)
      EXPECT_TRUE(channel.send(FrameType::credit, credit)) << size << " octets, " << i;
  }
}

}  // namespace
}  // namespace quipu::driver
