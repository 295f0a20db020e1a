// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>

#include "cli/files.h"
#include "cli/kms_test_report.h"
#include "cli/verb.h"
#include "config/quipud_config.h"
#include "config/units.h"
#include "crypto/rng.h"
#include "net/https_client.h"

namespace quipu::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxConfiguration = std::size_t{1} << 20;
constexpr Duration kPause = 100ms;  // before a key is asked for again

// How one KME is reached.
struct Access {
  std::string url;
  net::TlsFiles files;
  std::string_view ca_option = "--ca";
  std::string_view certificate_option = "--cert";
};

struct Options {
  std::string kms;                      // URL or name
  std::vector<std::string> standbys{};  // URLs, in the order in which they stand in for it
  std::string configuration{config::kQuipudUnit.configuration};
  net::TlsFiles files;
  std::string slave;
  std::string master;
  Access peer{.url = {}, .files = {}, .ca_option = "--peer-ca", .certificate_option = "--peer-cert"};
  int timeout_s = 10;
  bool as_json = false;
};

// A KME and its connections.
class Kme {
 public:
  static Result<std::unique_ptr<Kme>> open(net::Loop& loop, const Access& access) {
    auto url = net::HttpsUrl::parse(access.url);
    if (!url) return fail_at(access.url, std::move(url).error());
    auto context = net::TlsContext::load(access.files);
    if (!context) return std::unexpected(std::move(context.error().front().error));
    return std::unique_ptr<Kme>(new Kme(loop, access, *std::move(url), *context));
  }

  Result<etsi::ProbeReply> ask(etsi::ClientRequest question, Duration timeout) {
    net::HttpRequest request{.method = question.post ? "POST" : "GET", .target = std::move(question.target)};
    request.body = std::move(question.body);
    std::optional<std::expected<net::HttpResponse, net::HttpFailure>> reply;
    const TimePoint asked = net::Loop::now();
    m_client.send(std::move(request), timeout, [&](auto answer) {
      reply = std::move(answer);
      m_loop.stop();
    });
    m_loop.run();
    if (!*reply) return std::unexpected(advised(std::move(reply->error().error)));
    ++m_seen.answers;
    net::HttpResponse& got = **reply;
    return etsi::ProbeReply{got.status, std::move(got.content_type), std::move(got.body), net::Loop::now() - asked};
  }

  const std::string& base() const { return m_url.base_path; }

  const TestedKme& seen() const { return m_seen; }

  // Whom our own certificate names.
  const std::vector<std::string>& own_names() const { return m_own_names; }

 private:
  Kme(net::Loop& loop, const Access& access, net::HttpsUrl url, const std::shared_ptr<const net::TlsContext>& context)
      : m_loop(loop),
        m_access(access),
        m_url(std::move(url)),
        m_own_names(context->own().names()),
        m_seen{.url = access.url},
        m_client(loop, {.server = m_url.server, .max_connections = 1}, context) {
    m_client.on_connected([this](const net::PeerIdentity& server, const net::TlsAgreement& agreement) {
      ++m_seen.connections;
      m_seen.certificate = server;
      m_seen.tls = agreement;
    });
  }

  // With what to look at where TLS did not come about.
  Error advised(Error error) const {
    if (error.code == Errc::authentication)
      error.text += fmt::format(
          "; look whether {} ({}) holds the authority of the KME's certificate, and whether the KME trusts that of {} "
          "({})",
          m_access.files.ca, m_access.ca_option, m_access.files.certificate, m_access.certificate_option);
    else if (error.code == Errc::not_permitted)
      error.text += "; name the KME in the URL as its certificate does";
    return error;
  }

  net::Loop& m_loop;
  Access m_access;
  net::HttpsUrl m_url;
  std::vector<std::string> m_own_names;
  TestedKme m_seen;
  net::HttpsClient m_client;
};

// Where the units' credentials come from: the daemon's own folder of them is not there for us.
std::string path_of(const config::FileName& file) {
  const std::string prefix = std::string(config::kCredential) + std::string(config::kQuipudUnit.credential_prefix);
  if (!file.name.starts_with(prefix)) return file.name;
  return std::string(config::kQuipudUnit.credential_folder) + "/" + file.name.substr(prefix.size());
}

