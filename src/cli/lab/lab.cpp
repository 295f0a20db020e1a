// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/lab.h"

#include <unistd.h>

#include <ctime>
#include <thread>

#include "cli/control_client.h"
#include "cli/lab/complaints.h"
#include "cli/lab/topology.h"

namespace quipu::cli::lab {
namespace {

constexpr std::chrono::seconds kAnswerPatience{30};
constexpr std::chrono::milliseconds kStopPatience{5000};
constexpr std::chrono::milliseconds kAskAgain{20};

std::int64_t boot_time_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// Saved after each start, so that `down` finds every daemon even if this program is killed in between.
Result<void> start_daemon(Run& run, Site& site, const std::filesystem::path& program,
                          const std::string& configuration) {
  const std::filesystem::path log = site.folder / (program.filename().string() + ".log");
  // What is the machine's own in /var/lib stays as it is.
  const std::string state = "STATE_DIRECTORY=" + (site.folder / "state").string();
  QUIPU_TRY_ASSIGN(const ProcessId process, start_in_namespace(site.network_namespace,
                                                               {"/usr/bin/env", state, program.string(), "--config",
                                                                (site.folder / configuration).string()},
                                                               log));
  site.processes.push_back(process);
  return save_run(run);
}

Result<void> start_daemons(Run& run, const Programs& programs) {
  run.first_exec_ns = boot_time_ns();
  for (Site& site : run.sites)
    QUIPU_TRY(start_daemon(run, site, programs.quipu_kmsd, "kms.toml"));
  for (Site& site : run.sites)
    if (site.daemons == 2) QUIPU_TRY(start_daemon(run, site, programs.quipud, "quipu.toml"));
  return {};
}

// The site whose daemon has ended, or nothing.
std::string dead_daemon(const Run& run) {
  for (const Site& site : run.sites)
    for (const ProcessId& process : site.processes)
      if (!is_running(process)) return "a daemon of site " + site.letter + " has ended";
  return {};
}

// ping itself repeats until its first answer; it is started again only while the kernel still refuses the destination.
Result<void> wait_for_ping(const Run& run, const Site& from, const Site& to, std::int64_t give_up,
                           const LabOptions& options) {
  while (boot_time_ns() < give_up) {
    QUIPU_TRY_ASSIGN(const int status, exit_status_of({"ip", "netns", "exec", from.network_namespace, "ping", "-q",
                                                       "-n", "-i", "0.01", "-c", "1", "-w", "1", to.tunnel_address}));
    if (status == 0) return {};
    if (const std::string reason = dead_daemon(run); !reason.empty()) return fail(Errc::closed, reason);
  }
  std::string told = "no ping went through the tunnel between " + from.letter + " and " + to.letter + " within " +
                     std::to_string(options.patience_s) + " s";
  for (const Site* const end : {&from, &to})
    if (const std::string complaints = complaints_of(*end); !complaints.empty())
      told += "; site " + end->letter + " says: " + complaints;
  return fail(Errc::timeout, told);
}

// What a daemon would only say in its log, or not at all.
Result<void> check_configurations(const Run& run, const Programs& programs) {
  const auto check = [](const std::filesystem::path& program, const std::filesystem::path& file) {
    return run_program({program.string(), "--check", "--config", file.string()});
  };
  for (const Site& site : run.sites) {
    QUIPU_TRY(check(programs.quipu_kmsd, site.folder / "kms.toml"));
    if (site.daemons == 2) QUIPU_TRY(check(programs.quipud, site.folder / "quipu.toml"));
  }
  return {};
}

Result<void> build(Run& run, const config::LabTopology& topology, const Programs& programs, const LabOptions& options) {
  QUIPU_TRY(make_topology(run, options.path_mtu));
  QUIPU_TRY(write_site_files(run, topology, options));
  QUIPU_TRY(save_run(run));
  QUIPU_TRY(check_configurations(run, programs));
  QUIPU_TRY(start_daemons(run, programs));
  const std::int64_t give_up = boot_time_ns() + options.patience_s * 1'000'000'000;
  for (const config::LabPair& tunnel : topology.tunnels)
    QUIPU_TRY(wait_for_ping(run, run.site(tunnel[0]), run.site(tunnel[1]), give_up, options));
  return {};
}

// The last to be started first; the last of what it could not end is the error.
Result<void> end_daemons(const Site& site) {
  Result<void> outcome;
  for (auto process = site.processes.rbegin(); process != site.processes.rend(); ++process)
    if (auto ended = stop_process(*process, kStopPatience); !ended) outcome = std::move(ended);
  return outcome;
}

// Ends and removes what it can; the last of what it could not is the error.
Result<void> tear_down(const Run& run) {
  Result<void> outcome;
  const auto note = [&](const Result<void>& done) {
    if (!done) outcome = done;
  };
  for (const Site& site : run.sites)
    note(end_daemons(site));
  // What a crashed run did not come to save, and what others started there, would live on in a namespace without a
  // name.
  for (const Site& site : run.sites)
    for (const ProcessId& process : processes_in_namespace(site.network_namespace))
      note(stop_process(process, kStopPatience));
  note(remove_topology(run));
  return outcome;
}

// Takes away all that a run has made but its logs, which go to a folder that is no run's. Where they are; nothing when
// there are none.
std::string keep_logs_only(const Run& run) {
  std::error_code error;
  std::filesystem::remove_all(run.kept_logs(), error);
  bool any = false;
  for (const Site& site : run.sites) {
    for (const auto& entry : std::filesystem::directory_iterator(site.folder, error)) {
      if (entry.path().extension() != ".log") continue;
      std::filesystem::create_directories(run.kept_logs() / site.letter, error);
      std::filesystem::rename(entry.path(), run.kept_logs() / site.letter / entry.path().filename(), error);
      any = any || !error;
    }
  }
  std::filesystem::remove_all(run.folder, error);
  return any ? run.kept_logs().string() : std::string();
}

// After `failure` of an `up`. Where that much fails too, the run keeps its folder: `down` finds it by that.
Error taken_back(const Run& run, Error failure) {
  if (const auto torn_down = tear_down(run); !torn_down)
    failure.text += "; not all of it was taken down again (" + torn_down.error().text + "): 'quipu lab down " + run.id +
                    "' tries that once more";
  else if (const std::string logs = keep_logs_only(run); !logs.empty())
    failure.text += "; the daemons' logs are in " + logs;
  return failure;
}

Result<Run> load_standing(const std::string& id, const std::filesystem::path& root) {
  QUIPU_TRY_ASSIGN(Run run, load_run(id, root));
  if (run.taken_down)
    return fail(Errc::conflict, "laboratory '" + id + "' was taken down: 'quipu lab down " + id +
                                    "' removes its files, 'quipu lab up " + id + "' makes it anew then");
  return run;
}

Result<Site*> find_site(Run& run, const std::string& letter) {
  std::string known;
  for (Site& site : run.sites) {
    if (site.letter == letter) return &site;
    known += (known.empty() ? "" : ", ") + site.letter;
  }
  return fail(Errc::not_found, "laboratory '" + run.id + "' has no site '" + letter +
                                   "': " + (known.empty() ? "it has none" : "its sites are " + known));
}

bool answer(const Site& site) {
  return ask(site.kms_control_socket(), control::StatusRequest{}) &&
         (site.daemons == 1 || ask(site.control_socket(), control::StatusRequest{}));
}

Result<void> wait_for_answers(const Site& site) {
  const std::int64_t give_up = boot_time_ns() + std::chrono::nanoseconds(kAnswerPatience).count();
  for (; !answer(site); std::this_thread::sleep_for(kAskAgain)) {
    const std::string where = " of site " + site.letter + "; the daemons' logs are in " + site.folder.string();
    if (!site.runs()) return fail(Errc::closed, "a daemon has ended" + where);
    if (boot_time_ns() >= give_up) return fail(Errc::timeout, "not all daemons answer" + where);
  }
  return {};
}

}  // namespace

Result<Programs> find_programs() {
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const std::filesystem::path& folder :
       {own, std::filesystem::path("/usr/sbin"), std::filesystem::path("/usr/bin")}) {
    Programs programs{.quipud = folder / "quipud", .quipu_kmsd = folder / "quipu-kmsd"};
    if (::access(programs.quipud.c_str(), X_OK) == 0 && ::access(programs.quipu_kmsd.c_str(), X_OK) == 0)
      return programs;
  }
  return fail(Errc::not_found,
              "quipud and quipu-kmsd are neither beside this program nor in /usr/sbin: build or install them");
}

