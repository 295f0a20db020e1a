// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cli/files.h"
#include "cli/verb.h"
#include "crypto/pki.h"
#include "crypto/revocation.h"

namespace quipu::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxPem = std::size_t{64} * 1024;
constexpr int kCaDays = 3650;
constexpr int kCertificateDays = 825;
constexpr int kListDays = 90;
constexpr std::size_t kMaxList = std::size_t{1024} * 1024;
// Clocks of two sites differ: a certificate made at one is already valid at the other.
constexpr std::chrono::hours kClockAllowance{1};

const std::map<std::string, crypto::CertificateKey> kKeys{{"ecdsa-p256", crypto::CertificateKey::ecdsa_p256},
                                                          {"ed25519", crypto::CertificateKey::ed25519}};

struct Options {
  fs::path folder;
  std::string name;
  std::vector<std::string> alternative_names;
  std::vector<std::string> revoked;
  crypto::CertificateKey key = crypto::CertificateKey::ecdsa_p256;
  int days = 0;
};

crypto::Validity validity(int days, WallTime now) {
  return {.not_before = now - kClockAllowance, .not_after = now + std::chrono::days(days)};
}

WallTime now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

fs::path certificate_file(const Options& options, const std::string& name) {
  return options.folder / (name + ".pem");
}

fs::path key_file(const Options& options, const std::string& name) {
  return options.folder / (name + ".key");
}

// The key first: a certificate without its key would be the more confusing half.
Result<void> write_pair(const Options& options, const std::string& name, const crypto::CertificateAndKey& made) {
  const fs::path certificate = certificate_file(options, name);
  const fs::path key = key_file(options, name);
  std::error_code error;
  for (const fs::path& path : {certificate, key})
    if (fs::exists(path, error))
      return fail(Errc::conflict, path.string() + " exists already: move it away, or choose another name");
  QUIPU_TRY(write_new_file(key, made.private_key_pem.view(), kSecretFileMode));
  if (const auto written = write_new_file(certificate, as_bytes(made.certificate_pem), kPublicFileMode); !written) {
    fs::remove(key, error);
    return written;
  }
  fmt::print("{}\n{}\n", certificate.string(), key.string());
  return {};
}