std::string sae_of_a_peer(const config::QuipudConfig& config, const std::string& kms) {
  for (const config::PeerConfig& peer : config.peers)
    for (const config::SourceConfig& source : peer.sources)
      if (source.kms == kms) return source.peer_sae_id.value();
  return {};
}

// What the command line does not say of a KMS that quipud's file knows.
Result<void> take_from_configuration(Options& options) {
  const std::string& file = options.configuration;
  QUIPU_TRY_ASSIGN(const SecretBytes text, read_whole_file(file, kMaxConfiguration));
  const auto config = config::parse_quipud(as_text(text.view()));
  if (!config) return std::unexpected(config::to_error(file, config.error()));
  const config::KmsConfig* kms = config->find_kms(options.kms);
  if (kms == nullptr)
    return fail(Errc::not_found, options.kms + ": neither an https:// URL nor a [kms." + options.kms + "] in " + file);
  const auto set = [](std::string& to, const std::string& value) {
    if (to.empty()) to = value;
  };
  set(options.files.ca, path_of(kms->tls.ca));
  set(options.files.crl, path_of(kms->tls.crl));
  set(options.files.certificate, path_of(kms->tls.cert));
  set(options.files.key, path_of(kms->tls.key));
  set(options.slave, sae_of_a_peer(*config, options.kms));
  set(options.master, kms->sae_id.value());
  options.kms = kms->url.text();
  for (const config::HttpsUrl& standby : kms->standby_urls)
    options.standbys.push_back(standby.text());
  return {};
}

Result<void> check_url(const std::string& url) {
  const auto parsed = net::HttpsUrl::parse(url);
  return parsed ? Result<void>() : fail_at(url, parsed.error());
}

// What the command line alone shows to be wrong.
Result<void> check_usage(const Options& options) {
  QUIPU_TRY(check_url(options.kms));
  for (const auto& [value, name] :
       {std::pair(&options.files.ca, "--ca"), std::pair(&options.files.certificate, "--cert"),
        std::pair(&options.files.key, "--key"), std::pair(&options.slave, "--slave")})
    if (value->empty()) return fail(Errc::malformed, std::string(name) + " is missing");
  if (!options.peer.url.empty() && (options.peer.files.certificate.empty() || options.peer.files.key.empty()))
    return fail(Errc::malformed, "--peer-url needs --peer-cert and --peer-key, those of the SAE at the other site");
  return options.peer.url.empty() ? Result<void>() : check_url(options.peer.url);
}

std::string first_of(const std::vector<std::string>& names) {
  return names.empty() ? std::string() : names.front();
}

KeyId unknown_id() {
  crypto::SystemRng rng;
  std::array<std::uint8_t, 16> random{};
  rng.fill(random);
  return KeyId(Uuid::from_random(random).text());
}

void pause(net::Loop& loop) {
  net::Timer timer(loop, [&loop] { loop.stop(); });
  timer.set(net::Loop::now() + kPause);
  loop.run();
}

WallTime now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

// One KME of our site, with that of the other site if it is to be asked.
Result<ExitCode> test_one(const Options& options, const std::string& url) {
  net::Loop loop;
  QUIPU_TRY_ASSIGN(const auto own, Kme::open(loop, {.url = url, .files = options.files}));
  std::unique_ptr<Kme> peer;
  if (!options.peer.url.empty()) {
    QUIPU_TRY_ASSIGN(peer, Kme::open(loop, options.peer));
  }
  etsi::KmeProbe probe({.base = own->base(),
                        .peer_base = peer ? std::optional(peer->base()) : std::nullopt,
                        .master = SaeId(options.master.empty() ? first_of(own->own_names()) : options.master),
                        .slave = SaeId(options.slave),
                        .unknown_id = unknown_id(),
                        .names = own->own_names(),
                        .peer_names = peer ? peer->own_names() : std::vector<std::string>()});
  while (auto question = probe.next()) {
    if (question->wait) pause(loop);
    Kme& asked = question->kme == etsi::ProbedKme::own ? *own : *peer;
    probe.answered(asked.ask(std::move(question->request), std::chrono::seconds(options.timeout_s)));
  }
  std::vector<TestedKme> seen{own->seen()};
  if (peer) seen.push_back(peer->seen());
  fmt::print("{}", options.as_json ? to_json(seen, probe.report()) : to_text(seen, probe.report(), now()));
  return judge(probe.report());
}