Result<UpResult> up(const std::string& id, const std::filesystem::path& root, const config::LabTopology& topology,
                    const LabOptions& options) {
  if (::geteuid() != 0) return fail(Errc::not_permitted, "a laboratory makes network namespaces: run it as root");
  QUIPU_TRY_ASSIGN(const Programs programs, find_programs());
  QUIPU_TRY_ASSIGN(Run run, plan_run(id, root, topology));
  std::error_code error;
  if (std::filesystem::exists(run.folder, error))
    return fail(Errc::conflict, "laboratory '" + id + "' exists already: 'quipu lab down " + id + "' removes it");
  std::filesystem::remove_all(run.kept_logs(), error);
  std::filesystem::create_directories(run.folder, error);
  if (error) return fail(Errc::io, run.folder.string() + ": " + error.message());
  if (auto built = build(run, topology, programs, options); !built)
    return std::unexpected(taken_back(run, std::move(built).error()));
  return UpResult{.run = run, .tunnel_up_s = static_cast<double>(boot_time_ns() - run.first_exec_ns) * 1e-9};
}

Result<void> down(const std::string& id, const std::filesystem::path& root, bool keep_files) {
  QUIPU_TRY_ASSIGN(Run run, plan_run(id, root));
  std::error_code error;
  // What a failed `up` has left goes too; where that is all there is, it is what was asked for.
  const bool had_logs = !keep_files && std::filesystem::remove_all(run.kept_logs(), error) > 0;
  if (had_logs && !std::filesystem::exists(run.folder, error)) return {};
  QUIPU_TRY_ASSIGN(run, load_run(id, root));
  // Where something is left, so are the files: `down` can be tried again.
  QUIPU_TRY(tear_down(run));
  if (keep_files) {
    run.taken_down = true;
    for (Site& site : run.sites)
      site.processes.clear();
    return save_run(run);
  }
  do
    std::filesystem::remove_all(run.folder, error);
  while (error == std::errc::no_such_file_or_directory && is_there(run.folder));  // another `down` removes it, too
  if (error && is_there(run.folder)) return fail(Errc::io, run.folder.string() + ": " + error.message());
  return {};
}

