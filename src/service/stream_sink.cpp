// SPDX-License-Identifier: Apache-2.0
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>

#include "control/json.h"
#include "service/log_sinks.h"

namespace quipu::service {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_.:/+,%@[]").find(c) != std::string_view::npos;
}

void append_value(std::string& line, std::string_view value) {
  if (!value.empty() && std::ranges::all_of(value, is_plain))
    line += value;
  else
    control::append_json_string(line, value);  // quoted, and no control character survives
}

std::string utc_now() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

std::string text_line(LogLevel level, std::string_view event, std::string_view message,
                      std::span<const LogField> fields) {
  std::string line = fmt::format("{} {} event={} message=", utc_now(), to_string(level), event);
  control::append_json_string(line, message);
  for (const LogField& field : fields) {
    line += fmt::format(" {}=", field.name);
    append_value(line, field.value);
  }
  return line + '\n';
}

std::string json_line(LogLevel level, std::string_view event, std::string_view message,
                      std::span<const LogField> fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","event":)", utc_now(), to_string(level));
  control::append_json_string(line, event);
  line += ",\"message\":";
  control::append_json_string(line, message);
  for (const LogField& field : fields) {
    line += ',';
    control::append_json_string(line, field.name);
    line += ':';
    control::append_json_string(line, field.value);
  }
  return line + "}\n";
}

// systemd sets JOURNAL_STREAM to DEVICE:INODE of the stream that it connected to the journal.
bool stderr_is_the_journal() {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat status{};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

// A log that cannot be written must not stop the daemon: what a full pipe does not take is lost. The descriptor is
// others' too, and blocks; a pipe that polls as writable takes PIPE_BUF octets without.
bool takes_some(int fd) {
  pollfd one{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & POLLOUT) != 0;
}

}  // namespace

void StreamSink::write(LogLevel level, std::string_view event, std::string_view message,
                       std::span<const LogField> fields) {
  const std::string line =
      m_format == LogFormat::json ? json_line(level, event, message, fields) : text_line(level, event, message, fields);
  const std::string whole = m_torn ? "\n" + line : line;
  std::string_view rest = whole;
  while (!rest.empty()) {
    const ssize_t written =
        takes_some(m_fd) ? ::write(m_fd, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF)) : 0;
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  // Where nothing was written, the line before it is as torn as it was.
  if (rest.size() < whole.size()) m_torn = !rest.empty();
}

std::unique_ptr<LogSink> make_default_sink(std::string identifier, LogFormat format) {
  if (format == LogFormat::text && stderr_is_the_journal()) return std::make_unique<JournalSink>(std::move(identifier));
  return std::make_unique<StreamSink>(STDERR_FILENO, format);
}

}  // namespace quipu::service
