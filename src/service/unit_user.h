// SPDX-License-Identifier: Apache-2.0
// The user as whom a unit runs a daemon. With --check, root judges in a shell what that user will find.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace quipu::service {

class UnitUser {
 public:
  // With the groups that /etc/group gives it and, where there is one of that name, the unit's `supplementary` group.
  // `units_own`: what is checked is the configuration of the unit itself, not a draft or a laboratory's, whose files
  // may be root's. Nothing where there is no such user, as on a machine without the package, or where this process is
  // not root's.
  static std::optional<UnitUser> find(const char* name, const char* supplementary, bool units_own);

  bool owns(uid_t owner) const { return owner == m_user; }

  // Errc::not_permitted when that user may not read a file of the unit's own configuration or enter a folder of its
  // path; what else is wrong is for who reads it to find. Not judged where root may not become that user.
  Result<void> check_readable(const std::string& path) const;

 private:
  UnitUser() = default;

  std::string m_name;
  uid_t m_user = 0;
  gid_t m_group = 0;
  std::vector<gid_t> m_groups;
  bool m_units_own = false;
};

}  // namespace quipu::service
