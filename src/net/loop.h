// SPDX-License-Identifier: Apache-2.0
// One thread's event loop. Everything in src/net lives on the loop it was made with and is used on that loop's thread
// only; post() and stop() are the two calls for other threads. Callbacks must not throw. Any object here may be
// destroyed inside its own callback; after its destruction no callback of it runs.
#pragma once

#include <functional>
#include <memory>

#include "base/time.h"

namespace boost::asio {
class io_context;
}

namespace quipu::net {

template <class Signature>
using Callback = std::move_only_function<Signature>;

class Loop {
 public:
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // Runs callbacks until stop(). May be called again afterwards.
  void run();
  // Thread-safe. run() returns after the callback that is running; a stop() before run() counts.
  void stop();
  // Thread-safe. Runs `work` on the loop's thread, in order of posting, never inside post() itself.
  void post(Callback<void()> work);

  // CLOCK_BOOTTIME.
  static TimePoint now();

  // For the files of src/net only.
  boost::asio::io_context& context();

 private:
  friend class Timer;
  struct Core;
  std::shared_ptr<Core> m_core;
};

// One alarm on CLOCK_BOOTTIME (timerfd): it also comes due while the machine sleeps, and is served on waking.
class Timer {
 public:
  Timer(Loop& loop, Callback<void()> on_due);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();

  // Replaces an earlier alarm. A time that has passed comes due at once, still from the loop.
  void set(TimePoint due);
  void cancel();

 private:
  friend class Loop;
  struct Core;
  std::shared_ptr<Core> m_core;
};

// Work that waits until what is ready on the loop now has been served, so that it is done once for all of it.
class Deferred {
 public:
  Deferred(Loop& loop, Callback<void()> work);
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;
  // What was wanted and has not run does not run any more.
  ~Deferred();

  // Runs the work once, however often it was wanted until then; never inside want() itself.
  void want();

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

// Readiness of a descriptor that somebody else owns and that must outlive the watch; at most one watch per descriptor.
// Level-triggered: a callback that leaves data unread is called again.
class FdWatch {
 public:
  FdWatch(Loop& loop, int fd);
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;
  ~FdWatch();

  // Calls back whenever there is something to read (or end of file, or an error that read() will tell), until replaced
  // by nullptr.
  void on_readable(Callback<void()> callback);
  // Calls back once, when writing would not block.
  void when_writable(Callback<void()> callback);

 private:
  struct Core;
  std::shared_ptr<Core> m_core;
};

}  // namespace quipu::net
