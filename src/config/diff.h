// SPDX-License-Identifier: Apache-2.0
// What a reload has to do. Peers are told apart by public key, KMSs and links by name, KMEs and SAEs by id.
#pragma once

#include <string>
#include <vector>

#include "config/kmsd_config.h"
#include "config/quipud_config.h"

namespace quipu::config {

// For one list of the file: elements of the new configuration by value, those that go by their old value.
template <class T>
struct ListDiff {
  std::vector<T> added{};
  std::vector<T> removed{};
  std::vector<T> changed{};  // as they are now
  std::vector<T> unchanged{};

  bool empty() const { return added.empty() && removed.empty() && changed.empty(); }
};

struct QuipudDiff {
  // A peer of which only the name changed is among the changed.
  ListDiff<PeerConfig> peers;
  ListDiff<KmsConfig> kms;
  bool addresses = false;
  bool local_networks = false;
  bool log_level = false;
  // Keys whose new value has no effect before a restart, as paths: "device.listen_port".
  std::vector<std::string> needs_restart{};

  bool empty() const {
    return peers.empty() && kms.empty() && !addresses && !local_networks && !log_level && needs_restart.empty();
  }
};

struct KmsdDiff {
  ListDiff<SaeConfig> saes;
  ListDiff<PeerKmeConfig> peer_kmes;
  ListDiff<LinkConfig> links;
  bool log_level = false;
  bool etsi014_tls = false;  // other files
  bool min_tls_version = false;
  bool km_link_tls = false;
  std::vector<std::string> needs_restart{};

  bool empty() const {
    return saes.empty() && peer_kmes.empty() && links.empty() && !log_level && !etsi014_tls && !min_tls_version &&
           !km_link_tls && needs_restart.empty();
  }
};

QuipudDiff diff(const QuipudConfig& old_config, const QuipudConfig& new_config);
KmsdDiff diff(const KmsdConfig& old_config, const KmsdConfig& new_config);

}  // namespace quipu::config
