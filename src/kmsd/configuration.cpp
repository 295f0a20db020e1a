// SPDX-License-Identifier: Apache-2.0
#include "kmsd/configuration.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "service/files.h"

namespace quipu::kmsd {
namespace {

constexpr std::size_t kMaxConfigurationSize = std::size_t{1} << 20;

std::string quoted_list(const std::vector<std::string>& names) {
  return names.empty() ? "nobody" : fmt::format("\"{}\"", fmt::join(names, "\", \""));
}

// Every other KME would refuse a certificate that does not say who we are, and only its log would tell.
void require_own_id(const Configuration& configuration, service::NamedFiles& files) {
  if (configuration.km_link.context == nullptr) return;
  const net::PeerIdentity& own = configuration.km_link.context->own();
  const config::KmeConfig& kme = configuration.values.kme;
  if (own.is(kme.id.value())) return;
  files.refuse(
      {.position = kme.id_position,
       .key = "kme.id",
       .problem = fmt::format("\"{}\" is not named by the certificate of km_link ({}), which names {}", kme.id.value(),
                              configuration.values.km_link.tls.cert.name, quoted_list(own.names())),
       .advice = "correct the id, or have a certificate issued for it (quipu pki issue): other KMEs refuse this one"});
}

void read_store_keys(Configuration& configuration, service::NamedFiles& files) {
  const config::KmeConfig& kme = configuration.values.kme;
  configuration.store_key = files.key<32>(kme.store_key_file);
  const config::FileName& previous = kme.previous_store_key_file;
  if (previous.name.empty()) return;
  configuration.previous_store_key = files.key<32>(previous);
  if (files.outcome(configuration.file) && *configuration.previous_store_key == configuration.store_key)
    files.refuse({.position = previous.position,
                  .key = previous.key,
                  .problem = previous.name + " holds the same key as " + kme.store_key_file.name,
                  .advice = "let store_key_file name a new key (quipu genpsk), or remove this line"});
}

}  // namespace

Result<Configuration> load_named_files(std::string file, config::KmsdConfig values, const service::UnitUser* reader) {
  Configuration out{.file = std::move(file),
                    .values = std::move(values),
                    .store_key = {},
                    .previous_store_key = {},
                    .etsi014 = {},
                    .km_link = {}};
  service::NamedFiles files(reader);
  read_store_keys(out, files);
  out.etsi014 = files.tls(out.values.etsi014.tls, {.allow_tls12 = out.values.etsi014.allow_tls12});
  out.km_link = files.tls(out.values.km_link.tls, {.require_hybrid = true});
  require_own_id(out, files);
  QUIPU_TRY(files.outcome(out.file));
  return out;
}

Result<Configuration> load_configuration(const std::string& file, const service::UnitUser* reader) {
  if (reader != nullptr) QUIPU_TRY(reader->check_readable(file));
  QUIPU_TRY_ASSIGN(const std::string text, service::read_text_file(file, kMaxConfigurationSize));
  auto parsed = config::parse_kmsd(text);
  if (!parsed) return std::unexpected(config::to_error(file, parsed.error()));
  return load_named_files(file, *std::move(parsed), reader);
}

std::vector<config::Problem> doubts_about(const Configuration& configuration) {
  std::vector<config::Problem> doubts;
  const auto look_at = [&](const config::TlsFiles& files, const service::TlsEnd& end) {
    if (auto doubt = config::doubt_about(files, end.context->trusts_an_authority(), end.context->trusts_itself()))
      doubts.push_back(*std::move(doubt));
  };
  look_at(configuration.values.etsi014.tls, configuration.etsi014);
  look_at(configuration.values.km_link.tls, configuration.km_link);
  return doubts;
}

std::vector<service::Certificate> certificates_of(const Configuration& configuration) {
  std::vector<service::Certificate> out;
  service::append_certificates(configuration.values.etsi014.tls, *configuration.etsi014.context, out);
  service::append_certificates(configuration.values.km_link.tls, *configuration.km_link.context, out);
  return out;
}

}  // namespace quipu::kmsd
