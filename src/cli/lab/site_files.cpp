// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/site_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/encoding.h"
#include "cli/files.h"
#include "control/json.h"
#include "crypto/pki.h"
#include "crypto/x25519.h"

namespace quipu::cli::lab {
namespace {

using std::chrono::days;
using std::chrono::hours;

struct SiteKeys {
  crypto::X25519PrivateKey private_key;
  crypto::X25519PublicKey public_key;
};

crypto::Validity validity_of_a_lab() {
  const WallTime now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  return {.not_before = now - hours(1), .not_after = now + days(90)};
}

Result<void> write_certificate(const std::filesystem::path& folder, const std::string& name,
                               const crypto::CertificateAndKey& issued) {
  QUIPU_TRY(write_new_file(folder / (name + ".pem"), as_bytes(issued.certificate_pem), kPublicFileMode));
  return write_new_file(folder / (name + ".key"), issued.private_key_pem.view(), kSecretFileMode);
}

// One certificate per role, named for what it is: the SAE (quipud), the KME's ETSI 014 server, the KME on its KM link.
Result<void> write_certificates(const Site& site, const crypto::CertificateAndKey& ca,
                                const crypto::Validity& validity) {
  const std::filesystem::path folder = site.folder / "pki";
  std::filesystem::create_directory(folder);
  QUIPU_TRY(write_new_file(folder / "ca.pem", as_bytes(ca.certificate_pem), kPublicFileMode));
  const IpAddress loopback = *IpAddress::parse("127.0.0.1");
  const IpAddress outside = *IpAddress::parse(site.underlay_address);
  for (const std::string role : {"sae", "kme"}) {
    const std::string name = role + "-" + site.letter;
    const crypto::CertificateNames names{
        .common_name = name, .uris = {}, .dns = {name}, .addresses = {loopback, outside}};
    QUIPU_TRY_ASSIGN(const auto issued, crypto::issue_certificate(ca.certificate_pem, ca.private_key_pem, names,
                                                                  crypto::CertificateKey::ecdsa_p256, validity));
    QUIPU_TRY(write_certificate(folder, name, issued));
  }
  return {};
}

using SiteKeyMap = std::map<std::string, SiteKeys>;  // by letter

// "a-b"
std::string name_of(const config::LabPair& pair) {
  return pair[0] + "-" + pair[1];
}

// "a-b", "a-b-2", ...
std::string name_of(const config::LabLinkConfig& link) {
  return name_of(link.between) + (link.number == 1 ? "" : fmt::format("-{}", link.number));
}

// The site at the other end; nothing when `own` is at none.
const Site* other_end(const Run& run, const config::LabPair& pair, const Site& own) {
  if (pair[0] != own.letter && pair[1] != own.letter) return nullptr;
  return &run.site(pair[0] == own.letter ? pair[1] : pair[0]);
}

std::string device_section(const Site& own, const LabOptions& options) {
  return fmt::format(R"([device]
name = "quipu0"
private_key_file = "{dir}/device.key"
listen_port = 51900
addresses = ["{address}/24", "{address6}/64"]
mtu = {mtu}
state_dir = "{dir}/state"
control_socket = "{control}"

[kms.local]
url = "https://127.0.0.1:8014"
sae_id = "sae-{own}"
ca = "{dir}/pki/ca.pem"
cert = "{dir}/pki/sae-{own}.pem"
key = "{dir}/pki/sae-{own}.key"
)",
                     fmt::arg("dir", own.folder.string()), fmt::arg("address", own.tunnel_address),
                     fmt::arg("address6", own.tunnel_address6), fmt::arg("mtu", options.path_mtu - kTunnelOverhead),
                     fmt::arg("control", own.control_socket().string()), fmt::arg("own", own.letter));
}

std::string peer_section(const Site& own, const Site& other, const std::string& pair,
                         const crypto::X25519PublicKey& other_key, const LabOptions& options) {
  return fmt::format(R"(
[[peer]]
name = "site-{other}"
public_key = "{key}"
psk_file = "{dir}/{pair}.psk"
endpoint = "{endpoint}:51900"
allowed_ips = ["{peer_address}/32", "{peer_address6}/128"]
rekey_interval_s = {interval}
sources = [{{ kms = "local", peer_sae_id = "sae-{other}", simulated = true }}]
)",
                     fmt::arg("dir", own.folder.string()), fmt::arg("pair", pair), fmt::arg("other", other.letter),
                     fmt::arg("key", to_base64(other_key.value())), fmt::arg("endpoint", other.underlay_address),
                     fmt::arg("peer_address", other.tunnel_address), fmt::arg("peer_address6", other.tunnel_address6),
                     fmt::arg("interval", options.rekey_interval_s));
}

std::string kme_section(const Site& own) {
  return fmt::format(R"([kme]
id = "kme-{own}"
store = "{dir}/kms.db"
store_key_file = "{dir}/kms-store.key"
control_socket = "{control}"

[etsi014]
listen = "127.0.0.1:8014"
ca = "{dir}/pki/ca.pem"
cert = "{dir}/pki/kme-{own}.pem"
key = "{dir}/pki/kme-{own}.key"

[km_link]
listen = "{address}:8020"
ca = "{dir}/pki/ca.pem"
cert = "{dir}/pki/kme-{own}.pem"
key = "{dir}/pki/kme-{own}.key"

[[sae]]
id = "sae-{own}"
)",
                     fmt::arg("dir", own.folder.string()), fmt::arg("control", own.kms_control_socket().string()),
                     fmt::arg("own", own.letter), fmt::arg("address", own.underlay_address));
}

std::string peer_kme_section(const Site& other) {
  return fmt::format(R"(
[[peer_kme]]
id = "kme-{other}"
address = "{address}:8020"
saes = ["sae-{other}"]
)",
                     fmt::arg("other", other.letter), fmt::arg("address", other.underlay_address));
}

