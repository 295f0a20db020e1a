// SPDX-License-Identifier: Apache-2.0
// How large a packet the path to the peer carries: probes and their answers. docs/protocol.md, "Path MTU".
#include "protocol/peer_machine.h"

namespace quipu::protocol {

// A tunnel that carries nothing costs nothing: another path is probed when there is a packet for it. Whoever has the
// endpoint move back and forth, be it by copies of the peer's packets, does not have large probes sent to each place.
std::optional<TimePoint> PeerMachine::path_due(TimePoint now) const {
  if (!session_up(now) || !m_endpoint) return std::nullopt;
  if (m_path_to == m_endpoint) return m_path.next_deadline();
  if (!m_path.used()) return std::nullopt;
  return m_path_begins.free_at();
}

void PeerMachine::progress_path(const Context& context) {
  if (const auto due = path_due(context.now); !due || *due > context.now) return;
  if (m_path_to != m_endpoint) {
    m_path_begins.spend(context.now);
    m_path_to = m_endpoint;
    m_path.begin(context.now);
  }
  // Not by send_frame(): a probe may well be lost, so it keeps nothing alive and answers nothing.
  if (const auto probe = m_path.advance(context.now))
    transmit({FrameKind::control}, write_control_frame(MtuProbe{probe->id, probe->size}), context);
}

void PeerMachine::answer_probe(const MtuProbe& probe, const Context& context) {
  if (m_probe_answers.take(context.now))
    send_frame({FrameKind::control}, write_control_frame(MtuAnswer{probe.id}), context);
}

}  // namespace quipu::protocol
