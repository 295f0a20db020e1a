// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "fixture.h"

namespace quipu::net {
namespace {

using std::chrono::milliseconds;

TEST(Loop, PostedWorkRunsInOrderAndNeverAtOnce) {
  Loop loop;
  std::vector<int> order;
  loop.post([&] {
    loop.post([&] {
      order.push_back(3);
      loop.stop();
    });
    order.push_back(1);
  });
  loop.post([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST(Loop, MayBePostedToFromManyThreads) {
  Loop loop;
  constexpr int kThreads = 4;
  constexpr int kPosts = 500;
  int count = 0;  // touched on the loop's thread only
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < kPosts; ++j) {
        loop.post([&] {
          if (++count == kThreads * kPosts) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(count, kThreads * kPosts);
}

TEST(Loop, StopBeforeRunCountsAndTheLoopRunsAgain) {
  Loop loop;
  loop.stop();
  loop.run();
  bool ran = false;
  loop.post([&] {
    ran = true;
    loop.stop();
  });
  loop.run();
  EXPECT_TRUE(ran);
}

TEST(Timer, ComesDueInOrderNotBeforeItsTime) {
  Loop loop;
  std::vector<int> order;
  const TimePoint start = Loop::now();
  TimePoint fired;
  Timer late(loop, [&] {
    order.push_back(2);
    fired = Loop::now();
    loop.stop();
  });
  Timer early(loop, [&] { order.push_back(1); });
  late.set(start + milliseconds(20));
  early.set(start + milliseconds(5));
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_GE(fired, start + milliseconds(20));
}

TEST(Timer, PastTimesComeDueFromTheLoop) {
  Loop loop;
  int fired = 0;
  Timer past(loop, [&] {
    if (++fired == 3) return loop.stop();
  });
  Timer again(loop, [&] {
    past.set(TimePoint());
    if (fired < 3) again.set(Loop::now());
  });
  again.set(TimePoint());
  EXPECT_EQ(fired, 0);
  loop.run();
  EXPECT_EQ(fired, 3);
}

TEST(Timer, SettingReplacesAndCancellingSilences) {
  Loop loop;
  int cancelled = 0;
  int moved = 0;
  Timer a(loop, [&] { ++cancelled; });
  Timer b(loop, [&] { ++moved; });
  Timer end(loop, [&] { loop.stop(); });
  a.set(Loop::now());
  a.cancel();
  b.set(Loop::now());
  b.set(Loop::now() + milliseconds(2));
  end.set(Loop::now() + milliseconds(5));
  loop.run();
  EXPECT_EQ(cancelled, 0);
  EXPECT_EQ(moved, 1);
}

// A timer that is put off is looked at when it was due first, and again when it is.
TEST(Timer, PutOffComesDueOnceAndNotEarly) {
  Loop loop;
  TimePoint due{};
  int fired = 0;
  Timer timer(loop, [&] {
    ++fired;
    EXPECT_GE(Loop::now(), due);
  });
  Timer end(loop, [&] { loop.stop(); });
  const TimePoint begin = Loop::now();
  timer.set(begin + milliseconds(1));
  due = begin + milliseconds(4);
  timer.set(begin + milliseconds(9));
  timer.set(due);
  end.set(begin + milliseconds(12));
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Deferred, RunsOnceBehindWhatIsReady) {
  Loop loop;
  std::vector<int> order;
  Deferred deferred(loop, [&] { order.push_back(3); });
  for (const int i : {1, 2})
    loop.post([&, i] {
      deferred.want();
      order.push_back(i);
    });
  loop.post([&] { loop.post([&] { loop.stop(); }); });
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  deferred.want();
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(order.size(), 4U) << "it may be wanted again";
}

TEST(Deferred, DoesNotRunAfterItsEnd) {
  Loop loop;
  bool ran = false;
  {
    Deferred deferred(loop, [&] { ran = true; });
    deferred.want();
  }
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_FALSE(ran);
}

TEST(Timer, MayDestroyItselfAndOthersThatAreDue) {
  Loop loop;
  std::unique_ptr<Timer> first;
  std::unique_ptr<Timer> second;
  int fired = 0;
  const auto destroy_both = [&] {
    ++fired;
    first.reset();
    second.reset();
  };
  first = std::make_unique<Timer>(loop, destroy_both);
  second = std::make_unique<Timer>(loop, destroy_both);
  first->set(TimePoint());
  second->set(TimePoint());
  Timer end(loop, [&] { loop.stop(); });
  end.set(Loop::now() + milliseconds(1));
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Timer, MayOutliveItsLoop) {
  std::unique_ptr<Timer> timer;
  {
    Loop loop;
    timer = std::make_unique<Timer>(loop, [] {});
    timer->set(Loop::now() + std::chrono::hours(1));
  }
  timer->cancel();
}

struct SocketPair {
  SocketPair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    left.reset(fds[0]);
    right.reset(fds[1]);
  }

  UniqueFd left;
  UniqueFd right;
};

TEST(FdWatch, CallsAgainWhileSomethingIsLeftToRead) {
  Loop loop;
  const SocketPair pair;
  std::string read;
  FdWatch watch(loop, pair.left.get());
  watch.on_readable([&] {
    char octet = 0;
    ASSERT_EQ(::read(pair.left.get(), &octet, 1), 1);
    read += octet;
    if (read.size() == 3) loop.stop();
  });
  ASSERT_EQ(::write(pair.right.get(), "abc", 3), 3);
  loop.run();
  EXPECT_EQ(read, "abc");
}

TEST(FdWatch, TellsWritableOnceAndLeavesTheDescriptorOpen) {
  Loop loop;
  const SocketPair pair;
  int writable = 0;
  auto watch = std::make_unique<FdWatch>(loop, pair.left.get());
  watch->when_writable([&] {
    ++writable;
    watch.reset();
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  EXPECT_EQ(writable, 1);
  EXPECT_EQ(::write(pair.left.get(), "x", 1), 1);
}

TEST(FdWatch, MayReplaceOrDestroyItsOwnCallback) {
  Loop loop;
  const SocketPair pair;
  std::vector<int> order;
  auto watch = std::make_unique<FdWatch>(loop, pair.left.get());
  watch->on_readable([&] {
    order.push_back(1);
    watch->on_readable([&] {
      order.push_back(2);
      watch.reset();
      loop.post([&] { loop.stop(); });
    });
  });
  ASSERT_EQ(::write(pair.right.get(), "x", 1), 1);
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2}));
}

}  // namespace
}  // namespace quipu::net
