// SPDX-License-Identifier: Apache-2.0
#include "kmsd/kmsd.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/encoding.h"
#include "base/version.h"
#include "kms/own_leases.h"
#include "kmsd/event_names.h"
#include "kmsd/status.h"
#include "net/local_address.h"
#include "service/notify.h"
#include "service/wall_clock.h"
#include "store/counting_vfs.h"

namespace quipu::kmsd {
namespace {

using std::chrono::seconds;

constexpr Duration kStopGrace = seconds(2);
constexpr Duration kScrubInterval = seconds(20);

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

kms::KmeConfig core_configuration(const config::KmsdConfig& from) {
  kms::KmeConfig to{.id = from.kme.id, .saes = {}, .peers = {}, .sources = {}, .limits = {}};
  const std::uint64_t slots_per_key = kms::Demand{1, from.etsi014.key_size_bit}.slots_per_key();
  for (const auto& sae : from.saes) {
    to.saes.push_back(sae.id);
    to.terms.emplace(sae.id, kms::SaeTerms{sae.max_rate_bit_s, sae.uses_reserve, sae.max_unfetched_keys});
  }
  for (const auto& peer : from.peer_kmes)
    to.peers.push_back({.id = peer.id,
                        .saes = peer.saes,
                        .reserve_octets = peer.reserve_keys * slots_per_key * kms::kSlotSize,
                        .low_stock_octets = peer.low_stock_keys * slots_per_key * kms::kSlotSize,
                        .relay_target_octets = peer.relay_stock_bit / 8,
                        .min_sources = peer.min_sources});
  for (const auto& link : from.links)
    to.sources.push_back({.name = link.name, .peer = link.peer_kme});
  to.limits.key_size_bits = from.etsi014.key_size_bit;
  to.limits.min_key_size_bits = from.etsi014.min_key_size_bit;
  to.limits.max_key_size_bits = from.etsi014.max_key_size_bit;
  to.limits.max_keys_per_request = from.etsi014.max_key_per_request;
  to.relay.trusted_node = from.relay.trusted_node;
  for (const auto& route : from.relay.routes)
    to.relay.routes.push_back({.to = route.to, .via = route.via});
  return to;
}

}  // namespace

Result<std::unique_ptr<Kmsd>> Kmsd::start(net::Loop& loop, Configuration configuration, service::SignalSource signals,
                                          service::FilteringSink& log, MachineSource machine,
                                          const DriverFiles& drivers) {
  std::unique_ptr<Kmsd> daemon(new Kmsd(loop, std::move(configuration), std::move(signals), log, std::move(machine)));
  QUIPU_TRY_ASSIGN(daemon->m_machine, daemon->m_machine_source.read());
  QUIPU_TRY(daemon->open_store_and_core());
  QUIPU_TRY(daemon->open_sockets());
  QUIPU_TRY(daemon->open_control());
  daemon->start_links(drivers);
  daemon->watch_machine();
  daemon->on_second();
  daemon->perform(kms::Actions{});
  log.info(event::kListening, "the KME waits for SAEs and for other KMEs",
           {{"etsi014", daemon->m_etsi->local().text()}, {"km_link", daemon->m_km_links->local().text()}});
  return daemon;
}

Kmsd::Kmsd(net::Loop& loop, Configuration configuration, service::SignalSource signals, service::FilteringSink& log,
           MachineSource machine)
    : m_loop(loop),
      m_log(log),
      m_configuration(std::move(configuration)),
      m_started(net::Loop::now()),
      m_machine_source(std::move(machine)),
      m_signals(std::move(signals)),
      m_certificates(log),
      m_turn_end(loop, [this] { end_turn(); }),
      m_overdue(loop, [this] { on_timeout(); }),
      m_deadline(loop, [this] { on_timeout(); }),
      m_second(loop, [this] { on_second(); }),
      m_signal_watch(loop, m_signals.fd()) {
  m_signal_watch.on_readable([this] { on_signal(); });
  m_certificates.set(certificates_of(m_configuration));
}

// What was handed out until the end is recorded; after a failure of the store it cannot be.
Kmsd::~Kmsd() {
  if (!m_audit) return;
  m_audit->add("stopped", m_failure ? m_failure->text : std::string(), service::wall_now());
  if (m_audit->write(service::wall_now())) m_audit->tell_head();
}

Result<void> Kmsd::open_store_and_core() {
  const config::KmsdConfig& values = m_configuration.values;
  QUIPU_TRY_ASSIGN(m_store, store::SqliteStore::open(values.kme.store, std::move(m_configuration.store_key), m_rng,
                                                     std::move(m_configuration.previous_store_key)));
  QUIPU_TRY_ASSIGN(m_kme,
                   kms::Kme::start(core_configuration(values), *m_store, m_rng, service::wall_now(), net::Loop::now()));
  m_audit.emplace(m_store->audit(), std::chrono::days(values.kme.audit_keep_days), m_log);
  if (m_store->key_changed()) tell_key_changed();
  m_audit->add("started", fmt::format("quipu-kmsd {} of {}", kVersion, values.kme.id.value()), service::wall_now());
  return m_audit->write(service::wall_now());
}

Result<void> Kmsd::open_sockets() {
  const config::KmsdConfig& values = m_configuration.values;
  KmLinks::Events events{
      .connected = [this](kms::LinkId link,
                          const KmeId& peer) { perform(m_kme->link_connected(link, peer, net::Loop::now())); },
      .received = [this](kms::LinkId link, ByteView octets) { on_link_received(link, octets); },
      .disconnected = [this](kms::LinkId link, const Error& reason) { on_link_disconnected(link, reason); },
      .sent =
          [this] {
            if (m_links) m_links->send_waiting();
          }};
  QUIPU_TRY_ASSIGN(m_km_links, KmLinks::open(
                                   m_loop, values.km_link, values.peer_kmes, m_configuration.km_link.context,
                                   [this](const KmeId& peer) { return m_kme->dials(peer); }, std::move(events), m_log));
  QUIPU_TRY_ASSIGN(m_etsi, EtsiServer::open(
                               m_loop, values.etsi014, values.saes, m_configuration.etsi014.context,
                               [this](kms::RequestId id, const SaeId& caller, etsi::Call call) {
                                 on_etsi_request(id, caller, std::move(call));
                               },
                               m_log));
  for (const Endpoint& listening : {m_etsi->local(), m_km_links->local()})
    if (!net::is_address_here(listening.address))
      m_log.warning(event::kListenAddressAbsent,
                    "no interface has the address that is listened on: nobody gets through",
                    {{"address", listening.text()}});
  return {};
}

Result<void> Kmsd::open_control() {
  QUIPU_TRY_ASSIGN(
      m_control, service::ControlServer::create(
                     {.path = m_configuration.values.kme.control_socket},
                     [this](const control::Request& request, auto) { return std::optional(answer(request)); }, m_log));
  m_control_watch = std::make_unique<net::FdWatch>(m_loop, m_control->fd());
  m_control_watch->on_readable([this] { m_control->on_readable(); });
  return {};
}

void Kmsd::start_links(const DriverFiles& drivers) {
  const Links::Events events{
      .blocks =
          [this](std::vector<kms::SourceBlock> blocks) {
            perform(m_kme->blocks_received(std::move(blocks), service::wall_now(), net::Loop::now()));
          },
      .has_room = [this](const KmeId& peer) { return m_km_links->has_room(peer); },
      .peer_message =
          [this](const std::string& link, SecretBytes message) {
            perform(m_kme->driver_message(link, std::move(message), net::Loop::now()));
            end_turn();  // at once, so that has_room knows of it
          }};
  m_links = Links::start(m_loop, drivers, m_configuration.values.links, events, m_log);
}

// What the core decides is carried out together, when all that was ready on the loop has been told to it: under load
// that is one look at the machine, one write on the KM link and one look after the deadlines for many requests.
void Kmsd::perform(kms::Actions actions) {
  std::ranges::move(actions, std::back_inserter(m_decided));
  m_turn_end.want();
}

void Kmsd::end_turn() {
  if (!is_same_machine()) return;
  for (kms::Action& action : std::exchange(m_decided, {}))
    std::visit([this](auto& each) { perform(each); }, action);
  if (m_failure) return;  // without its store or its audit log it hands out nothing
  for (const kms::ReplyEtsi& reply : std::exchange(m_replies, {}))
    m_etsi->reply(reply.request, reply.reply);
  // Right behind them, and before anything else: a client that has its answer will ask the peer.
  m_km_links->flush();
  const auto due = m_kme->next_deadline();
  if (!due) return m_deadline.cancel();
  if (*due > net::Loop::now()) return m_deadline.set(*due);
  m_deadline.cancel();
  m_overdue.want();
}

void Kmsd::perform(kms::SendLink& action) {
  m_km_links->send(action.link, action.message.view());
}

void Kmsd::perform(kms::CloseLink& action) {
  m_km_links->close(action.link);
}

void Kmsd::perform(kms::LinkUp& action) {
  m_km_links->in_contact(action.peer);
}

void Kmsd::perform(kms::ReplyEtsi& action) {
  m_replies.push_back(std::move(action));
}

void Kmsd::perform(const kms::AuditDelivery& action) {
  m_audit->add(action, service::wall_now());
  if (m_audit->is_full()) write_audit();
}

void Kmsd::perform(kms::DeliverDriverMessage& action) {
  m_links->deliver(action.source, action.message.view());
}

void Kmsd::perform(kms::Report& action) {
  if (action.alarm) action.fields.push_back({"alarm", "yes"});
  m_log.write(action.level, action.event, action.message, action.fields);
}

void Kmsd::perform(kms::Fatal& action) {
  stop(std::move(action.error));
}

// No key is spent on a client that has gone: it is asked before each call that may answer a waiting request.
void Kmsd::forget_abandoned() {
  for (const kms::RequestId id : m_etsi->take_abandoned())
    perform(m_kme->etsi_cancelled(id, net::Loop::now()));
}

void Kmsd::on_link_received(kms::LinkId link, ByteView octets) {
  forget_abandoned();
  perform(m_kme->link_received(link, octets, net::Loop::now()));
}

// A request that waited for the peer waits no more, and the next in turn may get its key.
void Kmsd::on_link_disconnected(kms::LinkId link, const Error& reason) {
  forget_abandoned();
  perform(m_kme->link_disconnected(link, error_field(reason).value, net::Loop::now()));
}

void Kmsd::on_etsi_request(kms::RequestId id, const SaeId& caller, etsi::Call call) {
  forget_abandoned();
  perform(m_kme->etsi_request(id, caller, std::move(call), net::Loop::now()));
}

void Kmsd::on_timeout() {
  forget_abandoned();
  perform(m_kme->handle_timeout(net::Loop::now()));
}

void Kmsd::on_signal() {
  while (const auto signal = m_signals.next()) {
    if (*signal == service::Signal::terminate) return stop(std::nullopt);
    service::notify_reloading();
    if (const auto result = reload(); !result)
      m_log.error(event::kReloadRefused, "the configuration was not reloaded; the old one stays",
                  {error_field(result.error())});
    service::notify_ready();
  }
}

// A machine that was cloned or restored with its memory may hand out what the other copy hands out too: better not to
// run. Asked before anything is handed out, so that not even one key is. Without an answer it may be such a copy.
bool Kmsd::is_same_machine() {
  const auto machine = m_machine_source.read();
  if (!machine)
    stop(Error{machine.error().code, "whether this machine is still the same cannot be told: " + machine.error().text});
  else if (*machine != m_machine)
    stop(Error{Errc::conflict, "this machine was restored or cloned while running: leases of this run are void"});
  return !m_failure;
}

void Kmsd::watch_machine() {
  if (m_machine_source.fd < 0) return;
  m_machine_watch = std::make_unique<net::FdWatch>(m_loop, m_machine_source.fd);
  m_machine_watch->on_readable([this] { is_same_machine(); });
}

void Kmsd::on_second() {
  m_second.set(net::Loop::now() + seconds(1));
  m_log.flush();
  service::notify_watchdog();
  m_certificates.check(service::wall_now());
  write_audit();
  if (!is_same_machine()) return;
  if (net::Loop::now() < m_next_scrub) return;
  scrub();
}

void Kmsd::scrub() {
  m_next_scrub = net::Loop::now() + kScrubInterval;
  if (const auto scrubbed = m_store->scrub(); !scrubbed)
    m_log.error(event::kScrubFailed, "what was left of used key material could not be removed from the store's log",
                {error_field(scrubbed.error())});
}

// Keys are not handed out without a record.
void Kmsd::write_audit() {
  if (const auto written = m_audit->write(service::wall_now()); !written)
    stop(Error{written.error().code, "the audit log cannot be written: " + written.error().text});
}

Result<control::AuditPages> Kmsd::read_audit(std::uint64_t after) {
  constexpr std::size_t kPart = std::size_t{512} * 1024;  // and a page: with all its escapes it fits into a reply
  QUIPU_TRY_ASSIGN(const auto pages, m_store->audit().read(after, kPart));
  control::AuditPages out;
  for (const store::AuditPage& page : pages)
    out.pages.push_back({page.number, to_hex(page.previous), page.text, to_hex(page.hash)});
  return out;
}

// That may still be used.
std::uint64_t Kmsd::octets_in(const KmeId& pool) const {
  for (const kms::PoolStatus& status : m_kme->status(service::wall_now(), net::Loop::now()))
    if (status.peer == pool) return status.books.held + status.books.stock + status.books.leased;
  return 0;
}

Result<control::VoidResult> Kmsd::void_pool(const KmeId& peer) {
  if (m_configuration.values.find_peer_kme(peer) == nullptr)
    return fail(Errc::not_found, "there is no pool with a KME " + peer.value());
  const control::VoidResult result{octets_in(peer) * 8};
  perform(m_kme->void_pool(peer, net::Loop::now()));
  end_turn();  // at once: whoever hears that it is void shall find it so
  if (m_failure) return std::unexpected(*m_failure);
  m_audit->add("pool_voided", fmt::format("{}: {} bit", peer.value(), result.voided_bits), service::wall_now());
  write_audit();
  if (m_failure) return std::unexpected(*m_failure);
  scrub();
  return result;
}

// With all that the audit log shall hold until now.
Result<control::BackupResult> Kmsd::back_up() {
  control::BackupResult result{m_configuration.values.kme.store + ".backup"};
  m_audit->add("backup", result.file, service::wall_now());
  write_audit();
  if (m_failure) return std::unexpected(*m_failure);
  QUIPU_TRY(m_store->back_up(result.file));
  return result;
}

void Kmsd::stop(std::optional<Error> failure) {
  if (m_failure || (m_stopping && !failure)) return;
  m_failure = std::move(failure);
  if (!std::exchange(m_stopping, true)) {
    service::notify_stopping();
    if (m_links) m_links->stop();
  }
  // What has failed answers nobody any more; else requests under way get their answers.
  if (m_failure || !m_etsi) return m_loop.stop();
  m_etsi->stop(kStopGrace, [this] { m_loop.stop(); });
}

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

// What the old key had wrapped is removed from the disk at once.
void Kmsd::tell_key_changed() {
  m_audit->add("store_key_changed", m_configuration.values.kme.store, service::wall_now());
  m_log.info(event::kStoreKeyChanged, "the store is sealed with another key than before, which no longer opens it", {});
  scrub();
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
  QUIPU_TRY_ASSIGN(const bool key_changed,
                   m_store->seal_with(std::move(fresh.store_key), std::move(fresh.previous_store_key)));
  if (key_changed) {
    tell_key_changed();
    result.changed.emplace_back("kme.store_key_file");
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

std::string Kmsd::answer(const control::Request& request) {
  if (std::holds_alternative<control::StatusRequest>(request)) return control::encode_ok(status_json());
  if (std::holds_alternative<control::ReloadRequest>(request)) {
    const auto result = reload();
    return result ? control::encode_ok(control::to_json(*result))
                  : control::encode_error(result.error(), "nothing was changed");
  }
  if (const auto* pool = std::get_if<control::VoidPoolRequest>(&request)) {
    const auto result = void_pool(KmeId(pool->peer));
    return result ? control::encode_ok(control::to_json(*result)) : control::encode_error(result.error());
  }
  if (std::holds_alternative<control::BackupRequest>(request)) {
    const auto result = back_up();
    return result ? control::encode_ok(control::to_json(*result)) : control::encode_error(result.error());
  }
  if (const auto* audit = std::get_if<control::AuditRequest>(&request)) {
    const auto pages = read_audit(audit->after);
    return pages ? control::encode_ok(control::to_json(*pages)) : control::encode_error(pages.error());
  }
  if (std::holds_alternative<control::RelayRoutesRequest>(request))
    return control::encode_ok(
        control::to_json(make_relay_status(m_configuration.values.kme.id, m_kme->relay_status())));
  return control::encode_error(
      Error{Errc::unsupported, "quipu-kmsd knows the verbs status, reload, audit, relay_routes, void_pool and backup"});
}

std::string Kmsd::status_json() const {
  const TimePoint now = net::Loop::now();
  return control::to_json(
      make_status(m_configuration.values, {.pools = m_kme->status(service::wall_now(), now),
                                           .attempts = m_km_links->attempts(),
                                           .links = m_links->reports(),
                                           .requests = m_etsi->requests(),
                                           .refused = m_etsi->refused(),
                                           .store_syncs = store::syncs_so_far(),
                                           .uptime = now - m_started,
                                           .certificates = m_certificates.status(service::wall_now())}));
}

}  // namespace quipu::kmsd
