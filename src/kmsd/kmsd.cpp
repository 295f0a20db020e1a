// SPDX-License-Identifier: Apache-2.0
#include "kmsd/kmsd.h"

#include "kmsd/event_names.h"
#include "net/local_address.h"
#include "service/notify.h"
#include "service/wall_clock.h"

namespace quipu::kmsd {
namespace {

using std::chrono::seconds;

constexpr Duration kStopGrace = seconds(2);

}  // namespace

Result<std::unique_ptr<Kmsd>> Kmsd::start(net::Loop& loop, Configuration configuration, Core core,
                                          service::SignalSource signals, service::FilteringSink& log,
                                          MachineSource machine, const DriverFiles& drivers) {
  std::unique_ptr<Kmsd> daemon(
      new Kmsd(loop, std::move(configuration), std::move(core), std::move(signals), log, std::move(machine)));
  QUIPU_TRY(daemon->open_sockets());
  QUIPU_TRY(daemon->open_control());
  daemon->start_links(drivers);
  daemon->start_entropy();
  daemon->watch_machine();
  daemon->on_second();
  daemon->perform(kms::Actions{});
  log.info(event::kListening, "the KME waits for SAEs and for other KMEs",
           {{"etsi014", daemon->m_etsi->local().text()}, {"km_link", daemon->m_km_links->local().text()}});
  return daemon;
}

Kmsd::Kmsd(net::Loop& loop, Configuration configuration, Core core, service::SignalSource signals,
           service::FilteringSink& log, MachineSource machine)
    : m_loop(loop),
      m_log(log),
      m_configuration(std::move(configuration)),
      m_started(net::Loop::now()),
      m_machine_source(std::move(machine)),
      m_machine(core.machine),
      m_signals(std::move(signals)),
      m_rng(std::move(core.rng)),
      m_store(std::move(core.store)),
      m_audit(std::move(core.audit)),
      m_store_care(loop, *m_store, *m_audit, std::chrono::days(m_configuration.values.kme.audit_keep_days), log,
                   [this](Error error) { stop(std::move(error)); }),
      m_certificates(log),
      m_kme(std::move(core.kme)),
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
  m_audit->add("stopped", m_failure ? m_failure->text : std::string(), service::wall_now());
  if (m_audit->write(service::wall_now())) m_audit->tell_head();
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
  QUIPU_TRY_ASSIGN(m_km_links, KmLinks::open(m_loop, values.km_link, values.peer_kmes, m_configuration.km_link.context,
                                             [this](const KmeId& peer) { return m_kme->dials(peer); },
                                             std::move(events), m_log, KmLinks::kPatience, {}));
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
                     [this](const control::Request& request, auto client) { return answer(request, client); }, m_log));
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
  if (m_entropy) m_entropy->wake();
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
  if (is_same_machine()) m_store_care.on_second(net::Loop::now(), service::wall_now());
}

// Without a disk for the record no keys are handed out. A process that is killed takes the last second's record with
// it.
void Kmsd::write_audit() {
  if (const auto written = m_audit->write(service::wall_now()); !written)
    stop(Error{written.error().code, "the audit log cannot be written: " + written.error().text});
}

void Kmsd::stop(std::optional<Error> failure) {
  if (m_failure || (m_stopping && !failure)) return;
  const bool running = !m_stopping;
  m_failure = std::move(failure);
  if (!m_failure) {
    m_stopping = true;
    service::notify_stopping();
  }
  if (running && m_links) m_links->stop();
  // What has failed answers nobody any more; else requests under way get their answers.
  if (m_failure || !m_etsi) return m_loop.stop();
  m_etsi->stop(kStopGrace, [this] {
    perform(m_kme->end(net::Loop::now()));
    end_turn();  // there is no other: the record of the last keys, and whether the store could be closed
    m_loop.stop();
  });
}

}  // namespace quipu::kmsd
