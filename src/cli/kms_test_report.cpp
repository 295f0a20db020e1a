// SPDX-License-Identifier: Apache-2.0
#include "cli/kms_test_report.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "control/status.h"

namespace quipu::cli {
namespace {

namespace json = boost::json;

// On a terminal control characters would be commands.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    out += octet >= 0x20 && octet < 0x7f ? std::string(1, c) : fmt::format("\\x{:02x}", octet);
  }
  return out;
}

std::string_view word(etsi::Verdict verdict) {
  switch (verdict) {
    case etsi::Verdict::good: return "good";
    case etsi::Verdict::note: return "note";
    case etsi::Verdict::fault: return "fault";
  }
  return "fault";
}

double median_ms(std::vector<Duration> took) {
  const auto middle = took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2);
  std::ranges::nth_element(took, middle);
  return std::chrono::duration<double, std::milli>(*middle).count();
}

std::string names_text(const net::PeerIdentity& certificate) {
  std::string out = "CN=" + certificate.common_name;
  for (const std::string& uri : certificate.uri_sans)
    out += ", URI:" + uri;
  for (const std::string& dns : certificate.dns_sans)
    out += ", DNS:" + dns;
  return out + ", serial " + certificate.serial_number;
}

std::string validity_text(const net::PeerIdentity& certificate, WallTime now) {
  const auto days = std::chrono::duration_cast<std::chrono::days>(certificate.not_after - now).count();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(certificate.not_after).time_since_epoch().count();
  return fmt::format("valid until {:%Y-%m-%d %H:%M} UTC ({} days)", fmt::gmtime(static_cast<std::time_t>(seconds)),
                     days);
}

std::string kme_text(const TestedKme& kme, WallTime now) {
  std::string out = kme.url + "\n";
  if (kme.connections == 0) return out + "  no connection\n";
  out += fmt::format("  TLS          {}, {}, {}\n", kme.tls.version, kme.tls.group, kme.tls.cipher_suite);
  out += fmt::format("  certificate  {}\n", printable(names_text(kme.certificate)));
  out += fmt::format("               {}\n", validity_text(kme.certificate, now));
  out += fmt::format("  connections  {} for {} answers{}\n", kme.connections, kme.answers,
                     kme.answers > 1 && kme.connections < kme.answers ? ": kept alive" : "");
  return out;
}

std::string status_text(const etsi::Status& status) {
  return fmt::format(
      "status\n  source_KME_ID        {}\n  target_KME_ID        {}\n  master_SAE_ID        {}\n"
      "  slave_SAE_ID         {}\n  key_size             {} bit\n  stored_key_count     {}\n"
      "  max_key_count        {}\n  max_key_per_request  {}\n  min_key_size         {} bit\n"
      "  max_key_size         {} bit\n  max_SAE_ID_count     {}\n{}",
      printable(status.source_kme_id.value()), printable(status.target_kme_id.value()),
      printable(status.master_sae_id.value()), printable(status.slave_sae_id.value()), status.key_size,
      status.stored_key_count, status.max_key_count, status.max_key_per_request, status.min_key_size,
      status.max_key_size, status.max_sae_id_count, status.simulated ? "  SIMULATED: its keys protect nothing\n" : "");
}

std::string took_text(const etsi::ProbeReport& report) {
  std::string out;
  for (const auto& [method, took] : report.took)
    out += fmt::format("  {:<9} {:8.2f} ms, median of {}\n", method, median_ms(took), took.size());
  return out.empty() ? out : "time to an answer\n" + out;
}

std::string settings_text(const etsi::ProbeReport& report) {
  if (!report.usable) return "Quipu cannot get keys here.\n";
  if (report.settings.empty()) return "Quipu gets keys here, without further settings.\n";
  std::string out = "Quipu gets keys here, with these settings in [kms.NAME]:\n";
  for (const std::string& line : report.settings)
    out += "  " + line + "\n";
  return out;
}

json::array to_array(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts)
    out.emplace_back(printable(text));
  return out;
}

json::object to_object(const TestedKme& kme) {
  const net::PeerIdentity& of = kme.certificate;
  json::object out{{"url", kme.url}, {"connections", kme.connections}, {"answers", kme.answers}, {"tls", nullptr}};
  out["certificate"] = nullptr;
  if (kme.connections == 0) return out;
  out["tls"] =
      json::object{{"version", kme.tls.version}, {"group", kme.tls.group}, {"cipher_suite", kme.tls.cipher_suite}};
  out["certificate"] = json::object{
      {"common_name", printable(of.common_name)},
      {"uri_sans", to_array(of.uri_sans)},
      {"dns_sans", to_array(of.dns_sans)},
      {"serial_number", of.serial_number},
      {"not_after_s", std::chrono::duration_cast<std::chrono::seconds>(of.not_after.time_since_epoch()).count()}};
  return out;
}

json::value to_object(const std::optional<etsi::Status>& status) {
  if (!status) return nullptr;
  return json::object{{"source_KME_ID", printable(status->source_kme_id.value())},
                      {"target_KME_ID", printable(status->target_kme_id.value())},
                      {"master_SAE_ID", printable(status->master_sae_id.value())},
                      {"slave_SAE_ID", printable(status->slave_sae_id.value())},
                      {"key_size", status->key_size},
                      {"stored_key_count", status->stored_key_count},
                      {"max_key_count", status->max_key_count},
                      {"max_key_per_request", status->max_key_per_request},
                      {"max_key_size", status->max_key_size},
                      {"min_key_size", status->min_key_size},
                      {"max_SAE_ID_count", status->max_sae_id_count},
                      {"simulated", status->simulated}};
}

}  // namespace

std::string to_text(const std::vector<TestedKme>& kmes, const etsi::ProbeReport& report, WallTime now) {
  std::string out;
  for (const TestedKme& kme : kmes)
    out += kme_text(kme, now);
  if (report.status) out += status_text(*report.status);
  out += "checks\n";
  for (const etsi::Finding& finding : report.findings)
    out += fmt::format("  {:<5}  {}: {}\n", finding.verdict == etsi::Verdict::fault ? "FAULT" : word(finding.verdict),
                       finding.check, printable(finding.text));
  out += took_text(report);
  out += fmt::format("keys used up: {}\n", report.keys_used);
  return out + settings_text(report);
}

std::string to_json(const std::vector<TestedKme>& kmes, const etsi::ProbeReport& report) {
  json::array tested;
  for (const TestedKme& kme : kmes)
    tested.push_back(to_object(kme));
  json::array checks;
  for (const etsi::Finding& finding : report.findings)
    checks.push_back(
        json::object{{"check", finding.check}, {"verdict", word(finding.verdict)}, {"text", printable(finding.text)}});
  json::object took;
  for (const auto& [method, all] : report.took)
    took[method] = json::object{{"median_ms", median_ms(all)}, {"answers", all.size()}};
  return json::serialize(json::object{{"schema_version", control::kSchemaVersion},
                                      {"kmes", std::move(tested)},
                                      {"status", to_object(report.status)},
                                      {"checks", std::move(checks)},
                                      {"took", std::move(took)},
                                      {"keys_used", report.keys_used},
                                      {"settings", to_array(report.settings)},
                                      {"usable", report.usable}}) +
         "\n";
}

ExitCode judge(const etsi::ProbeReport& report) {
  if (!report.usable) return ExitCode::down;
  return report.worst() == etsi::Verdict::fault ? ExitCode::degraded : ExitCode::ok;
}

}  // namespace quipu::cli
