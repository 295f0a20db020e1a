// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/ids.h"
#include "cli/audit_chain.h"
#include "cli/control_client.h"
#include "cli/files.h"
#include "cli/verb.h"

namespace quipu::cli {
namespace {

struct AuditOptions {
  std::string sae;
  std::string key_id;
  std::string noted;
  bool json = false;
};

// A key_ID is a UUID, of which either case is right.
std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; });
  return text;
}

bool is_wanted(const control::AuditEntry& entry, const AuditOptions& options) {
  const auto has = [](const std::vector<std::string>& list, const std::string& one) {
    return std::ranges::find(list, one) != list.end();
  };
  return (options.sae.empty() || entry.sae == options.sae || has(entry.named, options.sae)) &&
         (options.key_id.empty() || has(entry.key_ids, options.key_id));
}

// One line for each key.
void print(const control::AuditEntry& entry, const AuditOptions& options) {
  if (entry.key_ids.empty())
    fmt::print("{} {}{}{}\n", entry.time, entry.event, entry.text.empty() ? "" : " ", entry.text);
  for (const std::string& id : entry.key_ids)
    if (options.key_id.empty() || id == options.key_id)
      fmt::print("{} {} {} sae={} {}={} kme={}\n", entry.time, entry.event, id, entry.sae,
                 entry.event == "enc_keys" ? "slaves" : "master", fmt::join(entry.named, ","), entry.kme);
}

// How many entries are of those that are asked for.
Result<std::size_t> show(const control::AuditPage& page, const AuditOptions& options) {
  std::size_t shown = 0;
  std::string_view rest = page.text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    QUIPU_TRY_ASSIGN(const control::AuditEntry entry, control::audit_entry_from_json(line));
    if (!is_wanted(entry, options)) continue;
    ++shown;
    if (options.json)
      fmt::print("{}\n", line);
    else
      print(entry, options);
  }
  return shown;
}

// What holds together is shown; the first page that does not ends it.
Result<std::size_t> audit(const std::string& socket, const AuditOptions& options, AuditChain& chain) {
  std::size_t shown = 0;
  for (;;) {
    QUIPU_TRY_ASSIGN(auto reply, ask(socket, control::AuditRequest{chain.last()}));
    QUIPU_TRY_ASSIGN(const std::string json, result_of(std::move(reply)));
    QUIPU_TRY_ASSIGN(const control::AuditPages part, control::audit_pages_from_json(json));
    for (const control::AuditPage& page : part.pages) {
      QUIPU_TRY(chain.add(page));
      QUIPU_TRY_ASSIGN(const std::size_t of_page, show(page, options));
      shown += of_page;
    }
    if (!part.pages.empty()) continue;
    QUIPU_TRY(chain.end());
    return shown;
  }
}

ExitCode run_audit(const std::string& socket, AuditOptions options) {
  std::optional<AuditMark> noted;
  if (!options.noted.empty()) {
    noted = AuditMark::parse(options.noted);
    if (!noted) return misused({Errc::malformed, "--noted wants PAGE:HASH as the log event audit_head says them"});
  }
  options.key_id = lower_case(std::move(options.key_id));
  if (!options.key_id.empty() && !Uuid::parse(options.key_id))
    return misused({Errc::malformed, "--key-id wants a UUID, as ETSI GS QKD 014 has them"});
  AuditChain chain(std::move(noted));
  const auto shown = audit(socket, options, chain);
  if (!shown) {
    report(shown.error());
    return shown.error().code == Errc::conflict ? ExitCode::degraded : ExitCode::error;
  }
  if (*shown == 0) complain("nothing in the log is what was asked for\n");
  complain("pages {} to {} hold together; note {}:{}\n", chain.first(), chain.last(), chain.last(), chain.hash());
  return ExitCode::ok;
}

struct VoidOptions {
  std::string pool;
  bool yes = false;
};

