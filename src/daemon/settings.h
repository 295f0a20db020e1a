// SPDX-License-Identifier: Apache-2.0
// The configuration file and every file that it names, read and checked as a whole: what a start, a reload and
// `--check` have in common. Nothing is in effect yet when this has succeeded, and nothing was changed when it fails.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "config/quipud_config.h"
#include "net/tls.h"
#include "netlink/link_plan.h"
#include "protocol/device.h"
#include "service/certificates.h"
#include "service/named_files.h"
#include "service/unit_user.h"

namespace quipu::daemon {

struct PeerSettings {
  config::PeerConfig config;
  protocol::PreSharedKey psk;
};

struct KmsSettings {
  config::KmsConfig config;
  service::TlsEnd tls;
};

struct Settings {
  config::QuipudConfig config;
  crypto::X25519PrivateKey private_key;
  std::vector<PeerSettings> peers;  // in the order of the file
  std::vector<KmsSettings> kms;
  netlink::LinkPlan plan;
};

// What the configuration protects, from that file alone: no key, certificate or pre-shared key is read, so it works
// where those cannot be.
Result<netlink::LinkPlan> load_plan(const std::string& file);

// `reader` is who will read it, where this is a check only. The text of an error names the file, and the place in it
// where there is one.
Result<Settings> load_settings(const std::string& file, const service::UnitUser* reader = nullptr);

// What in the certificates may be a mistake.
std::vector<config::Problem> doubts_about(const Settings& settings);

// Ours, of each KMS.
std::vector<service::Certificate> certificates_of(const Settings& settings);

// What the tunnel to this peer demands. The configuration was validated.
protocol::Policy policy_of(const config::PeerConfig& peer, const config::QuipudConfig& config);
// Whether a Device takes this peer.
Result<void> check_peer(const PeerSettings& peer, const config::QuipudConfig& config);
// A peer as the Device wants it.
protocol::PeerConfig to_protocol(const PeerSettings& peer, const protocol::Policy& policy, protocol::PeerId id);

}  // namespace quipu::daemon
