// SPDX-License-Identifier: Apache-2.0
#include "daemon/status_report.h"

#include <gtest/gtest.h>

#include "daemon/reasons.h"
#include "support/recorded_log.h"
#include "support/run_until.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

struct StatusReport : testing::Test {
  control::TunnelStatus told(const protocol::PeerStatus& peer) { return tunnel_status(peer, m_settings, m_keys); }

  net::Loop m_loop;
  test::RecordedLog m_log;
  bool m_answered = false;
  KeyFetcher m_keys{m_loop,
                    m_log,
                    {.on_answer = [this](const protocol::RequestKey&, const Result<FetchedKey>&) { m_answered = true; },
                     .on_stock = [](protocol::PeerId, std::uint8_t, std::optional<std::uint64_t>) {}}};
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

// It may be of long ago: a KMS is not asked while it is the other site that lacks keys.
TEST_F(StatusReport, AnErrorOfTheKmsHereIsNotToldForALackThere) {
  const protocol::KeySource gone{.kms = "gone", .own = SaeId("sae-a"), .peer = SaeId("sae-b")};
  m_settings.policy.sources = {gone};
  m_keys.fetch({.id = protocol::KeyRequestId(1),
                .peer = protocol::PeerId(1),
                .source = gone,
                .key_id = {},
                .deadline = net::Loop::now()});
  test::run_until(m_loop, [&] { return m_answered; }, "an answer");
  protocol::PeerStatus peer = up();
  peer.qkd = protocol::QkdState::stretch;
  for (const auto& [lack, here] :
       {std::pair{protocol::Lack::keys_here, true}, std::pair{protocol::Lack::keys_there, false},
        std::pair{protocol::Lack::unknown_here, true}, std::pair{protocol::Lack::unknown_there, false}}) {
    peer.lack = lack;
    EXPECT_EQ(told(peer).reason.find("KMS 'gone': ") != std::string::npos, here) << told(peer).reason;
  }
  peer.qkd = protocol::QkdState::reduced;
  EXPECT_NE(told(peer).reason.find("KMS 'gone': "), std::string::npos);
}

TEST_F(StatusReport, HandshakesThatDoNotSucceedAreToldThoughDataFlow) {
  protocol::PeerStatus peer = up();
  peer.unanswered = true;
  EXPECT_EQ(told(peer).state, control::TunnelState::up);
  EXPECT_EQ(told(peer).reason, to_string(Reason::unanswered));
}

}  // namespace
}  // namespace quipu::daemon
