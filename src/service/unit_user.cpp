// SPDX-License-Identifier: Apache-2.0
#include "service/unit_user.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

namespace quipu::service {
namespace {

namespace fs = std::filesystem;

constexpr int kUsualGroups = 16;

// How the child that becomes the user ends.
enum class Finding : int { none, refused };

// In a child, which changes for good: an identity that is put on and off would undo what keeps this process's memory
// from being dumped or looked at. The child's is a copy, so it closes itself off again. It calls nothing but the
// kernel.
[[noreturn]] void find_as(uid_t user, gid_t group, const std::vector<gid_t>& groups, const char* path) {
  Finding finding = Finding::none;
  if (::setgroups(groups.size(), groups.data()) == 0 && ::setresgid(group, group, group) == 0 &&
      ::setresuid(user, user, user) == 0 && ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) {
    // Not opened: who writes to a FIFO, or another reader of a device, would take notice.
    if (::access(path, R_OK) != 0 && errno == EACCES) finding = Finding::refused;
  }
  ::_exit(static_cast<int>(finding));
}

// Empty when the units see it, as far as their folders go.
std::string_view hidden_folder_of(std::string_view path) {
  for (const std::string_view folder : config::kHiddenFromUnits)
    if (path.starts_with(folder) && path.substr(folder.size()).starts_with('/')) return folder;
  return {};
}

}  // namespace

std::optional<UnitUser> UnitUser::find(const config::Unit& unit, std::string_view configuration) {
  const std::string name(unit.user);
  const passwd* const known = ::geteuid() == 0 ? ::getpwnam(name.c_str()) : nullptr;
  if (known == nullptr) return std::nullopt;
  UnitUser user;
  user.m_units_own = configuration == unit.configuration;
  user.m_name = name;
  user.m_user = known->pw_uid;
  const group* const own = ::getgrnam(name.c_str());  // Group=
  user.m_group = own != nullptr ? own->gr_gid : known->pw_gid;
  int count = kUsualGroups;
  do  // until there is room for as many as it says there are
    user.m_groups.resize(static_cast<std::size_t>(count));
  while (::getgrouplist(name.c_str(), user.m_group, user.m_groups.data(), &count) < 0);
  user.m_groups.resize(static_cast<std::size_t>(count));
  if (const group* const more = ::getgrnam(std::string(config::kControlGroup).c_str()))
    user.m_groups.push_back(more->gr_gid);
  return user;
}

Result<void> UnitUser::check_readable(const std::string& path) const {
  if (!m_units_own) return {};
  // Both as it is written and where it leads.
  std::error_code unknown;
  for (const fs::path& led : {fs::path(path), fs::weakly_canonical(path, unknown)})
    if (const std::string_view folder = hidden_folder_of(led.native()); !folder.empty())
      return fail(
          Errc::not_permitted,
          fmt::format("{}: the units see nothing below {}: put it elsewhere, as below /etc/quipu", path, folder));
  const pid_t child = ::fork();
  if (child < 0)
    return fail_system(fmt::format(
        "{}: cannot start a process to find out whether {} may read it (end some, or free memory)", path, m_name));
  if (child == 0) find_as(m_user, m_group, m_groups, path.c_str());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail_system(path + ": the process that tried to read it cannot be waited for");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != static_cast<int>(Finding::refused)) return {};
  return fail(Errc::not_permitted,
              fmt::format("{}: {}, as whom the unit runs, may not read it: let that user read it, by its owner or its "
                          "group, and into its folders",
                          path, m_name));
}

}  // namespace quipu::service
