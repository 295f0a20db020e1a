// SPDX-License-Identifier: Apache-2.0
// Any text is a configuration or a list of problems, and what was taken keeps the promises that the types make.
#include <algorithm>
#include <cstdlib>

#include "config/kmsd_config.h"
#include "config/lab_topology.h"
#include "config/quipud_config.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const quipu::config::QuipudConfig& config) {
  for (const auto& peer : config.peers) {
    require(peer.rekey_interval.count() >= 1 && peer.rekey_interval.count() <= 3600);
    require(peer.max_key_age > peer.rekey_interval);
    require(peer.min_sources <= peer.sources.size());
    require(!peer.allowed_ips.empty());
    for (const auto& prefix : peer.allowed_ips)
      require(prefix.masked() == prefix);
    for (const auto& source : peer.sources)
      require(config.find_kms(source.kms) != nullptr);
    if (peer.endpoint) require(quipu::config::HostPort::parse(peer.endpoint->text()) == peer.endpoint);
  }
  for (const auto& kms : config.kms) {
    require(quipu::config::HttpsUrl::parse(kms.url.text()) == kms.url);
    for (const auto& url : kms.standby_urls)
      require(quipu::config::HttpsUrl::parse(url.text()) == url && url != kms.url);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = quipu::as_text({data, size});
  if (const auto config = quipu::config::parse_quipud(text))
    check(*config);
  else
    require(!config.error().empty());
  if (const auto config = quipu::config::parse_kmsd(text)) {
    for (const auto& link : config->links)
      require(config->find_peer_kme(link.peer_kme) != nullptr);
  } else {
    require(!config.error().empty());
  }
  if (const auto topology = quipu::config::parse_lab_topology(text)) {
    for (const auto& tunnel : topology->tunnels)
      for (const auto& end : tunnel)
        require(std::ranges::find(topology->sites, end) != topology->sites.end());
  } else {
    require(!topology.error().empty());
  }
  return 0;
}
