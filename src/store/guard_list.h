// SPDX-License-Identifier: Apache-2.0
// What was last protected, as a text: for a start whose configuration cannot be read. Holds prefixes only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace quipu::store {

struct GuardList {
  std::vector<IpPrefix> prefixes;        // protected
  std::vector<IpPrefix> local_networks;  // inside them, this site's own

  bool operator==(const GuardList&) const = default;
};

std::string encode_guards(const GuardList& guards);
// Whatever of it can be understood: of a damaged text, too, better some prefixes are guarded than none.
GuardList decode_guards(std::string_view text);

}  // namespace quipu::store
