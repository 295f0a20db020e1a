// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/lab.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "cli/files.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

constexpr const char* kRoot = "/var/lib/quipu-lab";
constexpr std::size_t kMaxTopologySize = 65'536;

struct Options {
  std::string id = "lab";
  std::string site;
  std::string topology;  // file; empty: two sites
  lab::LabOptions laboratory;
  bool json = false;
  bool keep_files = false;
};

std::string state_of(const lab::Run& run, const lab::Site& site) {
  const std::string advice = fmt::format("'quipu lab start {} {}' starts it again", site.letter, run.id);
  if (!site.has_network())
    return fmt::format("its network is gone, as after a restart of the machine: 'quipu lab down {}' removes the rest",
                       run.id);
  if (site.stopped) return "STOPPED, " + advice;
  const auto running = std::ranges::count_if(site.processes, lab::is_running);
  // Not while it is being made, when they start one after the other.
  const bool crashed = running < std::ssize(site.processes);
  return fmt::format("{} of {} daemons run{}", running, site.daemons, crashed ? ": CRASHED, " + advice : "");
}

void print_sites(const lab::Run& run) {
  for (const lab::Site& site : run.sites) {
    fmt::print("  site {}: {}{}{}; files in {}\n", site.letter,
               site.has_network() ? fmt::format("ip netns exec {} ...; ", site.network_namespace) : std::string(),
               site.daemons > 1 ? fmt::format("tunnel address {}; ", site.tunnel_address) : std::string(),
               state_of(run, site), site.folder.string());
  }
}

Result<config::LabTopology> read_topology(const std::string& file) {
  if (file.empty()) return lab::two_sites();
  QUIPU_TRY_ASSIGN(const SecretBytes text, read_whole_file(file, kMaxTopologySize));
  auto topology = config::parse_lab_topology(as_text(text.view()));
  if (!topology) return std::unexpected(config::to_error(file, topology.error()));
  return *std::move(topology);
}

ExitCode up(const Options& options) {
  const auto topology = read_topology(options.topology);
  if (!topology) {
    report(topology.error());
    return topology.error().code == Errc::malformed ? ExitCode::config_invalid : ExitCode::error;
  }
  const auto result = lab::up(options.id, kRoot, *topology, options.laboratory);
  if (!result) return report(result.error());
  if (options.json) {
    std::string text = lab::to_json(result->run);
    text.insert(text.rfind('}'), fmt::format(",\"tunnel_up_s\":{:.6f}", result->tunnel_up_s));
    fmt::print("{}\n", text);
    return ExitCode::ok;
  }
  const auto has_tunnel = [](const lab::Site& site) { return site.daemons > 1; };
  if (std::ranges::any_of(result->run.sites, has_tunnel))
    fmt::print("laboratory {}: the tunnel was up after {:.2f} s\n", options.id, result->tunnel_up_s);
  else
    fmt::print("laboratory {}: its KMSs run\n", options.id);
  print_sites(result->run);
  for (const lab::Site& site : result->run.sites)
    fmt::print("  'quipu {}--kms-socket {} status' shows site {}\n",
               has_tunnel(site) ? fmt::format("--socket {} ", site.control_socket().string()) : std::string(),
               site.kms_control_socket().string(), site.letter);
  fmt::print("  'quipu lab status' shows whether its daemons run; 'quipu lab down {}' removes it\n", options.id);
  return ExitCode::ok;
}

Result<void> check_root() {
  if (::geteuid() == 0) return {};
  return fail(Errc::not_permitted, "a laboratory's daemons and namespaces are root's: run it as root");
}

Result<void> down(const Options& options) {
  QUIPU_TRY(check_root());
  return lab::down(options.id, kRoot, options.keep_files);
}

Result<void> stop(const Options& options) {
  QUIPU_TRY(check_root());
  return lab::stop_site(options.id, kRoot, options.site);
}

Result<void> start(const Options& options) {
  QUIPU_TRY(check_root());
  return lab::start_site(options.id, kRoot, options.site);
}

// What is wrong with it, if something is.
std::string_view flaw_of(const lab::Run& run) {
  const auto is_well = [](const lab::Site& site) { return site.has_network() && (site.stopped || site.runs()); };
  if (!std::ranges::all_of(run.sites, is_well)) return ": crashed or not complete";
  return std::ranges::any_of(run.sites, &lab::Site::stopped) ? ": not all of its sites run" : "";
}

