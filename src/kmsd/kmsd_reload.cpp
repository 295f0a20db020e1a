// SPDX-License-Identifier: Apache-2.0
// What a reload changes, and what it tells of it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kmsd/event_names.h"
#include "kmsd/kmsd.h"

namespace quipu::kmsd {
namespace {

// "link a-b" for each that is not as it was.
template <class T, class Name>
void append_names(std::string_view section, const config::ListDiff<T>& difference, Name name,
                  std::vector<std::string>& to) {
  for (const auto* list : {&difference.added, &difference.changed, &difference.removed})
    for (const T& one : *list)
      to.push_back(fmt::format("{} {}", section, name(one)));
}

std::string changed(std::string what, bool ended_connections) {
  if (ended_connections) what += " (connections ended)";
  return what;
}

}  // namespace

// Until a restart the core goes by the id that it was started with, and other KMEs refuse a certificate that does not
// name it.
bool Kmsd::names_this_run(const service::TlsEnd& km_link) const {
  return km_link.context->own().is(m_configuration.values.kme.id.value());
}

// Whoever was accepted before may not be any more.
bool Kmsd::distrusts_callers(const Configuration& fresh) const {
  return fresh.etsi014.distrusts(m_configuration.etsi014) ||
         (m_configuration.values.etsi014.allow_tls12 && !fresh.values.etsi014.allow_tls12);
}

void Kmsd::tell_tls(const Configuration& fresh, const config::KmsdDiff& difference,
                    control::ReloadResult& result) const {
  const bool ends_calls = distrusts_callers(fresh);
  if (difference.etsi014_tls || fresh.etsi014.renewed_since(m_configuration.etsi014))
    result.changed.push_back(changed("etsi014 certificates", ends_calls));
  if (difference.min_tls_version) result.changed.push_back(changed("etsi014.min_tls_version", ends_calls));
  if (!difference.km_link_tls && !fresh.km_link.renewed_since(m_configuration.km_link)) return;
  if (names_this_run(fresh.km_link))
    result.changed.push_back(changed("km_link certificates", fresh.km_link.distrusts(m_configuration.km_link)));
  else
    result.needs_restart.emplace_back("km_link certificates");
}

// What concerns TLS, the store key and the log level takes effect at once; what the core was built from needs a
// restart, and is said to.
Result<control::ReloadResult> Kmsd::reload() {
  auto loaded = load_configuration(m_configuration.file);
  // Whatever it is that cannot be used: for whoever asked, the configuration is invalid.
  if (!loaded) return fail(Errc::malformed, std::move(loaded.error().text));
  Configuration fresh = *std::move(loaded);
  const config::KmsdDiff difference = config::diff(m_configuration.values, fresh.values);
  control::ReloadResult result;
  // Another store, and its key, wait for the restart.
  if (fresh.values.kme.store == m_configuration.values.kme.store) {
    QUIPU_TRY_ASSIGN(const bool key_changes,
                     m_store_care.change_key(std::move(fresh.store_key), std::move(fresh.previous_store_key)));
    if (key_changes) result.changed.emplace_back("kme.store_key_file");
  }
  if (difference.log_level) result.changed.emplace_back("kme.log_level");
  result.needs_restart = difference.needs_restart;
  tell_tls(fresh, difference, result);
  append_names("sae", difference.saes, [](const auto& sae) { return sae.id.value(); }, result.needs_restart);
  append_names("peer_kme", difference.peer_kmes, [](const auto& kme) { return kme.id.value(); }, result.needs_restart);
  append_names("link", difference.links, [](const auto& link) { return link.name; }, result.needs_restart);
  adopt(std::move(fresh));
  m_log.info(event::kReloaded, "the configuration was reloaded",
             {{"changed", fmt::format("{}", fmt::join(result.changed, ","))},
              {"needs_restart", fmt::format("{}", fmt::join(result.needs_restart, ","))}});
  return result;
}

// The rest stays as it is, so that the next reload says again what needs a restart.
void Kmsd::adopt(Configuration fresh) {
  if (names_this_run(fresh.km_link)) {
    m_km_links->set_context(fresh.km_link.context, fresh.km_link.distrusts(m_configuration.km_link));
    m_configuration.km_link = std::move(fresh.km_link);
    m_configuration.values.km_link.tls = std::move(fresh.values.km_link.tls);
  }
  m_etsi->set_context(fresh.etsi014.context, distrusts_callers(fresh));
  m_log.set_level(fresh.values.kme.log_level);
  m_configuration.etsi014 = std::move(fresh.etsi014);
  config::KmsdConfig& values = m_configuration.values;
  values.kme.log_level = fresh.values.kme.log_level;
  values.etsi014.tls = std::move(fresh.values.etsi014.tls);
  values.etsi014.allow_tls12 = fresh.values.etsi014.allow_tls12;
  m_certificates.set(certificates_of(m_configuration));
}

}  // namespace quipu::kmsd
