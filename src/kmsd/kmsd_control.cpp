// SPDX-License-Identifier: Apache-2.0
// What is asked on the control socket.
#include <fmt/format.h>

#include "base/encoding.h"
#include "kmsd/kmsd.h"
#include "kmsd/status.h"
#include "service/wall_clock.h"
#include "store/counting_vfs.h"

namespace quipu::kmsd {

Result<control::AuditPages> Kmsd::read_audit(std::uint64_t after) {
  constexpr std::size_t kPart = std::size_t{512} * 1024;  // and a page: with all its escapes it fits into a reply
  QUIPU_TRY_ASSIGN(const auto pages, m_store->audit().read(after, kPart));
  control::AuditPages out;
  for (const store::AuditPage& page : pages)
    out.pages.push_back({page.number, to_hex(page.previous), page.text, to_hex(page.hash)});
  return out;
}

// That nobody will have.
std::uint64_t Kmsd::lost_octets(const KmeId& pool) const {
  for (const kms::PoolStatus& status : m_kme->status(service::wall_now(), net::Loop::now()))
    if (status.peer == pool) return status.books.voided + status.books.burnt;
  return 0;
}

Result<control::VoidResult> Kmsd::void_pool(const KmeId& peer) {
  if (m_configuration.values.find_peer_kme(peer) == nullptr)
    return fail(Errc::not_found, "there is no pool with a KME " + peer.value());
  const std::uint64_t lost_before = lost_octets(peer);
  perform(m_kme->void_pool(peer, net::Loop::now()));
  end_turn();  // at once: whoever hears that it is void shall find it so
  if (m_failure) return std::unexpected(*m_failure);
  const control::VoidResult result{(lost_octets(peer) - lost_before) * 8};
  m_audit->add("pool_voided", fmt::format("{}: {} bit", peer.value(), result.voided_bits), service::wall_now());
  write_audit();
  if (m_failure) return std::unexpected(*m_failure);
  if (auto scrubbed = m_store_care.scrub(); !scrubbed)
    return fail_at("the pool is void, but its material is on the disk until a further try succeeds",
                   std::move(scrubbed).error());
  return result;
}

// The audit log tells of copies that were made.
std::string Kmsd::backed_up(const Result<void>& done) {
  if (!done) return control::encode_error(done.error());
  const control::BackupResult result{m_store->backup_path()};
  m_audit->add("backup", result.file, service::wall_now());
  write_audit();
  return m_failure ? control::encode_error(*m_failure) : control::encode_ok(control::to_json(result));
}

std::optional<std::string> Kmsd::back_up(service::ControlServer::ClientId client) {
  const auto begun =
      m_store_care.back_up([this, client](const Result<void>& done) { m_control->answer(client, backed_up(done)); });
  if (!begun) return control::encode_error(begun.error());
  return std::nullopt;
}

// When the store key changes, its answer says that the old one may be put away.
std::optional<std::string> Kmsd::reload(service::ControlServer::ClientId client) {
  const auto result = reload();
  if (!result) return control::encode_error(result.error(), "nothing was changed");
  std::string reply = control::encode_ok(control::to_json(*result));
  if (!m_store_care.changing_key()) return reply;
  m_store_care.when_key_changed([this, client, reply](const Result<void>& done) {
    m_control->answer(client, done ? reply : control::encode_error(done.error(), "all else was reloaded"));
  });
  return std::nullopt;
}

std::optional<std::string> Kmsd::answer(const control::Request& request, service::ControlServer::ClientId client) {
  if (std::holds_alternative<control::StatusRequest>(request)) return control::encode_ok(status_json());
  if (std::holds_alternative<control::ReloadRequest>(request)) return reload(client);
  if (const auto* pool = std::get_if<control::VoidPoolRequest>(&request)) {
    const auto result = void_pool(KmeId(pool->peer));
    return result ? control::encode_ok(control::to_json(*result)) : control::encode_error(result.error());
  }
  if (std::holds_alternative<control::BackupRequest>(request)) return back_up(client);
  if (const auto* audit = std::get_if<control::AuditRequest>(&request)) {
    const auto pages = read_audit(audit->after);
    return pages ? control::encode_ok(control::to_json(*pages)) : control::encode_error(pages.error());
  }
  if (std::holds_alternative<control::RelayRoutesRequest>(request)) return control::encode_ok(relay_json());
  return control::encode_error(
      Error{Errc::unsupported, "quipu-kmsd knows the verbs status, reload, audit, relay_routes, void_pool and backup"});
}

std::string Kmsd::relay_json() const {
  const kms::RelayStatus relay = m_kme->relay_status();
  return control::to_json(make_relay_status(m_configuration.values.kme.id, relay, entropy_status(relay)));
}

std::string Kmsd::status_json() const {
  const TimePoint now = net::Loop::now();
  kms::RelayStatus relay = m_kme->relay_status();
  return control::to_json(
      make_status(m_configuration.values, {.pools = m_kme->status(service::wall_now(), now),
                                           .attempts = m_km_links->attempts(),
                                           .links = m_links->reports(),
                                           .requests = m_etsi->requests(),
                                           .refused = m_etsi->refused(),
                                           .refused_connections = {{"etsi014", m_etsi->refused_connections()},
                                                                   {"km_link", m_km_links->refused_connections()}},
                                           .store_syncs = store::syncs_so_far(),
                                           .uptime = now - m_started,
                                           .certificates = m_certificates.status(service::wall_now()),
                                           .relay_entropy = entropy_status(relay),
                                           .relay = std::move(relay)}));
}

}  // namespace quipu::kmsd
