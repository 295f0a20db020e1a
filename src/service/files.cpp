// SPDX-License-Identifier: Apache-2.0
#include "service/files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/encoding.h"
#include "base/regular_file.h"
#include "config/units.h"

namespace quipu::service {
namespace {

using config::kCredential;
using config::Unit;

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// For a daemon that somebody runs from a shell, as with --check: root reads the files where the service manager would.
// Empty when no unit has a credential of this name.
std::string path_of_a_units(std::string_view name) {
  for (const Unit& unit : config::kUnits)
    if (const std::string_view prefix = unit.credential_prefix; name.starts_with(prefix) && name != prefix)
      return fmt::format("{}/{}", unit.credential_folder, name.substr(prefix.size()));
  return {};
}

// What somebody meant who left out how the credentials of a unit begin: those that are there. `directory` is the
// service manager's, or null.
std::vector<std::string> meant_credentials(const char* directory, std::string_view name) {
  std::vector<std::string> out;
  for (const Unit& unit : config::kUnits) {
    const std::string_view prefix = unit.credential_prefix;
    const std::string path = directory != nullptr ? fmt::format("{}/{}{}", directory, prefix, name)
                                                  : fmt::format("{}/{}", unit.credential_folder, name);
    if (exists(path)) out.push_back(fmt::format("\"{}{}{}\"", kCredential, prefix, name));
  }
  return out;
}

Result<RegularFile> open_regular(std::string_view name) {
  QUIPU_TRY_ASSIGN(std::string path, resolve_file(name));
  return RegularFile::open(std::move(path));
}

Result<std::size_t> size_within(const RegularFile& file, std::size_t max) {
  const auto size = static_cast<std::uint64_t>(file.status.st_size);
  if (size > max) return fail(Errc::too_large, fmt::format("{}: {} octets, more than {}", file.path, size, max));
  return static_cast<std::size_t>(size);
}

// Fills `out` and proves that the file ends there: it could have changed since its size was asked for.
Result<void> read_all(const RegularFile& file, MutableBytes out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(file.fd.get(), out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_system(file.path);
    if (got == 0) return fail(Errc::io, file.path + ": became shorter while it was read");
    done += static_cast<std::size_t>(got);
  }
  std::uint8_t more = 0;
  if (::read(file.fd.get(), &more, 1) != 0) return fail(Errc::io, file.path + ": became longer while it was read");
  return {};
}

Result<SecretBytes> read_locked(const RegularFile& file, std::size_t max) {
  QUIPU_TRY_ASSIGN(const std::size_t size, size_within(file, max));
  SecretBytes out(size);
  QUIPU_TRY(read_all(file, out.mutable_view()));
  return out;
}

// systemd hands credentials over in a folder that only the service can enter; group bits there are the mask of an
// access control list. What root reads in the units' place the service manager reads as root, too.
Result<void> require_private(const RegularFile& file, bool credential, const UnitUser* reader) {
  QUIPU_TRY(file.require_closed_to(credential ? S_IRWXO : S_IRWXG | S_IRWXO));
  const uid_t owner = file.status.st_uid;
  if (owner != 0 && owner != ::geteuid() && (reader == nullptr || !reader->owns(owner)))
    return fail(Errc::not_permitted, fmt::format("{}: belongs to user {}; chown it to {}", file.path, owner,
                                                 credential ? "root" : "the daemon's user"));
  return credential || reader == nullptr ? Result<void>() : reader->check_readable(file.path);
}

}  // namespace

bool is_credential(std::string_view name) {
  return name.starts_with(kCredential);
}

Result<std::string> resolve_file(std::string_view name) {
  if (!is_credential(name)) return std::string(name);
  name.remove_prefix(kCredential.size());
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos)
    return fail(Errc::malformed, fmt::format("credential:{}: not the name of a credential", name));
  const char* const directory = std::getenv("CREDENTIALS_DIRECTORY");
  std::string path = directory != nullptr ? fmt::format("{}/{}", directory, name) : path_of_a_units(name);
  if (!exists(path))
    if (const auto meant = meant_credentials(directory, name); !meant.empty())
      return fail(Errc::not_found, fmt::format("credential:{}: there is none of this name; did you mean {}?", name,
                                               fmt::join(meant, " or ")));
  if (!path.empty()) return path;
  return fail(Errc::not_found, fmt::format("credential:{}: the service manager passed no credentials, and the units "
                                           "have none of this name; add LoadCredential={}:FILE to the unit, or name a "
                                           "file by its path",
                                           name, name));
}

std::string state_directory(std::string fallback) {
  const char* const directory = std::getenv("STATE_DIRECTORY");
  if (directory == nullptr) return fallback;
  const std::string_view folders = directory;
  return std::string(folders.substr(0, folders.find(':')));
}

Result<std::string> read_text_file(std::string_view name, std::size_t max) {
  QUIPU_TRY_ASSIGN(const RegularFile file, open_regular(name));
  QUIPU_TRY_ASSIGN(const std::size_t size, size_within(file, max));
  std::string out(size, '\0');
  QUIPU_TRY(read_all(file, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()}));
  return out;
}

Result<SecretBytes> read_certificate_file(std::string_view name, std::size_t max) {
  QUIPU_TRY_ASSIGN(const RegularFile file, open_regular(name));
  return read_locked(file, max);
}

Result<SecretBytes> read_secret_file(std::string_view name, std::size_t max, const UnitUser* reader) {
  QUIPU_TRY_ASSIGN(const RegularFile file, open_regular(name));
  QUIPU_TRY(require_private(file, is_credential(name), reader));
  return read_locked(file, max);
}

Result<SecretBytes> read_key_file(std::string_view name, std::size_t size, const UnitUser* reader) {
  // Base64 with a line end, of either kind.
  QUIPU_TRY_ASSIGN(const SecretBytes text, read_secret_file(name, (size + 2) / 3 * 4 + 2, reader));
  std::string_view line = as_text(text.view());
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  auto key = secret_from_base64(line);
  if (!key || key->size() != size)
    return fail(Errc::bad_key, fmt::format("{}: has to hold one line of base64 for {} octets; make one with quipu "
                                           "genkey (private keys) or quipu genpsk (all others)",
                                           name, size));
  if (std::ranges::all_of(key->view(), [&](std::uint8_t octet) { return octet == key->view()[0]; }))
    return fail(Errc::bad_key, fmt::format("{}: all octets of this key are alike: it is no secret; make one with quipu "
                                           "genkey (private keys) or quipu genpsk (all others)",
                                           name));
  return *std::move(key);
}

}  // namespace quipu::service
