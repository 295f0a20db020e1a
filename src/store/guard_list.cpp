// SPDX-License-Identifier: Apache-2.0
#include "store/guard_list.h"

#include <algorithm>

namespace quipu::store {
namespace {

constexpr std::string_view kProtected = "protected ";
constexpr std::string_view kLocal = "local ";

void take(std::string_view line, std::string_view kind, std::vector<IpPrefix>& out) {
  if (!line.starts_with(kind)) return;
  const auto prefix = IpPrefix::parse(line.substr(kind.size()));
  if (prefix && *prefix == prefix->masked()) out.push_back(*prefix);
}

}  // namespace

std::string encode_guards(const GuardList& guards) {
  std::string out;
  for (const IpPrefix& prefix : guards.prefixes)
    out.append(kProtected).append(prefix.text()).append("\n");
  for (const IpPrefix& network : guards.local_networks)
    out.append(kLocal).append(network.text()).append("\n");
  return out;
}

GuardList decode_guards(std::string_view text) {
  GuardList out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    take(line, kProtected, out.prefixes);
    take(line, kLocal, out.local_networks);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace quipu::store
