// SPDX-License-Identifier: Apache-2.0
#include "daemon/settings.h"

#include "service/files.h"
#include "service/named_files.h"

namespace quipu::daemon {
namespace {

constexpr std::size_t kMaxConfigSize = std::size_t{1} << 20;

Result<config::QuipudConfig> read_config(const std::string& file) {
  QUIPU_TRY_ASSIGN(const std::string text, service::read_text_file(file, kMaxConfigSize));
  auto parsed = config::parse_quipud(text);
  if (!parsed) return std::unexpected(config::to_error(file, parsed.error()));
  return std::move(*parsed);
}

// A KMS takes us for whom the certificate names. Which of its names that is, is the KMS's choice.
void check_identity(const config::KmsConfig& kms, const net::PeerIdentity& certificate, service::NamedFiles& files) {
  const std::string& id = kms.sae_id.value();
  if (certificate.is(id) || certificate.common_name == id || certificate.serial_number == id) return;
  std::string names;
  for (const std::string& name : certificate.names())
    names += (names.empty() ? "\"" : ", \"") + name + "\"";
  files.refuse({.position = kms.sae_id_position,
                .key = "kms." + kms.name + ".sae_id",
                .problem = "is \"" + id + "\", and the certificate in " + kms.tls.cert.name + " is that of " +
                           (names.empty() ? "nobody" : names),
                .advice = "name the file of that SAE, or the id in it"});
}

KmsSettings load_kms(const config::KmsConfig& kms, service::NamedFiles& files) {
  const service::TlsEnd end = files.tls(kms.tls);
  if (end.context != nullptr) check_identity(kms, end.context->own(), files);
  return {.config = kms, .tls = end};
}

Result<netlink::LinkPlan> plan_of(const config::QuipudConfig& config) {
  netlink::LinkConfig link{.name = config.device.name,
                           .mtu = static_cast<int>(config.device.mtu),
                           .addresses = config.device.addresses,
                           .allowed_ips = {},
                           .local_networks = config.device.local_networks,
                           .endpoints = {}};
  for (const config::PeerConfig& peer : config.peers) {
    link.allowed_ips.insert(link.allowed_ips.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
    if (peer.endpoint && peer.endpoint->literal) link.endpoints.push_back(peer.endpoint->literal->address);
  }
  return netlink::plan_link(link);
}

protocol::QkdUse qkd_use(config::QkdPolicy policy) {
  switch (policy) {
    case config::QkdPolicy::required: return protocol::QkdUse::required;
    case config::QkdPolicy::preferred: return protocol::QkdUse::preferred;
    case config::QkdPolicy::off: return protocol::QkdUse::off;
  }
  QUIPU_ASSERT(false);
  return protocol::QkdUse::required;
}

}  // namespace

protocol::Policy policy_of(const config::PeerConfig& peer, const config::QuipudConfig& config) {
  protocol::Policy policy;
  policy.qkd = qkd_use(peer.qkd);
  if (peer.qkd == config::QkdPolicy::required) policy.min_sources = static_cast<std::uint8_t>(peer.min_sources);
  for (const config::SourceConfig& source : peer.sources) {
    const config::KmsConfig* kms = config.find_kms(source.kms);
    QUIPU_ASSERT(kms != nullptr);  // the configuration was validated
    policy.sources.push_back({.kms = source.kms,
                              .own = kms->sae_id,
                              .peer = source.peer_sae_id,
                              .kind = protocol::KeyKind::etsi014,
                              .simulated = source.simulated});
  }
  return policy;
}

Result<void> check_peer(const PeerSettings& peer, const config::QuipudConfig& config) {
  const auto checked = protocol::check_peer(to_protocol(peer, policy_of(peer.config, config), protocol::PeerId{}));
  if (!checked) return fail_at("peer '" + peer.config.name + "'", checked.error());
  return {};
}

Result<netlink::LinkPlan> load_plan(const std::string& file) {
  QUIPU_TRY_ASSIGN(const config::QuipudConfig config, read_config(file));
  return plan_of(config);
}

Result<Settings> load_settings(const std::string& file, const service::UnitUser* reader) {
  if (reader != nullptr) QUIPU_TRY(reader->check_readable(file));
  Settings settings;
  QUIPU_TRY_ASSIGN(settings.config, read_config(file));
  service::NamedFiles files(reader);
  settings.private_key = files.key<32>(settings.config.device.private_key_file);
  for (const config::PeerConfig& peer : settings.config.peers)
    settings.peers.push_back({peer, files.key<32>(peer.psk_file)});
  for (const config::KmsConfig& kms : settings.config.kms)
    settings.kms.push_back(load_kms(kms, files));
  QUIPU_TRY(files.outcome(file));
  const auto own = crypto::x25519_public_key(settings.private_key);
  if (const auto refused = config::refuse_own_key(settings.config, own.value()); !refused)
    return std::unexpected(config::to_error(file, refused.error()));
  for (const PeerSettings& peer : settings.peers)
    QUIPU_TRY(check_peer(peer, settings.config));
  QUIPU_TRY_ASSIGN(settings.plan, plan_of(settings.config));
  return settings;
}

std::vector<config::Problem> doubts_about(const Settings& settings) {
  std::vector<config::Problem> doubts;
  for (const KmsSettings& kms : settings.kms)
    if (auto doubt = config::doubt_about(kms.config.tls, kms.tls.context->trusts_an_authority(),
                                         kms.tls.context->trusts_itself()))
      doubts.push_back(*std::move(doubt));
  return doubts;
}

std::vector<service::Certificate> certificates_of(const Settings& settings) {
  std::vector<service::Certificate> out;
  for (const KmsSettings& kms : settings.kms)
    service::append_certificates(kms.config.tls, *kms.tls.context, out);
  return out;
}

protocol::PeerConfig to_protocol(const PeerSettings& peer, const protocol::Policy& policy, protocol::PeerId id) {
  protocol::PeerConfig out;
  out.id = id;
  out.name = peer.config.name;
  out.public_key = crypto::X25519PublicKey(peer.config.public_key);
  out.psk = peer.psk.clone();
  if (peer.config.endpoint) {
    out.endpoint = peer.config.endpoint->literal;
    if (!out.endpoint) out.endpoint_name = peer.config.endpoint->text();
  }
  out.allowed_ips = peer.config.allowed_ips;
  out.policy = policy;
  out.rekey_interval = peer.config.rekey_interval;
  out.max_key_age = peer.config.max_key_age;
  out.tunnel = protocol::TunnelId(peer.config.tunnel_id);
  out.always_on = peer.config.always_on;
  out.persistent_keepalive = peer.config.persistent_keepalive;
  return out;
}

}  // namespace quipu::daemon
