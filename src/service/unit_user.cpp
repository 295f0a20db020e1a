// SPDX-License-Identifier: Apache-2.0
#include "service/unit_user.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/assert.h"
#include "base/unique_fd.h"

namespace quipu::service {
namespace {

constexpr int kMaxGroups = 256;

// Root as somebody else, until this goes.
class Disguise {
 public:
  Disguise(uid_t user, gid_t group, const std::vector<gid_t>& groups)
      : m_groups(static_cast<std::size_t>(::getgroups(0, nullptr))) {
    QUIPU_ASSERT(::getgroups(static_cast<int>(m_groups.size()), m_groups.data()) >= 0);
    QUIPU_ASSERT(::setgroups(groups.size(), groups.data()) == 0 && ::setegid(group) == 0 && ::seteuid(user) == 0);
  }

  ~Disguise() {
    QUIPU_ASSERT(::seteuid(0) == 0 && ::setegid(m_group) == 0 && ::setgroups(m_groups.size(), m_groups.data()) == 0);
  }

  Disguise(const Disguise&) = delete;
  Disguise& operator=(const Disguise&) = delete;
  Disguise(Disguise&&) = delete;
  Disguise& operator=(Disguise&&) = delete;

 private:
  std::vector<gid_t> m_groups;
  gid_t m_group = ::getegid();
};

}  // namespace

std::optional<UnitUser> UnitUser::find(const char* name, const char* supplementary, bool units_own) {
  const passwd* const known = ::geteuid() == 0 ? ::getpwnam(name) : nullptr;
  if (known == nullptr) return std::nullopt;
  UnitUser user;
  user.m_units_own = units_own;
  user.m_name = name;
  user.m_user = known->pw_uid;
  user.m_group = known->pw_gid;
  user.m_groups.resize(kMaxGroups);
  int count = kMaxGroups;
  if (::getgrouplist(name, user.m_group, user.m_groups.data(), &count) < 0) count = kMaxGroups;
  user.m_groups.resize(static_cast<std::size_t>(count));
  if (const group* const more = ::getgrnam(supplementary)) user.m_groups.push_back(more->gr_gid);
  return user;
}

Result<void> UnitUser::check_readable(const std::string& path) const {
  if (!m_units_own) return {};
  const Disguise disguise(m_user, m_group, m_groups);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file || errno != EACCES) return {};
  return fail(Errc::not_permitted,
              fmt::format("{}: {}, as whom the unit runs, may not read it: chown it to that user, and let "
                          "the user into its folders",
                          path, m_name));
}

}  // namespace quipu::service
