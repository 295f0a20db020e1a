// SPDX-License-Identifier: Apache-2.0
#include "daemon/status_report.h"

#include <gtest/gtest.h>

#include "daemon/reasons.h"
#include "support/recorded_log.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

struct StatusReport : testing::Test {
  control::TunnelStatus told(const protocol::PeerStatus& peer) { return tunnel_status(peer, m_settings, m_keys); }

  net::Loop m_loop;
  test::RecordedLog m_log;
  KeyFetcher m_keys{m_loop, m_log, {}};
  TablePeer m_settings{};
};

protocol::PeerStatus up() {
  protocol::PeerStatus peer;
  peer.endpoint = Endpoint::parse("192.0.2.1:51900");
  peer.session_up = true;
  peer.qkd = protocol::QkdState::ok;
  return peer;
}

TEST_F(StatusReport, ATunnelThatIsWellHasNoReason) {
  EXPECT_EQ(told(up()).state, control::TunnelState::up);
  EXPECT_EQ(told(up()).reason, "");
}

TEST_F(StatusReport, ASilentPeerIsToldBeforeKeysThatLack) {
  protocol::PeerStatus peer = up();
  peer.silent = true;
  EXPECT_EQ(told(peer).reason, to_string(Reason::silent));
  peer.qkd = protocol::QkdState::stretch;
  EXPECT_EQ(told(peer).state, control::TunnelState::up);
  EXPECT_EQ(told(peer).reason, to_string(Reason::silent));
  peer.silent = false;
  EXPECT_TRUE(told(peer).reason.starts_with(to_string(Reason::keys_kept))) << told(peer).reason;
}

TEST_F(StatusReport, ALackOfKeysIsToldAsTheEndKnowsIt) {
  protocol::PeerStatus peer = up();
  peer.qkd = protocol::QkdState::stretch;
  for (const auto& [lack, reason] : {std::pair{protocol::Lack::keys_here, Reason::no_keys_here},
                                     std::pair{protocol::Lack::keys_there, Reason::no_kms_there},
                                     std::pair{protocol::Lack::unknown_here, Reason::unknown_keys_here},
                                     std::pair{protocol::Lack::unknown_there, Reason::unknown_keys_there}}) {
    peer.lack = lack;
    EXPECT_EQ(told(peer).reason, std::string(to_string(Reason::keys_kept)).append(": ").append(to_string(reason)));
  }
  peer.session_up = false;
  peer.qkd = protocol::QkdState::block;
  peer.lack = protocol::Lack::keys_there;
  EXPECT_EQ(told(peer).reason,
            std::string(to_string(Reason::blocked)).append(": ").append(to_string(Reason::no_kms_there)));
}

TEST_F(StatusReport, HandshakesThatDoNotSucceedAreToldThoughDataFlow) {
  protocol::PeerStatus peer = up();
  peer.unanswered = true;
  EXPECT_EQ(told(peer).state, control::TunnelState::up);
  EXPECT_EQ(told(peer).reason, to_string(Reason::unanswered));
}

}  // namespace
}  // namespace quipu::daemon
