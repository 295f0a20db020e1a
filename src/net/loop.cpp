// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <sys/timerfd.h>
#include <time.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <map>
#include <optional>
#include <vector>

#include "base/assert.h"

namespace quipu::net {

namespace asio = boost::asio;
using boost::system::error_code;

struct Timer::Core {
  Core(std::weak_ptr<Loop::Core> owner, Callback<void()> callback)
      : loop(std::move(owner)), on_due(std::move(callback)) {}

  std::weak_ptr<Loop::Core> loop;  // what a loop drops when it ends may hold timers
  Callback<void()> on_due;
  std::optional<TimePoint> due;     // set while it shall come due
  std::optional<TimePoint> queued;  // when the loop looks at it: not after it is due
};

// All timers of a loop share one timerfd, which is set to the earliest of them.
struct Loop::Core {
  Core() : context(1), work(asio::make_work_guard(context)), timer_fd(context, open_timer_fd()) { wait(); }

  static int open_timer_fd() {
    const int fd = ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    QUIPU_ASSERT(fd >= 0);  // without a clock nothing can run
    return fd;
  }

  // Most alarms are put off again and again and never come: one that is put off keeps its place in the queue, and is
  // looked at too early once.
  void set(const std::shared_ptr<Timer::Core>& timer, TimePoint due) {
    timer->due = due;
    if (timer->queued && *timer->queued <= due) return;
    remove(timer);
    timer->queued = due;
    alarms.emplace(due, timer);
    arm();
  }

  void remove(const std::shared_ptr<Timer::Core>& timer) {
    if (!timer->queued) return;
    const auto [begin, end] = alarms.equal_range(*timer->queued);
    for (auto it = begin; it != end; ++it) {
      if (it->second != timer) continue;
      alarms.erase(it);
      break;
    }
    timer->queued.reset();
  }

  // An alarm that was taken away leaves the timerfd set: waking once for nothing costs less than setting it again.
  void arm() {
    if (alarms.empty() || (armed && *armed <= alarms.begin()->first)) return;
    armed = alarms.begin()->first;
    const auto ns = std::max<Duration::rep>(armed->time_since_epoch().count(), 1);
    itimerspec spec{};
    spec.it_value.tv_sec = ns / 1'000'000'000;
    spec.it_value.tv_nsec = ns % 1'000'000'000;
    QUIPU_ASSERT(::timerfd_settime(timer_fd.native_handle(), TFD_TIMER_ABSTIME, &spec, nullptr) == 0);
  }

  void wait() {
    timer_fd.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code ec) {
      if (ec) return;
      std::uint64_t count = 0;
      (void)!::read(timer_fd.native_handle(), &count, sizeof count);
      armed.reset();
      fire(Loop::now());
      arm();
      wait();
    });
  }

  // Only what is due now: a callback that sets a timer into the past is served in the next round.
  void fire(TimePoint now) {
    std::vector<std::shared_ptr<Timer::Core>> round;
    for (auto it = alarms.begin(); it != alarms.end() && it->first <= now; ++it)
      round.push_back(it->second);
    for (const auto& timer : round) {
      if (!timer->queued || *timer->queued > now) continue;  // changed by an earlier callback
      remove(timer);
      if (timer->due && *timer->due > now) {
        set(timer, *timer->due);
      } else if (std::exchange(timer->due, std::nullopt)) {
        timer->on_due();
      }
    }
  }

  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::posix::stream_descriptor timer_fd;
  std::multimap<TimePoint, std::shared_ptr<Timer::Core>> alarms;
  std::optional<TimePoint> armed;
};

Loop::Loop() : m_core(std::make_shared<Core>()) {}

Loop::~Loop() = default;

void Loop::run() {
  m_core->context.run();
  m_core->context.restart();
}

void Loop::stop() {
  m_core->context.stop();
}

void Loop::post(Callback<void()> work) {
  asio::post(m_core->context, std::move(work));
}

TimePoint Loop::now() {
  timespec spec{};
  ::clock_gettime(CLOCK_BOOTTIME, &spec);
  return TimePoint(std::chrono::seconds(spec.tv_sec) + std::chrono::nanoseconds(spec.tv_nsec));
}

asio::io_context& Loop::context() {
  return m_core->context;
}

Timer::Timer(Loop& loop, Callback<void()> on_due) : m_core(std::make_shared<Core>(loop.m_core, std::move(on_due))) {}

Timer::~Timer() {
  cancel();
  if (const auto loop = m_core->loop.lock()) loop->remove(m_core);
  // The callback may be the one that destroys us, so it stays with the core until that has gone.
}

void Timer::set(TimePoint due) {
  if (const auto loop = m_core->loop.lock()) loop->set(m_core, due);
}

void Timer::cancel() {
  m_core->due.reset();
}

struct Deferred::Core {
  Loop& loop;
  Callback<void()> work;
  bool wanted = false;
  bool ended = false;
};

Deferred::Deferred(Loop& loop, Callback<void()> work) : m_core(new Core{loop, std::move(work)}) {}

Deferred::~Deferred() {
  m_core->ended = true;
}

void Deferred::want() {
  if (std::exchange(m_core->wanted, true)) return;
  m_core->loop.post([core = m_core] {
    core->wanted = false;
    if (!core->ended) core->work();
  });
}

struct FdWatch::Core : std::enable_shared_from_this<FdWatch::Core> {
  Core(asio::io_context& context, int fd) : descriptor(context, fd) {}

  void wait_readable() {
    if (reading || readable == nullptr) return;
    reading = true;
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code ec) {
      self->reading = false;
      if (ec || self->closed || self->readable == nullptr) return;
      self->call_readable();
      if (!self->closed) self->wait_readable();
    });
  }

  // The callback may replace itself, so it is kept alive while it runs.
  void call_readable() {
    Callback<void()> callback = std::exchange(readable, nullptr);
    replaced = false;
    callback();
    if (!replaced) readable = std::move(callback);
  }

  void wait_writable() {
    if (writing || writable == nullptr) return;
    writing = true;
    descriptor.async_wait(asio::posix::stream_descriptor::wait_write, [self = shared_from_this()](error_code ec) {
      self->writing = false;
      if (ec || self->closed || self->writable == nullptr) return;
      std::exchange(self->writable, nullptr)();
    });
  }

  asio::posix::stream_descriptor descriptor;
  Callback<void()> readable;
  Callback<void()> writable;
  bool reading = false;
  bool writing = false;
  bool replaced = false;
  bool closed = false;
};

FdWatch::FdWatch(Loop& loop, int fd) : m_core(std::make_shared<Core>(loop.context(), fd)) {}

FdWatch::~FdWatch() {
  m_core->closed = true;
  m_core->descriptor.release();  // cancels the waits and leaves the descriptor open
}

void FdWatch::on_readable(Callback<void()> callback) {
  m_core->replaced = true;
  m_core->readable = std::move(callback);
  m_core->wait_readable();
}

void FdWatch::when_writable(Callback<void()> callback) {
  m_core->writable = std::move(callback);
  m_core->wait_writable();
}

}  // namespace quipu::net
