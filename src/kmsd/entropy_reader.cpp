// SPDX-License-Identifier: Apache-2.0
#include "kmsd/entropy_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "kmsd/event_names.h"

namespace quipu::kmsd {
namespace {

constexpr std::size_t kChunk = 4'096;  // octets
constexpr int kChunksAtOnce = 16;      // between which nothing else is done
constexpr Duration kInterval = std::chrono::milliseconds(50);
constexpr Duration kOpenAgain = std::chrono::seconds(1);

Result<void> check_kind(const std::string& path, mode_t mode) {
  if (S_ISCHR(mode) || S_ISFIFO(mode)) return {};
  return fail(Errc::unsupported, path + " is neither a character device nor a FIFO");
}

}  // namespace

Result<void> EntropyReader::check(const std::string& path) {
  struct stat about{};
  if (::lstat(path.c_str(), &about) != 0) return fail_system(path);
  QUIPU_TRY(check_kind(path, about.st_mode));
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) return fail_system(path);
  return {};
}

EntropyReader::EntropyReader(net::Loop& loop, std::string path, Events events, LogSink& log)
    : m_path(std::move(path)), m_events(std::move(events)), m_log(log), m_chunk(kChunk), m_timer(loop, [this] {
        on_due();
      }) {}

void EntropyReader::wake() {
  if (m_waiting || m_events.room() == 0) return;
  m_waiting = true;
  m_timer.set(net::Loop::now());
}

void EntropyReader::on_due() {
  m_waiting = false;
  if (!m_open)
    if (const auto opened = open(); !opened) return lost(opened.error());
  for (int i = 0; i < kChunksAtOnce && m_events.room() != 0; ++i) {
    const auto more = read();
    if (!more) return lost(more.error());
    if (!*more) break;
  }
  if (m_events.room() == 0) return;  // until wake()
  m_waiting = true;
  m_timer.set(net::Loop::now() + kInterval);
}

// Before the earlier descriptor is closed: whoever writes to a FIFO never finds it without a reader.
Result<void> EntropyReader::open() {
  UniqueFd fd(::open(m_path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
  if (!fd) return fail_system(m_path);
  struct stat about{};
  if (::fstat(fd.get(), &about) != 0) return fail_system(m_path);
  QUIPU_TRY(check_kind(m_path, about.st_mode));
  m_fd = std::move(fd);
  m_open = true;
  return {};
}

Result<bool> EntropyReader::read() {
  const MutableBytes part = m_chunk.mutable_view().first(std::min(kChunk, m_events.room()));
  const ssize_t size = ::read(m_fd.get(), part.data(), part.size());
  if (size < 0 && errno != EAGAIN && errno != EINTR) return fail_system(m_path);
  if (size == 0) return fail(Errc::io, m_path + ": it has ended, or nobody writes to it");
  m_problem.clear();
  if (size < 0) return false;
  m_events.received(part.first(static_cast<std::size_t>(size)));
  wipe(part.data(), part.size());
  return true;
}

void EntropyReader::lost(const Error& error) {
  if (m_problem.empty()) {
    m_log.warning(event::kRelayEntropyAbsent,
                  "the entropy source cannot be read: no block is made for relay without it",
                  {{"source", m_path}, error_field(error)});
    m_events.gone();
  }
  m_problem = error.text;
  m_open = false;
  m_waiting = true;
  m_timer.set(net::Loop::now() + kOpenAgain);
}

}  // namespace quipu::kmsd