Result<void> make_ca(const Options& options) {
  std::error_code error;
  // Not its parents: what is not there is more likely mistyped.
  if (fs::create_directory(options.folder, error)) fs::permissions(options.folder, fs::perms::owner_all, error);
  if (error) return fail(Errc::io, options.folder.string() + ": " + error.message());
  QUIPU_TRY_ASSIGN(const auto made, crypto::create_ca(options.name, options.key, validity(options.days, now())));
  return write_pair(options, "ca", made);
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

// Not an address, nor what was to be one: an id may be a number.
bool may_be_host_name(const std::string& name) {
  const bool like_an_address =
      name.find_first_not_of("0123456789.") == std::string::npos && name.find('.') != std::string::npos;
  return !name.empty() && name.find(':') == std::string::npos && !like_an_address;
}

// TYPE:VALUE, or an address or host name alone: these are told apart. What looks like an address and is none, or is one
// as DNS:, nobody would ever connect to.
Result<void> add_alternative_name(const std::string& text, crypto::CertificateNames& names) {
  const std::string name = text.starts_with("DNS:") ? text.substr(4) : text;
  if (text.starts_with("URI:")) {
    names.uris.push_back(text.substr(4));
  } else if (const auto address = IpAddress::parse(text.starts_with("IP:") ? text.substr(3) : text)) {
    names.addresses.push_back(*address);
  } else if (may_be_host_name(name)) {
    add_once(names.dns, name);
  } else {
    return fail(Errc::out_of_range,
                "--san " + text + ": expected DNS:NAME, IP:ADDRESS or URI:URI, or an address or host name");
  }
  return {};
}

bool is_file_stem(const std::string& name) {
  const auto permitted = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.front() != '.' && name.front() != '-' && std::ranges::all_of(name, permitted);
}

Result<void> issue(const Options& options) {
  if (!is_file_stem(options.name))
    return fail(Errc::out_of_range, "'" + options.name + "' names files: use letters, digits, '.', '_' and '-'");
  if (options.name == "crl") return fail(Errc::out_of_range, "'crl' names the file of what is revoked: use another id");
  if (!may_be_host_name(options.name))
    return fail(Errc::out_of_range, "'" + options.name +
                                        "' is no id, for these are host names by their form: an "
                                        "address goes into --san IP:ADDRESS");
  // Behind alternative names a common name does not count (RFC 6125, section 6.4.4): the id is always one of them.
  crypto::CertificateNames names{.common_name = options.name, .uris = {}, .dns = {options.name}, .addresses = {}};
  for (const std::string& text : options.alternative_names)
    QUIPU_TRY(add_alternative_name(text, names));
  QUIPU_TRY_ASSIGN(const SecretBytes ca, read_whole_file(certificate_file(options, "ca"), kMaxPem));
  QUIPU_TRY_ASSIGN(const SecretBytes ca_key, read_whole_file(key_file(options, "ca"), kMaxPem));
  const std::string_view ca_pem = as_text(ca.view());
  QUIPU_TRY_ASSIGN(const WallTime ca_end, crypto::certificate_not_after(ca_pem));
  crypto::Validity wanted = validity(options.days, now());
  if (ca_end <= wanted.not_before)
    return fail(Errc::expired, certificate_file(options, "ca").string() + ": has ended: make a new authority");
  wanted.not_after = std::min(wanted.not_after, ca_end);
  QUIPU_TRY_ASSIGN(const auto made, crypto::issue_certificate(ca_pem, ca_key, names, options.key, wanted));
  return write_pair(options, options.name, made);
}

// An earlier list counts on: nobody whom it names is let in again. So it may be absent, but not out of reach.
Result<std::string> earlier_list(const fs::path& file) {
  std::error_code error;
  if (fs::symlink_status(file, error).type() == fs::file_type::not_found) return std::string();
  if (error) return fail(Errc::io, file.string() + ": " + error.message());
  QUIPU_TRY_ASSIGN(const SecretBytes list, read_whole_file(file, kMaxList));
  if (list.size() == 0)
    return fail(Errc::malformed, file.string() + ": is empty: restore it, or remove it to begin anew");
  return std::string(as_text(list.view()));
}

// A name is that of a certificate in the folder; one renewed meanwhile is elsewhere, and is named by its path.
fs::path revoked_file(const Options& options, const std::string& name) {
  const bool is_path = name.find('/') != std::string::npos || name.ends_with(".pem");
  return is_path ? fs::path(name) : certificate_file(options, name);
}

Result<std::vector<crypto::NamedCertificate>> read_revoked(const Options& options) {
  std::vector<crypto::NamedCertificate> out;
  for (const std::string& name : options.revoked) {
    const fs::path file = revoked_file(options, name);
    QUIPU_TRY_ASSIGN(const SecretBytes pem, read_whole_file(file, kMaxPem));
    out.push_back({file.string(), std::string(as_text(pem.view()))});
  }
  return out;
}

Result<void> revoke(const Options& options) {
  const fs::path file = options.folder / "crl.pem";
  QUIPU_TRY_ASSIGN(const SecretBytes ca, read_whole_file(certificate_file(options, "ca"), kMaxPem));
  QUIPU_TRY_ASSIGN(const SecretBytes ca_key, read_whole_file(key_file(options, "ca"), kMaxPem));
  QUIPU_TRY_ASSIGN(const std::string earlier, earlier_list(file));
  QUIPU_TRY_ASSIGN(const auto certificates, read_revoked(options));
  QUIPU_TRY_ASSIGN(const auto list, crypto::create_revocation_list(as_text(ca.view()), ca_key, earlier, certificates,
                                                                   validity(options.days, now())));
  QUIPU_TRY(replace_file(file, as_bytes(list.pem), kPublicFileMode));
  for (std::size_t i = 0; i < certificates.size(); ++i)
    fmt::print("{}: serial {} {}\n", certificates[i].name, list.asked_for[i].serial,
               list.asked_for[i].before ? "was revoked before" : "is revoked");
  fmt::print("{}: names {} certificate(s)\n", file.string(), list.size);
  return {};
}

// What is out of range came from the command line: names, addresses, dates.
ExitCode finish_pki(const Result<void>& result) {
  return !result && result.error().code == Errc::out_of_range ? misused(result.error()) : finish(result);
}

void add_days(CLI::App& verb, Options& options) {
  verb.add_option("--days", options.days, "Days of validity")->check(CLI::Range(1, 36500))->capture_default_str();
}

void add_common(CLI::App& verb, Options& options) {
  add_days(verb, options);
  // To the number by which CLI11 takes an enumerator.
  const auto number_of = [](std::string& text) {
    const auto found = kKeys.find(text);
    if (found == kKeys.end()) return "there is no type '" + text + "': use ecdsa-p256 or ed25519";
    text = std::to_string(static_cast<int>(found->second));
    return std::string();
  };
  verb.add_option("--key", options.key, "ecdsa-p256 (default) or ed25519")
      ->transform(CLI::Validator(number_of, "TYPE"))
      ->option_text("TYPE");
}

void add_ca(CLI::App& pki, Invocation& invocation) {
  CLI::App& verb =
      add_verb(pki, "ca", "Make an authority", "DIR/ca.pem is for every site; DIR/ca.key stays where it is.");
  auto options = std::make_shared<Options>();
  options->name = "Quipu CA";
  options->days = kCaDays;
  verb.add_option("dir", options->folder, "Folder; made if it is not there")->required();
  verb.add_option("--name", options->name, "Its common name")->capture_default_str();
  add_common(verb, *options);
  on_run(verb, invocation, [options] { return finish_pki(make_ca(*options)); });
}

void add_issue(CLI::App& pki, Invocation& invocation) {
  CLI::App& verb =
      add_verb(pki, "issue", "Make a certificate for a SAE (quipud) or a KME (quipu-kmsd), signed by DIR/ca",
               "Makes DIR/NAME.pem and DIR/NAME.key. Example:\n  quipu pki issue pki kme-a --san DNS:kms.dc-a.example "
               "--san IP:192.0.2.1");
  auto options = std::make_shared<Options>();
  options->days = kCertificateDays;
  verb.add_option("dir", options->folder, "Folder of the authority")->required();
  verb.add_option("name", options->name,
                  "Id of the SAE or KME, a host name by its form: common name, DNS name and name of the files")
      ->required();
  verb.add_option("--san", options->alternative_names,
                  "DNS:NAME, IP:ADDRESS or URI:URI besides, any number of them; an address or host name alone is taken "
                  "for what it is. A server needs what its clients connect to")
      ->option_text("TYPE:VALUE ...");
  add_common(verb, *options);
  on_run(verb, invocation, [options] { return finish_pki(issue(*options)); });
}

void add_revoke(CLI::App& pki, Invocation& invocation) {
  CLI::App& verb =
      add_verb(pki, "revoke", "Make the list of revoked certificates (CRL), signed by DIR/ca",
               "Makes DIR/crl.pem, or a newer one in its place that names all that it named and each NAME. "
               "Put it where the daemons' configurations name it (crl), and reload them. Without a NAME it "
               "only lives longer: before one ends there has to be the next. Example:\n"
               "  quipu pki revoke pki sae-c");
  auto options = std::make_shared<Options>();
  options->days = kListDays;
  verb.add_option("dir", options->folder, "Folder of the authority")->required();
  verb.add_option("name", options->revoked,
                  "Whose certificate is good no more: DIR/NAME.pem, or with '/' or '.pem' in it the path of a file")
      ->option_text("NAME ...");
  add_days(verb, *options);
  on_run(verb, invocation, [options] { return finish_pki(revoke(*options)); });
}

}  // namespace

void add_pki(CLI::App& program, Invocation& invocation) {
  CLI::App& verb =
      add_verb(program, "pki",
               "Make an authority and certificates for mutual TLS, and revoke them; never replaces a key or "
               "certificate");
  verb.require_subcommand(1);
  add_ca(verb, invocation);
  add_issue(verb, invocation);
  add_revoke(verb, invocation);
}

}  // namespace quipu::cli