// The worst of all is the verdict: a standby that gives no key is found out now, not when it is needed.
Result<ExitCode> test(Options options) {
  if (options.peer.files.ca.empty()) {
    options.peer.files.ca = options.files.ca;
    if (options.peer.files.crl.empty()) options.peer.files.crl = options.files.crl;
  }
  QUIPU_TRY_ASSIGN(ExitCode worst, test_one(options, options.kms));
  for (const std::string& standby : options.standbys) {
    if (!options.as_json) fmt::print("\n");
    QUIPU_TRY_ASSIGN(const ExitCode code, test_one(options, standby));
    worst = std::max(worst, code);
  }
  return worst;
}

ExitCode complete_and_test(Options options) {
  if (!options.kms.contains("://"))
    if (const auto taken = take_from_configuration(options); !taken) return report(taken.error());
  if (const auto usable = check_usage(options); !usable) return misused(usable.error());
  const Result<ExitCode> outcome = test(std::move(options));
  return outcome ? *outcome : report(outcome.error());
}

void add_options(CLI::App& verb, Options& options) {
  verb.add_option("kms", options.kms, "https://HOST[:PORT][/PATH], or the NAME of a [kms.NAME]")->required();
  verb.add_option("--ca", options.files.ca, "CA of the KME's certificate, PEM");
  verb.add_option("--crl", options.files.crl, "List of certificates that this CA has revoked, PEM");
  verb.add_option("--cert", options.files.certificate, "Our certificate there, PEM");
  verb.add_option("--key", options.files.key, "Its private key, PEM");
  verb.add_option("--slave", options.slave, "SAE id of the other site, which the keys are shared with");
  verb.add_option("--master", options.master, "Our SAE id, if it is not the first name of our certificate");
  verb.add_option("--peer-url", options.peer.url, "The other site's KME, to fetch the same keys there");
  verb.add_option("--peer-ca", options.peer.files.ca, "CA of its certificate; as --ca and --crl if left out");
  verb.add_option("--peer-crl", options.peer.files.crl, "List of certificates that this CA has revoked, PEM");
  verb.add_option("--peer-cert", options.peer.files.certificate, "The other SAE's certificate, PEM");
  verb.add_option("--peer-key", options.peer.files.key, "Its private key, PEM");
  verb.add_option("--config", options.configuration, "Where [kms.NAME] stands")->capture_default_str();
  verb.add_option("--timeout", options.timeout_s, "Seconds to wait for each answer")
      ->check(CLI::Range(1, 300))
      ->capture_default_str();
  verb.add_flag("--json", options.as_json, "As JSON, a line for each KME");
}

}  // namespace

void add_kms(CLI::App& program, Invocation& invocation) {
  CLI::App& kms = add_verb(program, "kms", "Find out what a key management system does");
  kms.require_subcommand(1);
  CLI::App& verb =
      add_verb(kms, "test", "Ask a KME by ETSI GS QKD 014, and tell what it really does",
               "It asks as a SAE does, uses up some ten keys of the pair, and says how many; no octet of any is shown. "
               "A NAME\nis tested with each of its standby_urls. With\n--peer-url the same keys are fetched at the "
               "other site's KME, and compared.\nExit code: 0 Quipu "
               "gets keys there; 1 an error, such as a file that cannot be read; 3 it does, and something breaks\nwhat "
               "keys depend on; 4 it does not.");
  auto options = std::make_shared<Options>();
  add_options(verb, *options);
  on_run(verb, invocation, [options] { return complete_and_test(*options); });
}

}  // namespace quipu::cli
