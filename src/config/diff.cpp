// SPDX-License-Identifier: Apache-2.0
#include "config/diff.h"

#include <algorithm>
#include <functional>
#include <string_view>

namespace quipu::config {
namespace {

template <class T, class Identity>
ListDiff<T> diff_lists(const std::vector<T>& before, const std::vector<T>& after, Identity identity) {
  ListDiff<T> out;
  for (const T& element : after) {
    const auto old = std::ranges::find(before, std::invoke(identity, element), identity);
    auto& list = old == before.end() ? out.added : *old == element ? out.unchanged : out.changed;
    list.push_back(element);
  }
  for (const T& element : before) {
    if (std::ranges::find(after, std::invoke(identity, element), identity) == after.end())
      out.removed.push_back(element);
  }
  return out;
}

// Collects the paths of keys that differ.
class Changes {
 public:
  template <class T>
  Changes& compare(std::string_view path, const T& before, const T& after) {
    if (!(before == after)) m_paths.emplace_back(path);
    return *this;
  }

  std::vector<std::string> take() { return std::move(m_paths); }

 private:
  std::vector<std::string> m_paths;
};

}  // namespace

QuipudDiff diff(const QuipudConfig& old_config, const QuipudConfig& new_config) {
  QuipudDiff out;
  out.peers = diff_lists(old_config.peers, new_config.peers, &PeerConfig::public_key);
  out.kms = diff_lists(old_config.kms, new_config.kms, &KmsConfig::name);
  const DeviceConfig& before = old_config.device;
  const DeviceConfig& after = new_config.device;
  out.addresses = before.addresses != after.addresses;
  out.local_networks = before.local_networks != after.local_networks;
  out.log_level = before.log_level != after.log_level;
  out.needs_restart = Changes()
                          .compare("device.name", before.name, after.name)
                          .compare("device.private_key_file", before.private_key_file, after.private_key_file)
                          .compare("device.listen_port", before.listen_port, after.listen_port)
                          .compare("device.lanes", before.lanes, after.lanes)
                          .compare("device.mtu", before.mtu, after.mtu)
                          .compare("device.copy_dscp", before.copy_dscp, after.copy_dscp)
                          .compare("device.state_dir", before.state_dir, after.state_dir)
                          .compare("device.control_socket", before.control_socket, after.control_socket)
                          .take();
  return out;
}

KmsdDiff diff(const KmsdConfig& old_config, const KmsdConfig& new_config) {
  KmsdDiff out;
  out.saes = diff_lists(old_config.saes, new_config.saes, &SaeConfig::id);
  out.peer_kmes = diff_lists(old_config.peer_kmes, new_config.peer_kmes, &PeerKmeConfig::id);
  out.links = diff_lists(old_config.links, new_config.links, &LinkConfig::name);
  const KmeConfig& before = old_config.kme;
  const KmeConfig& after = new_config.kme;
  out.log_level = before.log_level != after.log_level;
  const Etsi014Config& old_etsi = old_config.etsi014;
  const Etsi014Config& new_etsi = new_config.etsi014;
  out.etsi014_tls = old_etsi.tls != new_etsi.tls;
  out.min_tls_version = old_etsi.allow_tls12 != new_etsi.allow_tls12;
  out.km_link_tls = old_config.km_link.tls != new_config.km_link.tls;
  out.needs_restart =
      Changes()
          .compare("kme.id", before.id, after.id)
          .compare("kme.store", before.store, after.store)
          .compare("kme.audit_keep_days", before.audit_keep_days, after.audit_keep_days)
          .compare("kme.control_socket", before.control_socket, after.control_socket)
          .compare("etsi014.listen", old_etsi.listen, new_etsi.listen)
          .compare("etsi014.sae_id_from", old_etsi.sae_id_from, new_etsi.sae_id_from)
          .compare("etsi014.key_size_bit", old_etsi.key_size_bit, new_etsi.key_size_bit)
          .compare("etsi014.min_key_size_bit", old_etsi.min_key_size_bit, new_etsi.min_key_size_bit)
          .compare("etsi014.max_key_size_bit", old_etsi.max_key_size_bit, new_etsi.max_key_size_bit)
          .compare("etsi014.max_key_per_request", old_etsi.max_key_per_request, new_etsi.max_key_per_request)
          .compare("km_link.listen", old_config.km_link.listen, new_config.km_link.listen)
          .compare("relay.trusted_node", old_config.relay.trusted_node, new_config.relay.trusted_node)
          .compare("relay.entropy_source", old_config.relay.entropy_source, new_config.relay.entropy_source)
          .compare("relay.route", old_config.relay.routes, new_config.relay.routes)
          .take();
  return out;
}

}  // namespace quipu::config
