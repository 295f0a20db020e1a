// SPDX-License-Identifier: Apache-2.0
// Where log lines go. One daemon, one thread: none of these is locked.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/time.h"

namespace quipu::service {

enum class LogFormat { text, json };

// One line per event on a descriptor, which stays the caller's. Text: `TIME LEVEL event=NAME message="..." field=value
// ...`, values quoted when they hold anything but letters, digits and -_.:/+,%@[]; JSON: one object per line. Control
// characters are escaped, so that a field can never make a second line. Never blocks: a line that the descriptor does
// not take at once is lost.
class StreamSink final : public LogSink {
 public:
  StreamSink(int fd, LogFormat format) : m_fd(fd), m_format(format) {}

  void write(LogLevel level, std::string_view event, std::string_view message,
             std::span<const LogField> fields) override;

 private:
  int m_fd;
  LogFormat m_format;
  bool m_torn = false;  // only the beginning of the last line was taken
};

// The system journal, with PRIORITY, QUIPU_EVENT and QUIPU_<FIELD> as native fields.
class JournalSink final : public LogSink {
 public:
  explicit JournalSink(std::string identifier) : m_identifier(std::move(identifier)) {}

  void write(LogLevel level, std::string_view event, std::string_view message,
             std::span<const LogField> fields) override;

 private:
  std::string m_identifier;  // SYSLOG_IDENTIFIER
};

// "key_id" -> "QUIPU_KEY_ID"
std::string journal_field_name(std::string_view name);

// Passes on what is at or above a level, and of each event at most kBurst per second; the rest is told by one line
// ("suppressed") as soon as that second is over and the event comes again, or when flush() is called.
class FilteringSink final : public LogSink {
 public:
  static constexpr unsigned kBurst = 10;

  // `next` outlives this. `now` is the loop's clock.
  FilteringSink(LogSink& next, LogLevel level, std::function<TimePoint()> now)
      : m_next(next), m_level(level), m_now(std::move(now)) {}

  void set_level(LogLevel level) { m_level = level; }

  // Tells what was suppressed in seconds that are over; to be called now and then, and at the end.
  void flush();

  void write(LogLevel level, std::string_view event, std::string_view message,
             std::span<const LogField> fields) override;

 private:
  struct Window {
    TimePoint start{};
    unsigned passed = 0;
    unsigned suppressed = 0;
  };

  void summarize(std::string_view event, Window& window);

  LogSink& m_next;
  LogLevel m_level;
  std::function<TimePoint()> m_now;
  std::map<std::string, Window, std::less<>> m_windows;  // by event; events are a closed set of names
};

// The journal when standard error is connected to it (JOURNAL_STREAM), else standard error.
std::unique_ptr<LogSink> make_default_sink(std::string identifier, LogFormat format);

}  // namespace quipu::service
