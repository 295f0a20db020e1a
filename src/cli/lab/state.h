// SPDX-License-Identifier: Apache-2.0
// What a laboratory run has made, in a file: enough for `down` to remove it all, also after a crash.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/lab/process.h"
#include "config/lab_topology.h"

namespace quipu::cli::lab {

// All sites of the laboratory have the same shape; the letter tells them apart.
struct Site {
  std::string letter;  // "a", "b", ...
  std::string network_namespace;
  std::filesystem::path folder;
  std::string underlay_address;  // where the other sites reach it
  std::string tunnel_address;
  std::string tunnel_address6;
  std::size_t daemons = 2;           // that run there when all is well: without a tunnel only the KMS
  std::vector<ProcessId> processes;  // in order of start
  bool stopped = false;              // on purpose, by stop_site()

  std::filesystem::path control_socket() const { return folder / "quipu.sock"; }

  std::filesystem::path kms_control_socket() const { return folder / "kms.sock"; }

  // All of its daemons.
  bool runs() const;

  // Its namespace, which does not outlive a restart of the machine.
  bool has_network() const;
};

struct Run {
  std::string id;  // 1 to 8 of a-z and 0-9: interface names carry it
  std::filesystem::path folder;
  std::vector<Site> sites;
  // CLOCK_BOOTTIME just before the first daemon was executed; 0 before that.
  std::int64_t first_exec_ns = 0;
  bool taken_down = false;  // its files were kept

  // Logs of an `up` that failed: beside the runs, under a name that no run has.
  std::filesystem::path kept_logs() const { return folder.string() + ".failed"; }

  std::string veth(const Site& site) const { return "ql" + id + site.letter; }

  // The outside network between the sites.
  std::string outside_namespace() const { return "quipu-lab-" + id + "-net"; }

  const Site& site(const std::string& letter) const;
};

// Sites "a" and "b" with a link and a tunnel.
config::LabTopology two_sites();

// Errc::out_of_range when the id does not fit into names.
Result<Run> plan_run(const std::string& id, const std::filesystem::path& root,
                     const config::LabTopology& topology = two_sites());
// As it is saved, for whoever drives a laboratory by script.
std::string to_json(const Run& run);
Result<void> save_run(const Run& run);
// Where the file is damaged or missing: with the sites that have a network namespace, and all processes that run there.
Result<Run> load_run(const std::string& id, const std::filesystem::path& root);
// Those of them that are still there.
std::vector<Run> load_runs(const std::vector<std::string>& ids, const std::filesystem::path& root);
// Ids of all runs under `root`, crashed ones too, oldest name first.
std::vector<std::string> known_runs(const std::filesystem::path& root);

}  // namespace quipu::cli::lab
