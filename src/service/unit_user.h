// SPDX-License-Identifier: Apache-2.0
// The user as whom a unit runs a daemon. With --check, root judges in a shell what that user will find.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/units.h"

namespace quipu::service {

class UnitUser {
 public:
  // With the groups that /etc/group gives it and, where there is one, the unit's supplementary group. `configuration`
  // is the file that is checked: what a draft or a laboratory's names may be root's, and is not judged. Nothing where
  // there is no such user, as on a machine without the package, or where this process is not root's.
  static std::optional<UnitUser> find(const config::Unit& unit, std::string_view configuration);

  bool owns(uid_t owner) const { return owner == m_user; }

  // Errc::not_permitted when a file of the unit's own configuration is hidden from the unit, or its user may not read
  // it or enter a folder of its path; what else is wrong is for who reads it to find. The user is not judged where root
  // may not become it.
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
