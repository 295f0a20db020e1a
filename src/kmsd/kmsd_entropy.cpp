// SPDX-License-Identifier: Apache-2.0
// The entropy source of blocks for relay, between the loop and the core.
#include "kmsd/kmsd.h"
#include "kmsd/status.h"

namespace quipu::kmsd {

void Kmsd::start_entropy() {
  const std::string& source = m_configuration.values.relay.entropy_source;
  if (source.empty()) return;
  EntropyReader::Events events{
      .room = [this] { return m_kme->entropy_room(); },
      .received = [this](ByteView octets) { perform(m_kme->entropy_received(octets, net::Loop::now())); },
      .gone = [this] { perform(m_kme->entropy_gone(net::Loop::now())); }};
  m_entropy.emplace(m_loop, source, std::move(events), m_log);
  m_entropy->wake();
}

std::optional<control::EntropyStatus> Kmsd::entropy_status(const kms::RelayStatus& relay) const {
  if (!relay.entropy || !m_entropy) return std::nullopt;
  return make_entropy_status(*relay.entropy, m_entropy->path(), m_entropy->problem());
}

}  // namespace quipu::kmsd
