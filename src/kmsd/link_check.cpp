// SPDX-License-Identifier: Apache-2.0
#include "kmsd/link_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "driver/driver_check.h"

namespace quipu::kmsd {
namespace {

using Part = driver::CheckRefusal::Part;

std::vector<std::string> drivers_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".so") names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

// That a file is not there needs no process to find out. `where`: path of the link's section, "link[1]".
std::optional<config::Problem> find_no_driver(const DriverFiles& files, const config::LinkConfig& link,
                                              const std::string& where) {
  const std::vector<std::string> known = drivers_in(files.plugin_folder);
  if (std::ranges::find(known, link.driver) != known.end()) return std::nullopt;
  return config::Problem{.position = link.driver_position,
                         .key = where + ".driver",
                         .problem = fmt::format("there is no driver \"{}\" in {}", link.driver, files.plugin_folder),
                         .advice = known.empty()
                                       ? "there is none at all: install the driver's package"
                                       : fmt::format("those that are there: {}; else install the driver's package",
                                                     fmt::join(known, ", "))};
}

config::Problem problem_of(const driver::CheckRefusal& refusal, const config::LinkConfig& link,
                           const std::string& where) {
  switch (refusal.part) {
    case Part::driver: break;
    case Part::allow_simulated: return {link.allow_simulated_position, where + ".allow_simulated", refusal.reason, {}};
    case Part::options:
      if (!refusal.option) return {link.position, where + ".options", refusal.reason, {}};
      return {link.option_positions.at(*refusal.option), where + ".options." + *refusal.option, refusal.reason, {}};
  }
  return {link.driver_position, where + ".driver", refusal.reason, {}};
}

void check_link(const DriverFiles& files, const config::LinkConfig& link, const std::string& where, Findings& out) {
  if (auto problem = find_no_driver(files, link, where)) return out.problems.push_back(*std::move(problem));
  const auto checked = driver::check_driver(host_config(files, link));
  if (!checked) return out.problems.push_back(problem_of(checked.error(), link, where));
  if (!checked->options_checked)
    out.notes.push_back({link.driver_position, where + ".driver",
                         fmt::format("driver {} checks its options only when it opens its device", link.driver),
                         "look at 'quipu status' after the start"});
}

}  // namespace

Findings check_links(const DriverFiles& files, const std::vector<config::LinkConfig>& links) {
  Findings out;
  for (std::size_t i = 0; i < links.size(); ++i)
    check_link(files, links[i], fmt::format("link[{}]", i + 1), out);
  return out;
}

}  // namespace quipu::kmsd
