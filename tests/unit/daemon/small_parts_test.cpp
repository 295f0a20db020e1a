// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/unique_fd.h"
#include "daemon/event_names.h"
#include "daemon/kernel_queues.h"
#include "daemon/machine_watch.h"
#include "daemon/storm_pace.h"
#include "support/recorded_log.h"

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

TEST(StormPace, SlowsDownInAStormAndNotAfterIt) {
  StormPace pace;
  TimePoint now{1000s};
  EXPECT_EQ(pace.pause(now), StormPace::kShortest);
  pace.restored(now);
  EXPECT_EQ(pace.pause(now), StormPace::kShortest);
  Duration before{};
  for (int i = 0; i < 5; ++i) {
    now += 1s;
    pace.restored(now);
    EXPECT_TRUE(pace.pause(now) > before || pace.pause(now) == StormPace::kLongest);
    before = pace.pause(now);
  }
  EXPECT_EQ(before, StormPace::kLongest);
  EXPECT_EQ(pace.pause(now + StormPace::kCalm), StormPace::kShortest);
  pace.restored(now + StormPace::kCalm);
  EXPECT_EQ(pace.pause(now + StormPace::kCalm), StormPace::kShortest);
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

class MachineMonitorTest : public testing::Test {
 protected:
  MachineMonitorTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    m_kernel = UniqueFd(ends[0]);
    m_news = UniqueFd(ends[1]);
  }

  // As when the kernel has something to tell.
  void announce() const { ASSERT_EQ(::send(m_kernel.get(), "!", 1, 0), 1); }

  MachineMonitor monitor() {
    const auto read = [this]() -> Result<MachineWatch::Reading> {
      char announced = 0;
      static_cast<void>(::recv(m_news.get(), &announced, 1, MSG_DONTWAIT));
      if (m_fault) return std::unexpected(*m_fault);
      return m_reading;
    };
    return MachineMonitor(
        m_loop, m_log, m_reading,
        [this] {
          EXPECT_EQ(m_log.count(event::kMachineChanged), m_changes) << "keys are erased before anything else";
          ++m_changes;
          m_loop.stop();
        },
        MachineSource{.read = read, .fd = m_news.get()});
  }

  net::Loop m_loop;
  test::RecordedLog m_log;
  UniqueFd m_kernel;
  UniqueFd m_news;
  MachineWatch::Reading m_reading = reading();
  std::optional<Error> m_fault;
  std::size_t m_changes = 0;
};

// No timer runs here.
TEST_F(MachineMonitorTest, LooksAsSoonAsTheKernelAnnouncesSomething) {
  const MachineMonitor watched = monitor();
  m_reading.state.vm_generation = 1;
  announce();
  m_loop.run();
  EXPECT_EQ(m_changes, 1U);
  EXPECT_EQ(m_log.count(event::kMachineChanged), 1U);
}

TEST_F(MachineMonitorTest, TellsOnceThatItSeesNothing) {
  MachineMonitor watched = monitor();
  m_fault = Error{Errc::io, "/proc/sys/kernel/random/boot_id: too many open files"};
  watched.check();
  watched.check();
  EXPECT_EQ(m_log.count(event::kMachineUnreadable), 1U);
  EXPECT_EQ(m_changes, 0U);
  m_fault.reset();
  m_reading.state.vm_generation = 1;
  watched.check();
  EXPECT_EQ(m_changes, 1U) << "what changed meanwhile is not forgotten";
  m_fault = Error{Errc::io, "again"};
  watched.check();
  EXPECT_EQ(m_log.count(event::kMachineUnreadable), 2U);
}

TEST(MachineWatch, ReadsThisMachine) {
  const auto machine = read_machine();
  ASSERT_TRUE(machine.has_value()) << machine.error().text;
  MachineWatch watch(*machine);
  EXPECT_EQ(watch.compare(*read_machine()), std::nullopt);
}

}  // namespace
}  // namespace quipu::daemon
