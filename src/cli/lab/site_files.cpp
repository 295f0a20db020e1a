// SPDX-License-Identifier: Apache-2.0
#include "cli/lab/site_files.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "cli/files.h"
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

std::string quipud_configuration(const Site& own, const Site& other, const crypto::X25519PublicKey& other_key,
                                 const LabOptions& options) {
  return fmt::format(R"([device]
name = "quipu0"
private_key_file = "{dir}/device.key"
listen_port = 51900
addresses = ["{address}/24", "{address6}/64"]
state_dir = "{dir}/state"
control_socket = "{control}"

[kms.local]
url = "https://127.0.0.1:8014"
sae_id = "sae-{own}"
ca = "{dir}/pki/ca.pem"
cert = "{dir}/pki/sae-{own}.pem"
key = "{dir}/pki/sae-{own}.key"

[[peer]]
name = "site-{other}"
public_key = "{key}"
psk_file = "{dir}/peer.psk"
endpoint = "{endpoint}:51900"
allowed_ips = ["{peer_address}/32", "{peer_address6}/128"]
rekey_interval_s = {interval}
sources = [{{ kms = "local", peer_sae_id = "sae-{other}", simulated = true }}]
)",
                     fmt::arg("dir", own.folder.string()), fmt::arg("address", own.tunnel_address),
                     fmt::arg("address6", own.tunnel_address6), fmt::arg("control", own.control_socket().string()),
                     fmt::arg("own", own.letter), fmt::arg("other", other.letter),
                     fmt::arg("key", to_base64(other_key.value())), fmt::arg("endpoint", other.underlay_address),
                     fmt::arg("peer_address", other.tunnel_address), fmt::arg("peer_address6", other.tunnel_address6),
                     fmt::arg("interval", options.rekey_interval_s));
}

std::string kmsd_configuration(const Run& run, const Site& own, const Site& other, const LabOptions& options) {
  // The end with the lower letter listens on the emulated fibre, the other one connects to it.
  const bool alice = own.letter < other.letter;
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

[[peer_kme]]
id = "kme-{other}"
address = "{other_address}:8020"
saes = ["sae-{other}"]

[[link]]
name = "a-b"
peer_kme = "kme-{other}"
driver = "sim"
allow_simulated = true
[link.options]
role = "{role}"
fibre = "{fibre}:8030"
skr_bit_s = {skr}
qber = {qber}
initial_bits = {initial}
)",
                     fmt::arg("dir", own.folder.string()), fmt::arg("control", own.kms_control_socket().string()),
                     fmt::arg("own", own.letter), fmt::arg("other", other.letter),
                     fmt::arg("address", own.underlay_address), fmt::arg("other_address", other.underlay_address),
                     fmt::arg("role", alice ? "alice" : "bob"), fmt::arg("fibre", run.sites[0].underlay_address),
                     fmt::arg("skr", options.skr_bit_s), fmt::arg("qber", options.qber),
                     fmt::arg("initial", options.initial_bits));
}

}  // namespace

Result<void> write_site_files(const Run& run, const LabOptions& options) {
  crypto::SystemRng rng;
  const crypto::Validity validity = validity_of_a_lab();
  QUIPU_TRY_ASSIGN(const auto ca,
                   crypto::create_ca("Quipu laboratory " + run.id, crypto::CertificateKey::ecdsa_p256, validity));
  std::array<SiteKeys, 2> keys;
  for (SiteKeys& site : keys) {
    site.private_key = crypto::generate_x25519(rng);
    site.public_key = crypto::x25519_public_key(site.private_key);
  }
  Secret<32> pre_shared_key;
  rng.fill(pre_shared_key.mutable_view());
  for (std::size_t i = 0; i < run.sites.size(); ++i) {
    const Site& own = run.sites[i];
    const Site& other = run.sites[1 - i];
    std::filesystem::create_directories(own.folder / "state");
    std::filesystem::permissions(own.folder, std::filesystem::perms::owner_all);
    Secret<32> store_key;
    rng.fill(store_key.mutable_view());
    QUIPU_TRY(write_certificates(own, ca, validity));
    QUIPU_TRY(write_new_key_file(own.folder / "device.key", keys[i].private_key.view()));
    QUIPU_TRY(write_new_key_file(own.folder / "peer.psk", pre_shared_key.view()));
    QUIPU_TRY(write_new_key_file(own.folder / "kms-store.key", store_key.view()));
    QUIPU_TRY(write_new_file(own.folder / "quipu.toml",
                             as_bytes(quipud_configuration(own, other, keys[1 - i].public_key, options)),
                             kPublicFileMode));
    QUIPU_TRY(write_new_file(own.folder / "kms.toml", as_bytes(kmsd_configuration(run, own, other, options)),
                             kPublicFileMode));
  }
  return {};
}

}  // namespace quipu::cli::lab