ExitCode status(const Options& options) {
  ExitCode outcome = ExitCode::ok;
  std::string list;
  for (const lab::Run& run : lab::load_runs(lab::known_runs(kRoot), kRoot)) {
    if (!flaw_of(run).empty() && !run.taken_down) outcome = ExitCode::down;
    list += (list.empty() ? "" : ",") + lab::to_json(run);
    if (options.json) continue;
    if (run.taken_down) {
      fmt::print("laboratory {}: taken down; its files are in {}, 'quipu lab down {}' removes them\n", run.id,
                 run.folder.string(), run.id);
      continue;
    }
    fmt::print("laboratory {}{}\n", run.id, flaw_of(run));
    print_sites(run);
  }
  if (options.json) fmt::print("{{\"schema_version\":1,\"laboratories\":[{}]}}\n", list);
  if (!options.json && list.empty()) fmt::print("no laboratory\n");
  return outcome;
}

void add_id(CLI::App& verb, Options& options) {
  const auto flaw_of_id = [](const std::string& id) {
    const auto planned = lab::plan_run(id, kRoot);
    return planned ? std::string() : planned.error().text;
  };
  verb.add_option("id", options.id, "Name of the run: 1 to 8 lower-case letters and digits")
      ->check(CLI::Validator(flaw_of_id, ""))
      ->capture_default_str();
}

void add_up(CLI::App& parent, Invocation& invocation) {
  CLI::App& verb = add_verb(
      parent, "up",
      "Make two sites, or those of a file, with all their daemons, and wait for the first ping through each tunnel");
  auto options = std::make_shared<Options>();
  add_id(verb, *options);
  verb.add_option("--topology", options->topology,
                  "Sites, links, relays and tunnels, as in /usr/share/quipu/lab/line-4.toml, ring-5.toml, "
                  "two-paths.toml and two-vendors.toml");
  verb.add_option("--rekey-interval", options->laboratory.rekey_interval_s, "Seconds between two rekeys")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  verb.add_option("--skr", options->laboratory.skr_bit_s, "Secret key rate of each simulated link, bit/s")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  verb.add_option("--qber", options->laboratory.qber, "Quantum bit error ratio of each simulated link")
      ->check(CLI::Range(0.0, 0.1))
      ->capture_default_str();
  verb.add_option("--mtu", options->laboratory.path_mtu,
                  "MTU of the network between the sites, in octets; that of the tunnels is 100 less")
      ->check(CLI::Range(1500, 9216))
      ->capture_default_str();
  verb.add_option("--patience", options->laboratory.patience_s,
                  "Seconds to wait for the first pings; without them all is taken down again")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  verb.add_flag("--json", options->json, "Print namespaces, folders, sockets and processes as JSON");
  on_run(verb, invocation, [options] { return up(*options); });
}

void add_down(CLI::App& parent, Invocation& invocation) {
  CLI::App& verb = add_verb(parent, "down", "End the daemons and remove namespaces and files; also after a crash");
  auto options = std::make_shared<Options>();
  add_id(verb, *options);
  verb.add_flag("--keep-files", options->keep_files, "Leave logs, configuration and stores");
  on_run(verb, invocation, [options] { return finish(down(*options)); });
}

void add_of_site(CLI::App& parent, Invocation& invocation, const std::string& name, const std::string& summary,
                 Result<void> (*run)(const Options&)) {
  CLI::App& verb = add_verb(parent, name, summary);
  auto options = std::make_shared<Options>();
  verb.add_option("site", options->site, "Letter of the site")->required();
  add_id(verb, *options);
  on_run(verb, invocation, [options, run] { return finish(run(*options)); });
}

void add_lab_status(CLI::App& parent, Invocation& invocation) {
  CLI::App& verb = add_verb(parent, "status", "List all runs; exit code 4 if one is not complete");
  auto options = std::make_shared<Options>();
  verb.add_flag("--json", options->json, "As JSON");
  on_run(verb, invocation, [options] { return status(*options); });
}

}  // namespace

void add_lab(CLI::App& program, Invocation& invocation) {
  CLI::App& verb =
      add_verb(program, "lab", "Complete sites on this machine, in network namespaces, with simulated QKD links");
  verb.require_subcommand(1);
  add_up(verb, invocation);
  add_down(verb, invocation);
  add_of_site(verb, invocation, "stop", "End the daemons of one site in order; the others go on", stop);
  add_of_site(verb, invocation, "start", "Start the daemons of a site that was stopped or has died, and wait for them",
              start);
  add_lab_status(verb, invocation);
}

}  // namespace quipu::cli
