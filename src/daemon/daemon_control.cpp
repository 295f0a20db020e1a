// SPDX-License-Identifier: Apache-2.0
// What an admin asks of the running daemon: the verbs of the control socket, and SIGHUP.
#include <algorithm>

#include "config/diff.h"
#include "daemon/daemon.h"
#include "daemon/event_names.h"
#include "daemon/guards.h"
#include "service/notify.h"

namespace quipu::daemon {
namespace {

constexpr std::string_view kTunnelHint = "'quipu status' shows the state of the tunnel and why it is not up";
constexpr std::string_view kReloadHint =
    "no tunnel was changed; 'quipud --check' reads the configuration and what it names without touching the daemon";

// A name that no tunnel has is told with those that there are.
std::string tunnel_error(const Error& error) {
  return control::encode_error(error, error.code == Errc::not_found ? "" : kTunnelHint);
}

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

// What the one plan protects and the other does not.
std::vector<std::string> opened(const netlink::LinkPlan& before, const netlink::LinkPlan& after) {
  std::vector<std::string> out;
  for (const IpPrefix& prefix : before.prefixes)
    if (!after.protects(prefix)) out.push_back(prefix.text());
  for (const IpPrefix& network : after.local_networks)
    if (before.protects(network)) out.push_back(network.text());
  return out;
}

// "kms.NAME" of each.
void append_kms(const std::vector<config::KmsConfig>& from, std::vector<std::string>& to) {
  for (const config::KmsConfig& kms : from)
    to.push_back("kms." + kms.name);
}

void append_once(std::vector<std::string>& list, std::string text) {
  if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ",") + name;
  return text;
}

}  // namespace

Result<void> Daemon::open_control(const config::DeviceConfig& device) {
  service::ControlServerOptions options;
  options.path = device.control_socket;
  QUIPU_TRY_ASSIGN(m_control, service::ControlServer::create(
                                  std::move(options),
                                  [this](const control::Request& request, service::ControlServer::ClientId client) {
                                    return on_request(request, client);
                                  },
                                  m_log));
  return {};
}

std::optional<std::string> Daemon::on_request(const control::Request& request,
                                              service::ControlServer::ClientId client) {
  return std::visit(
      Overloaded{
          [&](const control::StatusRequest&) -> std::optional<std::string> {
            return control::encode_ok(control::to_json(status()));
          },
          [&](const control::RekeyRequest& verb) { return rekey(verb, client); },
          [&](const control::ReloadRequest&) -> std::optional<std::string> {
            const auto result = reload();
            if (!result) return control::encode_error(result.error(), kReloadHint);
            return control::encode_ok(control::to_json(*result));
          },
          [&](const control::PermitStampJumpRequest& verb) -> std::optional<std::string> {
            const auto permitted = m_engine->permit_stamp_jump(verb.peer);
            if (!permitted) return tunnel_error(permitted.error());
            m_log.warning(event::kStampJumpPermitted, "one jump of stamps is permitted", {{"peer", verb.peer}});
            return control::encode_ok("{}");
          },
          [&](const control::AuditRequest&) -> std::optional<std::string> {
            return control::encode_error(Error{Errc::unsupported, "quipud keeps no audit log: quipu-kmsd does"});
          },
          [&](const control::RelayRoutesRequest&) -> std::optional<std::string> {
            return control::encode_error(Error{Errc::unsupported, "quipud relays no keys"},
                                         "ask quipu-kmsd: quipu --kms-socket");
          },
          [&](const control::VoidPoolRequest&) -> std::optional<std::string> {
            return control::encode_error(Error{Errc::unsupported, "quipud has no pools: quipu-kmsd has"});
          },
          [&](const control::BackupRequest&) -> std::optional<std::string> {
            return control::encode_error(Error{Errc::unsupported, "quipud has no store of keys: quipu-kmsd has"});
          },
      },
      request);
}

std::optional<std::string> Daemon::rekey(const control::RekeyRequest& request,
                                         service::ControlServer::ClientId client) {
  const auto started = m_engine->rekey(request.peer, [this, client](Result<control::RekeyResult> result) {
    m_control->answer(client, result ? control::encode_ok(control::to_json(*result)) : tunnel_error(result.error()));
  });
  if (!started) return tunnel_error(started.error());
  return std::nullopt;
}