Result<void> void_pool(const std::string& socket, const VoidOptions& options) {
  QUIPU_TRY_ASSIGN(auto reply, ask(socket, control::VoidPoolRequest{options.pool}));
  QUIPU_TRY_ASSIGN(const std::string json, result_of(std::move(reply)));
  QUIPU_TRY_ASSIGN(const control::VoidResult result, control::void_result_from_json(json));
  fmt::print("{}: {} bit voided here; at the other end when both KMEs are in contact\n", options.pool,
             result.voided_bits);
  return {};
}

ExitCode run_void(const std::string& socket, const VoidOptions& options) {
  if (options.yes) return finish(void_pool(socket, options));
  return misused({Errc::not_permitted,
                  fmt::format("this burns every key in the pool with {}, at both sites, those that were announced and "
                              "not fetched included; nothing brings them back. To do it, add --yes",
                              options.pool)});
}

void add_void(CLI::App& keys, Invocation& invocation) {
  CLI::App& verb = add_verb(
      keys, "void", "Burn all key material shared with one other KME (root)",
      "For key material that may be known where it should not, or that both sites may have used before: both were\n"
      "restored from backups. It is void here at once, and at the other end when both are in contact. New blocks go "
      "on\n"
      "coming in.");
  auto options = std::make_shared<VoidOptions>();
  verb.add_option("POOL", options->pool, "Id of the other KME")->required();
  verb.add_flag("--yes", options->yes, "Do it: nothing brings the keys back");
  on_run(verb, invocation, [&invocation, options] { return run_void(invocation.kms_socket, *options); });
}

Result<void> back_up(const std::string& socket, const std::string& file) {
  QUIPU_TRY_ASSIGN(NewFile backup, NewFile::create(file, kSecretFileMode));
  QUIPU_TRY_ASSIGN(auto reply, ask(socket, control::BackupRequest{}, kWorkPatience));
  QUIPU_TRY_ASSIGN(const std::string json, result_of(std::move(reply)));
  QUIPU_TRY_ASSIGN(const control::BackupResult result, control::backup_result_from_json(json));
  struct stat made{};  // by the daemon
  if (::stat(socket.c_str(), &made) != 0) return fail_system(socket);
  return backup.move_from(result.file, made.st_uid);
}

void add_backup(CLI::App& keys, Invocation& invocation) {
  CLI::App& verb =
      add_verb(keys, "backup", "Copy the store without key material, while the KMS runs (root)",
               "FILE, which must not exist yet, is a store: records of all blocks, books, ids of runs and the audit "
               "log, and no\n"
               "key. To restore it, stop quipu-kmsd, put it in the store's place, and start: the pools fill again.");
  auto file = std::make_shared<std::string>();
  verb.add_option("FILE", *file, "Where to")->required();
  on_run(verb, invocation, [&invocation, file] { return finish(back_up(invocation.kms_socket, *file)); });
}

void add_audit(CLI::App& keys, Invocation& invocation) {
  CLI::App& verb = add_verb(
      keys, "audit", "Show who was given which key_ID, and when, and check that nothing of it was changed",
      "One line for each key to standard output: when, by which request, its key_ID, the SAE that was given it, "
      "and who else may\nhave it. The verdict on the log goes to standard error. Never a key.\nExit code 3: a "
      "page was changed or taken out.");
  auto options = std::make_shared<AuditOptions>();
  verb.add_option("--sae", options->sae, "Only what this SAE was given or named for");
  verb.add_option("--key-id", options->key_id, "Only this key");
  verb.add_option("--noted", options->noted, "PAGE:HASH as noted earlier: it has to be there still");
  verb.add_flag("--json", options->json, "The lines as they are stored, in JSON");
  on_run(verb, invocation, [&invocation, options] { return run_audit(invocation.kms_socket, *options); });
}

}  // namespace

void add_keys(CLI::App& program, Invocation& invocation) {
  CLI::App& keys = add_verb(program, "keys", "Keys in this site's KMS, and what became of them");
  keys.require_subcommand(1);
  add_audit(keys, invocation);
  add_void(keys, invocation);
  add_backup(keys, invocation);
}

}  // namespace quipu::cli
