// SPDX-License-Identifier: Apache-2.0
#include "cli/files.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encoding.h"
#include "base/unique_fd.h"

namespace quipu::cli {
namespace {

Result<void> write_all(int fd, ByteView contents, const std::string& name) {
  while (!contents.empty()) {
    const ssize_t n = ::write(fd, contents.data(), contents.size());
    if (n < 0 && errno != EINTR) return fail_system(name);
    if (n > 0) contents = contents.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

// Base64 text with its line feed.
SecretBytes key_line(ByteView secret) {
  const SecretBytes text = secret_to_base64(secret);
  SecretBytes line(text.size() + 1);
  std::memcpy(line.mutable_view().data(), text.view().data(), text.size());
  line.mutable_view().back() = '\n';
  return line;
}

// `fresh` is a new file, durable, which has yet to get the name `path`.
Result<void> fill(const std::string& fresh, const std::string& path, ByteView contents, mode_t mode) {
  const UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd && errno == ENOENT) return fail(Errc::io, path + ": its folder does not exist: make it first");
  if (!fd) return fail_system(path);
  QUIPU_TRY(write_all(fd.get(), contents, path));
  if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0) return fail_system(path);
  return {};
}

Result<void> fill_and_name(const std::string& fresh, const std::string& path, ByteView contents, mode_t mode) {
  QUIPU_TRY(fill(fresh, path, contents, mode));
  // link, unlike rename, refuses to replace a file that somebody made meanwhile.
  if (::link(fresh.c_str(), path.c_str()) == 0) return {};
  if (errno == EEXIST) return fail(Errc::conflict, path + " exists already: move it away, or choose another name");
  return fail_system(path);
}

// So many octets, for whoever has the file may go on writing it.
Result<void> copy(int from, int to, std::size_t size, const std::string& name) {
  while (size != 0) {
    const ssize_t n = ::sendfile(to, from, nullptr, std::min(size, std::size_t{1} << 20));
    if (n < 0 && errno != EINTR) return fail_system(name);
    if (n == 0) return fail(Errc::io, name + ": it was cut while it was copied");
    if (n > 0) size -= static_cast<std::size_t>(n);
  }
  return {};
}

// A name is durable when its folder is.
Result<void> sync_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_system(folder.string());
  return {};
}

// Whether that name, in that folder where it is no absolute one, is the open file's.
bool is_name_of(int fd, int folder, const char* name) {
  struct stat of_file{};
  struct stat of_name{};
  return ::fstat(fd, &of_file) == 0 && ::fstatat(folder, name, &of_name, AT_SYMLINK_NOFOLLOW) == 0 &&
         of_name.st_dev == of_file.st_dev && of_name.st_ino == of_file.st_ino;
}

std::string name_for_now(const std::filesystem::path& path) {
  return path.string() + ".new." + std::to_string(::getpid());
}

}  // namespace

Result<void> write_new_file(const std::filesystem::path& path, ByteView contents, mode_t mode) {
  const std::string fresh = name_for_now(path);
  auto result = fill_and_name(fresh, path, contents, mode);
  ::unlink(fresh.c_str());
  return result;
}

Result<void> replace_file(const std::filesystem::path& path, ByteView contents, mode_t mode) {
  const std::string fresh = name_for_now(path);
  auto result = fill(fresh, path, contents, mode);
  if (result && ::rename(fresh.c_str(), path.c_str()) != 0) result = fail_system(path.string());
  if (!result) {
    ::unlink(fresh.c_str());
    return result;
  }
  return sync_folder_of(path);
}

Result<NewFile> NewFile::create(std::filesystem::path path, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd && errno == EEXIST)
    return fail(Errc::conflict, path.string() + " exists already: move it away, or choose another name");
  if (!fd && errno == ENOENT) return fail(Errc::io, path.string() + ": its folder does not exist: make it first");
  if (!fd) return fail_system(path.string());
  return NewFile(std::move(path), std::move(fd));
}

NewFile::~NewFile() {
  if (m_fd && has_its_name()) ::unlink(m_path.c_str());
}

bool NewFile::has_its_name() const {
  return is_name_of(m_fd.get(), AT_FDCWD, m_path.c_str());
}

Result<void> NewFile::move_from(const std::filesystem::path& from, uid_t owner) {
  const UniqueFd folder(::open(from.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_system(from.parent_path().string());
  const std::string name = from.filename();
  const UniqueFd source(::openat(folder.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!source) return fail_system(from.string());
  struct stat of_folder{};
  struct stat of_source{};
  if (::fstat(folder.get(), &of_folder) != 0 || ::fstat(source.get(), &of_source) != 0)
    return fail_system(from.string());
  if (!S_ISREG(of_source.st_mode) || of_source.st_uid != owner || (of_folder.st_uid != owner && of_folder.st_uid != 0))
    return fail(Errc::not_permitted, from.string() + ": no file of the daemon's own; nothing was moved");
  if (is_name_of(source.get(), AT_FDCWD, m_path.c_str()))
    return fail(Errc::conflict,
                m_path.string() + " is the daemon's own name for it, which the next one takes: name another");
  auto copied = copy(source.get(), m_fd.get(), static_cast<std::size_t>(of_source.st_size), m_path.string());
  if (copied && ::fsync(m_fd.get()) != 0) copied = fail_system(m_path.string());
  if (copied) copied = sync_folder_of(m_path);
  if (copied && !has_its_name())
    return fail(
        Errc::conflict,
        m_path.string() + " was moved away or replaced meanwhile: what it was to hold stays in " + from.string());
  // Meanwhile another may have got the name: it is for somebody else.
  if (is_name_of(source.get(), folder.get(), name.c_str())) ::unlinkat(folder.get(), name.c_str(), 0);
  if (copied) m_fd.reset();
  return copied;
}

Result<void> write_new_key_file(const std::filesystem::path& path, ByteView secret) {
  return write_new_file(path, key_line(secret).view(), kSecretFileMode);
}

Result<void> write_key_line(int fd, ByteView secret, const std::string& name) {
  return write_all(fd, key_line(secret).view(), name);
}

Result<SecretBytes> read_to_end(int fd, const std::string& name, std::size_t max) {
  // One octet more than permitted, to see whether there is one.
  SecretBytes buffer(max + 1);
  std::size_t size = 0;
  for (ssize_t n = 1; n != 0 && size < buffer.size();) {
    n = ::read(fd, buffer.mutable_view().data() + size, buffer.size() - size);
    if (n < 0 && errno != EINTR) return fail_system(name);
    if (n > 0) size += static_cast<std::size_t>(n);
  }
  if (size > max) return fail(Errc::too_large, name + ": longer than " + std::to_string(max) + " octets");
  return SecretBytes::copy_of(buffer.view().first(size));
}

Result<SecretBytes> read_whole_file(const std::filesystem::path& path, std::size_t max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_system(path.string());
  return read_to_end(fd.get(), path.string(), max);
}

}  // namespace quipu::cli