Result<void> stop_site(const std::string& id, const std::filesystem::path& root, const std::string& letter) {
  QUIPU_TRY_ASSIGN(Run run, load_standing(id, root));
  QUIPU_TRY_ASSIGN(Site* const site, find_site(run, letter));
  if (site->stopped)
    return fail(Errc::conflict, "site '" + letter + "' is stopped already: 'quipu lab start " + letter + " " + id +
                                    "' starts it again");
  QUIPU_TRY(end_daemons(*site));
  site->processes.clear();
  site->stopped = true;
  return save_run(run);
}

Result<void> start_site(const std::string& id, const std::filesystem::path& root, const std::string& letter) {
  QUIPU_TRY_ASSIGN(const Programs programs, find_programs());
  QUIPU_TRY_ASSIGN(Run run, load_standing(id, root));
  QUIPU_TRY_ASSIGN(Site* const site, find_site(run, letter));
  if (site->runs())
    return fail(Errc::conflict,
                "site '" + letter + "' runs already: 'quipu lab stop " + letter + " " + id + "' stops it");
  QUIPU_TRY(end_daemons(*site));  // of those that ended by themselves, the others
  site->processes.clear();
  site->stopped = false;
  QUIPU_TRY(start_daemon(run, *site, programs.quipu_kmsd, "kms.toml"));
  if (site->daemons == 2) QUIPU_TRY(start_daemon(run, *site, programs.quipud, "quipu.toml"));
  return wait_for_answers(*site);
}

}  // namespace quipu::cli::lab
