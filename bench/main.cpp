// SPDX-License-Identifier: Apache-2.0
// quipu-bench: puts load on the KMSs of two sites and prints what came of it as one line of JSON. scripts/bench runs
// it.
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "bench/load.h"

namespace {

using namespace std::chrono;

struct Texts {
  std::string address;
  std::string sae;
  std::string pki;
};

void add_site(CLI::App& app, const std::string& name, Texts& texts) {
  app.add_option("--kms-" + name, texts.address, "ADDRESS:PORT of the KMS of site " + name)->required();
  app.add_option("--sae-" + name, texts.sae, "SAE id of who asks it")->required();
  app.add_option("--pki-" + name, texts.pki, "folder of ca.pem, SAE.pem and SAE.key")->required();
}

quipu::Result<quipu::bench::Site> site_of(const Texts& texts) {
  const auto endpoint = quipu::Endpoint::parse(texts.address);
  if (!endpoint || endpoint->address.family != quipu::IpFamily::v4)
    return quipu::fail(quipu::Errc::malformed, "'" + texts.address + "' is no IPv4 ADDRESS:PORT");
  const std::string certificate = texts.pki + "/" + texts.sae;
  return quipu::bench::Site{
      .kms = *endpoint, .sae = texts.sae, .files = {texts.pki + "/ca.pem", certificate + ".pem", certificate + ".key"}};
}

// Microseconds of the given share of all requests, which are in ascending order.
double quantile_us(const std::vector<std::uint64_t>& sorted_ns, double share) {
  if (sorted_ns.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted_ns.size() - 1));
  return static_cast<double>(sorted_ns[at]) / 1000;
}

std::string latency_json(const std::vector<std::uint64_t>& sorted_ns) {
  return fmt::format(R"({{"requests":{},"p50_us":{:.1f},"p99_us":{:.1f},"max_us":{:.1f}}})", sorted_ns.size(),
                     quantile_us(sorted_ns, 0.5), quantile_us(sorted_ns, 0.99), quantile_us(sorted_ns, 1));
}

void print(const quipu::bench::LoadResult& result) {
  std::cout << fmt::format(
      R"({{"pairs":{},"unequal":{},"unanswered":{},"seconds":{:.3f},"enc_keys":{},"dec_keys":{}}})", result.pairs,
      result.unequal, result.unanswered, result.seconds, latency_json(result.enc_keys_ns),
      latency_json(result.dec_keys_ns));
  std::cout << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Load for the KMSs of two sites");
  // Quipu's programs have the same OpenSSL in them.
  app.set_version_flag("--version", OpenSSL_version(OPENSSL_VERSION));
  Texts a;
  Texts b;
  add_site(app, "a", a);
  add_site(app, "b", b);
  quipu::bench::LoadOptions options;
  app.add_option("--lanes", options.lanes, "connections to each KMS")->check(CLI::Range(1, 64));
  std::int64_t duration_ms = 1000;
  app.add_option("--duration-ms", duration_ms)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  options.duration = milliseconds(duration_ms);
  std::signal(SIGPIPE, SIG_IGN);
  auto site_a = site_of(a);
  auto site_b = site_of(b);
  for (const auto* site : {&site_a, &site_b})
    if (!*site) {
      std::cerr << "quipu-bench: " << site->error().text << '\n';
      return 2;
    }
  options.a = *std::move(site_a);
  options.b = *std::move(site_b);
  const auto result = quipu::bench::run_load(options);
  if (!result) {
    std::cerr << "quipu-bench: " << result.error().text << '\n';
    return 1;
  }
  print(*result);
  return 0;
}
