// SPDX-License-Identifier: Apache-2.0
// What a laboratory run has made, in a file: enough for `down` to remove it all, also after a crash.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/lab/process.h"

namespace quipu::cli::lab {

// Both sites of the laboratory have the same shape; the letter tells them apart.
struct Site {
  std::string letter;  // "a", "b"
  std::string network_namespace;
  std::filesystem::path folder;
  std::string underlay_address;  // where the other site reaches it
  std::string tunnel_address;
  std::string tunnel_address6;
  std::vector<ProcessId> processes;  // in order of start

  std::filesystem::path control_socket() const { return folder / "quipu.sock"; }

  std::filesystem::path kms_control_socket() const { return folder / "kms.sock"; }
};

struct Run {
  std::string id;  // 1 to 8 of a-z and 0-9: interface names carry it
  std::filesystem::path folder;
  std::array<Site, 2> sites;
  // CLOCK_BOOTTIME just before the first daemon was executed; 0 before that.
  std::int64_t first_exec_ns = 0;
  bool taken_down = false;  // its files were kept

  // Logs of an `up` that failed: beside the runs, under a name that no run has.
  std::filesystem::path kept_logs() const { return folder.string() + ".failed"; }

  std::string veth(const Site& site) const { return "ql" + id + site.letter; }
};

// Errc::out_of_range when the id does not fit into names.
Result<Run> plan_run(const std::string& id, const std::filesystem::path& root);
// As it is saved, for whoever drives a laboratory by script.
std::string to_json(const Run& run);
Result<void> save_run(const Run& run);
// Where the file is damaged or missing: with all processes that run in the network namespaces.
Result<Run> load_run(const std::string& id, const std::filesystem::path& root);
// Those of them that are still there.
std::vector<Run> load_runs(const std::vector<std::string>& ids, const std::filesystem::path& root);
// Ids of all runs under `root`, crashed ones too, oldest name first.
std::vector<std::string> known_runs(const std::filesystem::path& root);

}  // namespace quipu::cli::lab
