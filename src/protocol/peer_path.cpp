// SPDX-License-Identifier: Apache-2.0
// How large a packet the path to the peer carries: probes and their answers. docs/protocol.md, "Path MTU".
#include <algorithm>

#include "protocol/peer_machine.h"

namespace quipu::protocol {

// A tunnel that carries nothing costs nothing: the first packet of an epoch has the limit confirmed, when that is due.
bool PeerMachine::path_matters(TimePoint now) const {
  return session_up(now) && m_endpoint && m_epochs.current()->carried;
}

std::optional<TimePoint> PeerMachine::path_due(TimePoint now) const {
  if (!path_matters(now)) return std::nullopt;
  return m_path_to == m_endpoint ? m_path.next_deadline() : now;
}

void PeerMachine::progress_path(const Context& context) {
  if (!path_matters(context.now)) return;
  if (m_path_to != m_endpoint) {
    m_path_to = m_endpoint;
    m_path.begin(context.now);
  }
  const Duration wait = std::max<Duration>(kPathProbeWait, 2 * m_rtt);
  // Not by send_frame(): a probe may well be lost, so it keeps nothing alive and answers nothing.
  if (const auto probe = m_path.advance(context.now, wait))
    transmit({FrameKind::control}, write_control_frame(MtuProbe{probe->id, probe->size}), context);
}

void PeerMachine::answer_probe(const MtuProbe& probe, const Context& context) {
  if (m_probe_answers.take(context.now))
    send_frame({FrameKind::control}, write_control_frame(MtuAnswer{probe.id}), context);
}

}  // namespace quipu::protocol
