// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/unique_fd.h"
#include "daemon/kernel_queues.h"
#include "daemon/machine_watch.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kNetDev =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n"
    "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
    "quipu0:  100 2 0 0 0 0 0 0  200 3 0 42 0 0 0 0\n";

TEST(KernelQueues, ReadsTheDropsOfOneInterface) {
  EXPECT_EQ(transmit_drops(kNetDev, "quipu0"), 42U);
  EXPECT_EQ(transmit_drops(kNetDev, "lo"), 12U);
  EXPECT_EQ(transmit_drops(kNetDev, "quipu"), std::nullopt);
  EXPECT_EQ(transmit_drops("quipu0: 1 2 3", "quipu0"), std::nullopt);
  EXPECT_EQ(transmit_drops("quipu0: a b c d e f g h i j k l", "quipu0"), std::nullopt);
  EXPECT_EQ(transmit_drops("", "quipu0"), std::nullopt);
}

TEST(KernelQueues, CountsDatagramsThatFoundTheBufferFull) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const UniqueFd one(ends[0]);
  const UniqueFd other(ends[1]);
  const int none[] = {one.get(), -1};
  EXPECT_EQ(receive_queue_drops(none), 0U);
  EXPECT_EQ(tun_queue_drops("no-such-interface"), 0U);
}

MachineWatch::Reading reading() {
  return {.state = {.boot_id = Uuid::from_random({1}), .vm_generation = std::nullopt}, .asleep = 5s};
}

TEST(MachineWatch, IsSilentWhileNothingChanges) {
  MachineWatch watch(reading());
  EXPECT_EQ(watch.compare(reading()), std::nullopt);
  MachineWatch::Reading jitter = reading();
  jitter.asleep += 10ms;
  EXPECT_EQ(watch.compare(jitter), std::nullopt);
}

TEST(MachineWatch, NoticesEachReasonOnce) {
  MachineWatch watch(reading());
  MachineWatch::Reading now = reading();
  const auto changes = [&] {
    const bool noticed = watch.compare(now).has_value();
    EXPECT_EQ(watch.compare(now), std::nullopt);
    return noticed;
  };
  now.state.vm_generation = 2;
  EXPECT_TRUE(changes());
  now.state.boot_id = Uuid::from_random({2});
  EXPECT_TRUE(changes());
  now.asleep += 2s;
  EXPECT_TRUE(changes());
}

TEST(MachineWatch, ReadsThisMachine) {
  const auto machine = read_machine();
  ASSERT_TRUE(machine.has_value()) << machine.error().text;
  MachineWatch watch(*machine);
  EXPECT_EQ(watch.compare(*read_machine()), std::nullopt);
}

}  // namespace
}  // namespace quipu::daemon