Result<control::ReloadResult> Daemon::reload() {
  service::notify_reloading();
  auto settings = load_settings(m_config_file);
  // Whatever it is that cannot be used: for whoever asked, the configuration is invalid.
  if (!settings) settings.error().code = Errc::malformed;
  auto result = settings ? apply(std::move(*settings)) : std::unexpected(settings.error());
  if (result)
    log_reload(*result);
  else
    m_log.error(event::kReloadRefused, "the new configuration is not in effect", {error_field(result.error())});
  service::notify_ready();
  return result;
}

// What is newly protected is guarded before any route or peer changes; what is no longer protected is opened last.
// Where the kernel refuses a step, those before it are taken back.
Result<void> Daemon::change_routes(const netlink::LinkPlan& plan) {
  QUIPU_TRY(m_routes.check_change(m_plan, plan));
  netlink::LinkPlan guarded = m_plan;
  QUIPU_TRY_ASSIGN(guarded.prefixes, m_routes.guards());
  const Result<void> changed = m_routes.apply(m_plan, plan);
  if (changed) return {};
  Result<void> undone = m_routes.apply(plan, m_plan, guarded.prefixes);
  // What the change has taken away of an older configuration's blackholes.
  if (undone) undone = m_routes.guard(guarded);
  if (undone) return changed;
  return fail(changed.error().code, changed.error().text + "; and the routes cannot be put back as they were (" +
                                        undone.error().text +
                                        "): what only the new configuration protects may stay guarded until 'quipud "
                                        "--remove-guards PREFIX'");
}

// As a whole, or not at all: the peers are known to be good before a route changes, and they change last.
Result<control::ReloadResult> Daemon::apply(Settings settings) {
  config::QuipudDiff changes = config::diff(m_config, settings.config);
  // The key in use is that of the start, whatever its file holds by now.
  if (crypto::x25519_public_key(settings.private_key) != m_engine->public_key())
    append_once(changes.needs_restart, "device.private_key_file");
  settings.plan.name = m_plan.name;
  settings.plan.mtu = m_plan.mtu;
  QUIPU_TRY(m_engine->check(settings));
  QUIPU_TRY(change_routes(settings.plan));
  config::QuipudConfig config = settings.config;
  const netlink::LinkPlan plan = settings.plan;
  const std::vector<service::Certificate> certificates = certificates_of(settings);
  QUIPU_TRY_ASSIGN(control::ReloadResult result, m_engine->reconfigure(std::move(settings)));
  result.unprotected = opened(m_plan, plan);
  m_plan = plan;
  m_certificates.set(certificates);
  note_guards();
  append_kms(changes.kms.added, result.added);
  append_kms(changes.kms.removed, result.removed);
  append_kms(changes.kms.changed, result.changed);
  if (changes.addresses) result.changed.emplace_back("device.addresses");
  if (changes.local_networks) result.changed.emplace_back("device.local_networks");
  if (changes.log_level) result.changed.emplace_back("device.log_level");
  result.needs_restart = changes.needs_restart;
  // Whichever of the two levels lets it through, the reload stands in the log.
  m_log.set_level(std::max(m_config.device.log_level, config.device.log_level));
  // What has no effect before a restart stays as it is, so that the next reload says so again.
  config::DeviceConfig device = m_config.device;
  device.addresses = config.device.addresses;
  device.local_networks = config.device.local_networks;
  device.log_level = config.device.log_level;
  config.device = std::move(device);
  m_config = std::move(config);
  m_link->check();
  return result;
}

void Daemon::note_guards() {
  if (const auto remembered = remember_guards(m_plan); !remembered)
    m_log.error(event::kGuardsNotStored, "what is protected could not be noted for a start without a configuration",
                {error_field(remembered.error()), {"alarm", "yes"}});
}

void Daemon::log_reload(const control::ReloadResult& result) {
  if (!result.unprotected.empty())
    m_log.warning(event::kUnprotected, "prefixes are no longer protected: they are routed in clear",
                  {{"prefix", joined(result.unprotected)}});
  m_log.info(event::kReloaded, "the new configuration is in effect",
             {{"added", joined(result.added)},
              {"changed", joined(result.changed)},
              {"removed", joined(result.removed)},
              {"needs_restart", joined(result.needs_restart)}});
  m_log.set_level(m_config.device.log_level);
}

}  // namespace quipu::daemon