// A port of its own for each link that one site listens on.
std::uint32_t fibre_port(const Site& bob, const config::LabLinkConfig& link) {
  constexpr std::uint32_t kLetters = 26;
  return 8030 + (link.number - 1) * kLetters + static_cast<std::uint32_t>(bob.letter[0] - 'a');
}

// The end with the lower letter listens on the emulated fibre, the other one connects to it.
std::string link_section(const Run& run, const Site& own, const Site& other, const config::LabLinkConfig& link,
                         const LabOptions& options) {
  const Site& alice = run.site(link.between[0]);
  const Site& bob = run.site(link.between[1]);
  // As they stand in the file.
  std::map<std::string, std::string> all{
      {"role", &own == &alice ? R"("alice")" : R"("bob")"},
      {"fibre", fmt::format("\"{}:{}\"", alice.underlay_address, fibre_port(bob, link))},
      {"skr_bit_s", std::to_string(options.skr_bit_s)},
      {"qber", fmt::format("{}", options.qber)},
      {"initial_bits", std::to_string(options.initial_bits)}};
  for (const auto& [name, value] : link.options) {
    all[name].clear();
    control::append_json_string(all[name], value);  // a text of JSON is one of TOML
  }
  std::string out = fmt::format(R"(
[[link]]
name = "{link}"
peer_kme = "kme-{other}"
driver = "sim"
allow_simulated = true
[link.options]
)",
                                fmt::arg("link", name_of(link)), fmt::arg("other", other.letter));
  for (const auto& [name, value] : all)
    out += fmt::format("{} = {}\n", name, value);
  return out;
}

std::string pool_keys(const config::LabTopology& topology, const config::LabPair& pair) {
  const auto pool = std::ranges::find(topology.pools, pair, &config::LabPoolConfig::between);
  return pool == topology.pools.end() ? "" : fmt::format("combiner = \"{}\"\n", pool->combiner);
}

std::string kmsd_configuration(const Run& run, const config::LabTopology& topology, const Site& own,
                               const LabOptions& options) {
  std::string out = kme_section(own);
  for (const config::LabLinkConfig& link : topology.links)
    if (const Site* other = other_end(run, link.between, own)) {
      if (link.number == 1) out += peer_kme_section(*other) + pool_keys(topology, link.between);
      out += link_section(run, own, *other, link, options);
    }
  for (const config::LabRelayConfig& relay : topology.relays)
    if (const Site* other = other_end(run, relay.between, own))
      out += peer_kme_section(*other) +
             fmt::format("relay_stock_bit = {}\nrelay_paths = {}\n", relay.stock_bit, relay.paths);
  if (std::ranges::find(topology.trusted_nodes, own.letter) != topology.trusted_nodes.end())
    out += "\n[relay]\ntrusted_node = true\n";
  return out;
}

std::string quipud_configuration(const Run& run, const config::LabTopology& topology, const Site& own,
                                 const SiteKeyMap& keys, const LabOptions& options) {
  std::string out = device_section(own, options);
  for (const config::LabPair& tunnel : topology.tunnels)
    if (const Site* other = other_end(run, tunnel, own))
      out += peer_section(own, *other, name_of(tunnel), keys.at(other->letter).public_key, options);
  return out;
}

Result<void> write_site(const Site& own, const crypto::CertificateAndKey& ca, const crypto::Validity& validity,
                        const SiteKeys& keys, crypto::Rng& rng) {
  std::filesystem::create_directories(own.folder / "state");
  std::filesystem::permissions(own.folder, std::filesystem::perms::owner_all);
  QUIPU_TRY(write_certificates(own, ca, validity));
  QUIPU_TRY(write_new_key_file(own.folder / "device.key", keys.private_key.view()));
  Secret<32> store_key;
  rng.fill(store_key.mutable_view());
  return write_new_key_file(own.folder / "kms-store.key", store_key.view());
}

// One pre-shared key for each tunnel.
Result<void> write_pre_shared_keys(const Run& run, const config::LabTopology& topology, crypto::Rng& rng) {
  for (const config::LabPair& tunnel : topology.tunnels) {
    Secret<32> key;
    rng.fill(key.mutable_view());
    for (const std::string& end : tunnel)
      QUIPU_TRY(write_new_key_file(run.site(end).folder / (name_of(tunnel) + ".psk"), key.view()));
  }
  return {};
}

}  // namespace

Result<void> write_site_files(const Run& run, const config::LabTopology& topology, const LabOptions& options) {
  crypto::SystemRng rng;
  const crypto::Validity validity = validity_of_a_lab();
  QUIPU_TRY_ASSIGN(const auto ca,
                   crypto::create_ca("Quipu laboratory " + run.id, crypto::CertificateKey::ecdsa_p256, validity));
  SiteKeyMap keys;
  for (const Site& site : run.sites) {
    SiteKeys& made = keys[site.letter];
    made.private_key = crypto::generate_x25519(rng);
    made.public_key = crypto::x25519_public_key(made.private_key);
    QUIPU_TRY(write_site(site, ca, validity, made, rng));
  }
  QUIPU_TRY(write_pre_shared_keys(run, topology, rng));
  for (const Site& site : run.sites) {
    const std::string kms = kmsd_configuration(run, topology, site, options);
    QUIPU_TRY(write_new_file(site.folder / "kms.toml", as_bytes(kms), kPublicFileMode));
    if (site.daemons == 1) continue;
    const std::string device = quipud_configuration(run, topology, site, keys, options);
    QUIPU_TRY(write_new_file(site.folder / "quipu.toml", as_bytes(device), kPublicFileMode));
  }
  return {};
}

}  // namespace quipu::cli::lab
