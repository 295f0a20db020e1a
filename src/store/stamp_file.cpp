// SPDX-License-Identifier: Apache-2.0
#include "store/stamp_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "store/durable_file.h"

namespace quipu::store {
namespace {

constexpr std::string_view kFirstLine = "quipu stamps 1\n";
constexpr std::size_t kMaxSize = 64;

// FNV-1a: tells a file that was cut or edited from a whole one; nobody is kept from forging it.
std::uint64_t checksum(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const char c : text)
    sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return sum;
}

Result<std::string> read_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file && errno == ENOENT) return std::string();
  if (!file) return fail_system(path);
  std::array<char, kMaxSize + 1> buffer{};
  const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
  if (size < 0) return fail_system(path);
  // Cut by something that writes otherwise than we do: damaged, and not absent.
  if (size == 0) return std::string("\n");
  return std::string(buffer.data(), static_cast<std::size_t>(size));
}

}  // namespace

std::string encode_stamps(std::uint64_t end) {
  const std::string text = fmt::format("{}end {}\n", kFirstLine, end);
  return fmt::format("{}sum {:016x}\n", text, checksum(text));
}

std::optional<std::uint64_t> decode_stamps(std::string_view text) {
  constexpr std::string_view kPrefix = "end ";
  if (!text.starts_with(kFirstLine)) return std::nullopt;
  const std::string_view rest = text.substr(kFirstLine.size());
  if (!rest.starts_with(kPrefix)) return std::nullopt;
  std::uint64_t end = 0;
  const char* const last = rest.data() + rest.size();
  if (std::from_chars(rest.data() + kPrefix.size(), last, end).ec != std::errc{}) return std::nullopt;
  return encode_stamps(end) == text ? std::optional(end) : std::nullopt;
}

Result<StampFile> StampFile::open(const std::string& directory) {
  const std::string lock_path = directory + "/stamps.lock";
  UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!lock) return fail_system(lock_path);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_system(lock_path);
    return fail(Errc::busy, directory + ": another daemon uses this state folder; stop it, or give each its own");
  }
  StampFile out(directory, std::move(lock));
  const std::string path = directory + "/stamps";
  QUIPU_TRY_ASSIGN(const std::string text, read_file(path));
  if (text.empty()) return out;
  const auto end = decode_stamps(text);
  if (!end)
    return fail(Errc::storage, path +
                                   ": damaged; remove it: peers then tell this end their highest "
                                   "stamp, which costs each of them one handshake");
  out.m_end = *end;
  return out;
}

Result<void> StampFile::reserve(std::uint64_t end) {
  if (end <= m_end) return {};
  QUIPU_TRY(replace_file(m_directory + "/stamps", encode_stamps(end)));
  m_end = end;
  return {};
}

}  // namespace quipu::store
