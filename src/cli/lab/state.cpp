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
                     {"processes", std::move(processes)}});
  }
  return {{"schema_version", 1},
          {"run_id", run.id},
          {"first_exec_ns", run.first_exec_ns},
          {"taken_down", run.taken_down},
          {"sites", std::move(sites)}};
}

// The names follow from the id; only the processes have to be read back, all or none.
void read_processes(const json::value& document, Run& run) {
  run.first_exec_ns = document.at("first_exec_ns").as_int64();
  if (const json::value* down = document.as_object().if_contains("taken_down")) run.taken_down = down->as_bool();
  for (std::size_t i = 0; i < run.sites.size(); ++i)
    for (const json::value& process : document.at("sites").at(i).at("processes").as_array())
      run.sites[i].processes.push_back(
          {static_cast<pid_t>(process.at(0).to_number<std::int64_t>()), process.at(1).to_number<std::uint64_t>()});
}

Site plan_site(const Run& run, std::size_t index) {
  const std::string letter(1, static_cast<char>('a' + index));
  const std::string number = std::to_string(index + 1);
  return {.letter = letter,
          .network_namespace = "quipu-lab-" + run.id + "-" + letter,
          .folder = run.folder / letter,
          .underlay_address = "192.0.2." + number,
          .tunnel_address = "10.70.0." + number,
          .tunnel_address6 = "fd70::" + number,
          .processes = {}};
}

// Whatever stands in the file's place holds nobody up.
Result<SecretBytes> read_state(const Run& run) {
  QUIPU_TRY_ASSIGN(const RegularFile file, RegularFile::open(run.folder / kStateFile));
  return read_to_end(file.fd.get(), file.path, kMaxState);
}

}  // namespace

Result<Run> plan_run(const std::string& id, const std::filesystem::path& root) {
  const bool fits = !id.empty() && id.size() <= 8 &&
                    std::ranges::all_of(id, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
  if (!fits) return fail(Errc::out_of_range, "run id '" + id + "': use 1 to 8 lower-case letters and digits");
  Run run{.id = id, .folder = root / id, .sites = {}, .first_exec_ns = 0};
  for (std::size_t i = 0; i < run.sites.size(); ++i)
    run.sites[i] = plan_site(run, i);
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
    read_processes(json::parse(as_text(read_state(run).value().view())), run);
  } catch (const std::exception&) {
    // A run that died before it wrote its state, or a damaged file: `down` must be able to remove it all the same.
    for (Site& site : run.sites)
      site.processes = processes_in_namespace(site.network_namespace);
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
