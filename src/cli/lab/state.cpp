// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/state.h"

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>

#include "base/regular_file.h"
#include "cli/files.h"

namespace quipu::cli::lab {
namespace {

namespace json = boost::json;

constexpr const char* kStateFile = "run.json";
constexpr std::size_t kMaxState = std::size_t{1} << 20;

json::value to_value(const Run& run) {
  json::array sites;
  for (const Site& site : run.sites) {
    json::array processes;
    for (const ProcessId& process : site.processes)
      processes.push_back({process.pid, process.start_time});
    sites.push_back({{"site", site.letter},
                     {"network_namespace", site.network_namespace},
                     {"folder", site.folder.string()},
                     {"underlay_address", site.underlay_address},
                     {"tunnel_address", site.tunnel_address},
                     {"tunnel_address6", site.tunnel_address6},
                     {"control_socket", site.control_socket().string()},
                     {"kms_control_socket", site.kms_control_socket().string()},
                     {"daemons", site.daemons},
                     {"stopped", site.stopped},
                     {"processes", std::move(processes)}});
  }
  return {{"schema_version", 1},
          {"run_id", run.id},
          {"first_exec_ns", run.first_exec_ns},
          {"taken_down", run.taken_down},
          {"sites", std::move(sites)}};
}

Site plan_site(const Run& run, const std::string& letter) {
  const std::string number = std::to_string(letter.front() - 'a' + 1);
  return {.letter = letter,
          .network_namespace = "quipu-lab-" + run.id + "-" + letter,
          .folder = run.folder / letter,
          .underlay_address = "192.0.2." + number,
          .tunnel_address = "10.70.0." + number,
          .tunnel_address6 = "fd70::" + number,
          .daemons = 2,
          .processes = {},
          .stopped = false};
}

// The names follow from the id and the letters; only the processes have to be read back, all or none.
std::vector<Site> read_sites(const json::value& document, const Run& run) {
  std::vector<Site> sites;
  for (const json::value& saved : document.at("sites").as_array()) {
    const json::string& letter = saved.at("site").as_string();
    if (letter.size() != 1 || letter[0] < 'a' || letter[0] > 'z') throw std::invalid_argument("site");
    Site site = plan_site(run, std::string(letter));
    site.daemons = saved.at("daemons").to_number<std::size_t>();
    site.stopped = saved.at("stopped").as_bool();
    for (const json::value& process : saved.at("processes").as_array())
      site.processes.push_back(
          {static_cast<pid_t>(process.at(0).to_number<std::int64_t>()), process.at(1).to_number<std::uint64_t>()});
    sites.push_back(std::move(site));
  }
  return sites;
}

void read_run(const json::value& document, Run& run) {
  run.first_exec_ns = document.at("first_exec_ns").as_int64();
  run.taken_down = document.at("taken_down").as_bool();
  run.sites = read_sites(document, run);
}

// Those that have a network namespace.
std::vector<Site> find_sites(const Run& run) {
  std::vector<Site> sites;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    Site site = plan_site(run, std::string(1, letter));
    if (!site.has_network()) continue;
    site.processes = processes_in_namespace(site.network_namespace);
    sites.push_back(std::move(site));
  }
  return sites;
}

// Whatever stands in the file's place holds nobody up.
Result<SecretBytes> read_state(const Run& run) {
  QUIPU_TRY_ASSIGN(const RegularFile file, RegularFile::open(run.folder / kStateFile));
  return read_to_end(file.fd.get(), file.path, kMaxState);
}

}  // namespace

config::LabTopology two_sites() {
  return {.sites = {"a", "b"},
          .trusted_nodes = {},
          .links = {{.between = {"a", "b"}, .options = {}}},
          .relays = {},
          .tunnels = {{"a", "b"}}};
}

bool Site::runs() const {
  return processes.size() == daemons && std::ranges::all_of(processes, is_running);
}

bool Site::has_network() const {
  std::error_code error;
  return std::filesystem::exists("/run/netns/" + network_namespace, error);
}

const Site& Run::site(const std::string& letter) const {
  return *std::ranges::find(sites, letter, &Site::letter);
}

Result<Run> plan_run(const std::string& id, const std::filesystem::path& root, const config::LabTopology& topology) {
  const bool fits = !id.empty() && id.size() <= 8 &&
                    std::ranges::all_of(id, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
  if (!fits) return fail(Errc::out_of_range, "run id '" + id + "': use 1 to 8 lower-case letters and digits");
  Run run{.id = id, .folder = root / id, .sites = {}, .first_exec_ns = 0};
  for (const std::string& letter : topology.sites) {
    run.sites.push_back(plan_site(run, letter));
    const bool has_tunnel = std::ranges::any_of(
        topology.tunnels, [&](const config::LabPair& pair) { return pair[0] == letter || pair[1] == letter; });
    if (!has_tunnel) run.sites.back().daemons = 1;
  }
  return run;
}

std::string to_json(const Run& run) {
  return json::serialize(to_value(run));
}

Result<void> save_run(const Run& run) {
  const std::filesystem::path path = run.folder / kStateFile;
  const std::filesystem::path fresh = path.string() + ".new";
  {
    std::ofstream file(fresh);
    file << to_json(run) << "\n";
    if (!file.flush()) return fail_system(fresh.string());
  }
  std::error_code error;
  std::filesystem::rename(fresh, path, error);
  return error ? Result<void>(fail(Errc::io, path.string() + ": " + error.message())) : Result<void>();
}

Result<Run> load_run(const std::string& id, const std::filesystem::path& root) {
  QUIPU_TRY_ASSIGN(Run run, plan_run(id, root));
  if (!std::filesystem::is_directory(run.folder))
    return fail(Errc::not_found, "there is no laboratory '" + id + "': 'quipu lab up' makes one");
  try {
    read_run(json::parse(as_text(read_state(run).value().view())), run);
  } catch (const std::exception&) {
    // A run that died before it wrote its state, or a damaged file: `down` must be able to remove it all the same.
    run.sites = find_sites(run);
  }
  return run;
}

std::vector<Run> load_runs(const std::vector<std::string>& ids, const std::filesystem::path& root) {
  std::vector<Run> runs;
  for (const std::string& id : ids)
    if (auto run = load_run(id, root)) runs.push_back(*std::move(run));
  return runs;
}

std::vector<std::string> known_runs(const std::filesystem::path& root) {
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root, error))
    if (entry.is_directory() && plan_run(entry.path().filename(), root)) ids.push_back(entry.path().filename());
  std::ranges::sort(ids);
  return ids;
}

}  // namespace quipu::cli::lab
