// SPDX-License-Identifier: Apache-2.0
#include "cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace quipu::cli {
namespace {

using control::DeviceStatus;
using control::KmsStatus;
using control::LinkState;
using control::QkdState;
using control::TunnelState;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

control::TunnelStatus healthy_tunnel(const std::string& peer) {
  control::TunnelStatus tunnel;
  tunnel.peer = peer;
  tunnel.state = TunnelState::up;
  tunnel.endpoint = "192.0.2.2:51900";
  tunnel.last_handshake_s = 4.1;
  tunnel.epoch = 26113;
  tunnel.epoch_age_s = 4.1;
  tunnel.rekey_interval_s = 10;
  tunnel.effective_rekey_interval_s = 10;
  tunnel.protection_required = "x25519+mlkem768+psk+qkd(1)";
  tunnel.protection_achieved = "x25519+mlkem768+psk+qkd(2)";
  tunnel.qkd = QkdState::ok;
  tunnel.sources.push_back({.kms = "local",
                            .peer_sae_id = "sae-b",
                            .asked = true,
                            .reachable = true,
                            .simulated = false,
                            .stock_keys = 1204,
                            .last_error = {}});
  return tunnel;
}

DeviceStatus device(std::vector<control::TunnelStatus> tunnels) {
  DeviceStatus status;
  status.version = "0.1.0";
  status.device = "quipu0";
  status.listen_port = 51900;
  status.tunnels = std::move(tunnels);
  return status;
}

KmsStatus kms(LinkState km_link, const std::string& link_state) {
  KmsStatus status;
  status.kme = "kme-a";
  control::PoolStatus pool;
  pool.peer_kme = "kme-b";
  pool.km_link = km_link;
  pool.links.push_back({.name = "a-b",
                        .driver = "sim",
                        .state = link_state,
                        .simulated = true,
                        .skr_bit_s = 2390,
                        .qber = 0.019,
                        .blocks = 7,
                        .bits = 0});
  status.pools.push_back(pool);
  return status;
}

TEST(DurationText, KeepsTwoUnits) {
  EXPECT_EQ(duration_text(0), "0.0 s");
  EXPECT_EQ(duration_text(59.94), "59.9 s");
  EXPECT_EQ(duration_text(60), "1 min 0 s");
  EXPECT_EQ(duration_text(12'020), "3 h 20 min");
  EXPECT_EQ(duration_text(3 * 86400 + 4 * 3600 + 5), "3 d 4 h");
}

TEST(SizeText, UsesBinaryUnits) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1024), "1.0 KiB");
  EXPECT_EQ(size_text(std::uint64_t{903} << 30), "903.0 GiB");
  EXPECT_EQ(size_text(~std::uint64_t{0}), "16384.0 PiB");
}

TEST(StatusText, TellsWhatAnAdminLooksFor) {
  EXPECT_THAT(to_text(device({healthy_tunnel("dc-b")})),
              AllOf(HasSubstr("tunnel dc-b  UP\n"), HasSubstr("protection x25519+mlkem768+psk+qkd(2)"),
                    HasSubstr("epoch 26113 (4.1 s of 10.0 s)"), HasSubstr("1204 keys in stock"),
                    Not(HasSubstr("SIMULATED")), Not(HasSubstr("dropped"))));
}

TEST(StatusText, TellsAPathThatIsNarrowerThanTheInterface) {
  auto tunnel = healthy_tunnel("dc-b");
  tunnel.path_mtu = 1400;
  auto status = device({tunnel});
  EXPECT_THAT(to_text(status), Not(HasSubstr("get through"))) << "of a daemon that does not tell it";
  status.mtu = 1400;
  EXPECT_THAT(to_text(status), Not(HasSubstr("get through")));
  status.tunnels[0].path_mtu = 1299;
  EXPECT_THAT(to_text(status), HasSubstr("  packets up to 1299 octets get through the path\n"));
}

TEST(StatusText, TellsOfLanesWhereThereAreSeveral) {
  auto status = device({healthy_tunnel("dc-b")});
  status.listen_port = 51900;
  EXPECT_THAT(to_text(status), AllOf(HasSubstr("  port 51900\n"), Not(HasSubstr("lanes"))));
  status.lanes = 4;
  status.tunnels[0].lanes = 3;
  status.tunnels[0].lanes_in_use = 2;
  EXPECT_THAT(to_text(status), AllOf(HasSubstr("  ports 51900 to 51903\n"), HasSubstr("  lanes 2 of 3 in use\n")));
}

TEST(StatusText, SaysSimulatedWhereverASimulationIs) {
  auto tunnel = healthy_tunnel("dc-b");
  tunnel.simulated = true;
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("tunnel dc-b  UP  SIMULATED\n"));
  tunnel.sources[0].simulated = true;
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("source local for sae-b: reachable, SIMULATED, 1204 keys"));
  EXPECT_THAT(to_text(kms(LinkState::up, "running")), HasSubstr("running  SIMULATED  SKR 2390 bit/s  QBER 1.90 %"));
  KmsStatus restarting = kms(LinkState::up, "backoff");
  restarting.pools[0].simulated = true;
  EXPECT_THAT(to_text(restarting), HasSubstr("pool with kme-b  KM link UP  SIMULATED\n"));
}

TEST(StatusText, LeavesOutWhatIsNotKnown) {
  KmsStatus status = kms(LinkState::up, "backoff: exit 1");
  status.pools[0].links[0].skr_bit_s.reset();
  status.pools[0].links[0].qber.reset();
  EXPECT_THAT(to_text(status), AllOf(Not(HasSubstr("SKR")), Not(HasSubstr("QBER")), Not(HasSubstr(" - "))));
  status.pools[0].oldest_age_s = 14;
  EXPECT_THAT(to_text(status), AllOf(HasSubstr("oldest key material 14.0 s old\n"), Not(HasSubstr("lasts"))));
  status.pools[0].runway_s = 7200;
  EXPECT_THAT(to_text(status), HasSubstr("the stock lasts 2 h 0 min at this rate\n"));
}

// A stock that no request gets anything of is not shown as one to be had.
TEST(StatusText, TellsAPoolThatGivesNoKeys) {
  KmsStatus status = kms(LinkState::up, "running");
  EXPECT_THAT(to_text(status), Not(HasSubstr("STOPPED")));
  status.pools[0].serving = false;
  status.pools[0].stock_bits = 2357504;
  EXPECT_THAT(to_text(status), HasSubstr("pool with kme-b  KM link UP  STOPPED\n  stock 2357.5 kbit"));
  EXPECT_EQ(judge(status), ExitCode::down);
  status.pools[0].simulated = true;
  EXPECT_THAT(to_text(status), HasSubstr("KM link UP  STOPPED  SIMULATED\n"));
}

TEST(StatusText, NamesReasonAndDrops) {
  auto tunnel = healthy_tunnel("dc-b");
  tunnel.state = TunnelState::blocked;
  tunnel.reason = "no QKD key for 30 s";
  tunnel.drops = {{"replay", 3}, {"no_key", 0}};
  tunnel.sources[0].reachable = false;
  tunnel.sources[0].last_error = "connection refused";
  EXPECT_THAT(to_text(device({tunnel})),
              AllOf(HasSubstr("tunnel dc-b  BLOCKED"), HasSubstr("reason no QKD key for 30 s"),
                    HasSubstr("dropped replay 3\n"), HasSubstr("NOT REACHABLE"), HasSubstr("(connection refused)")));
}

TEST(StatusText, OnlyAFullQueueIsCalledOne) {
  DeviceStatus status = device({});
  status.queue_drops = {{"udp_send", 4}, {"tun", 0}};
  status.errors = {{"udp_refused", 6}, {"tun_write", 0}};
  EXPECT_THAT(to_text(status), HasSubstr("  queues full udp_send 4\n  errors udp_refused 6\n"));
}

TEST(StatusText, NamesWhatTheKernelLacksAlone) {
  DeviceStatus status = device({});
  EXPECT_THAT(to_text(status), Not(HasSubstr("kernel")));
  status.offload_missing = {"tun_udp", "udp_gro"};
  EXPECT_THAT(to_text(status), HasSubstr("  this kernel lacks tun_udp, udp_gro: less throughput\n"));
}

// What a KMS said before it fell silent is not passed off as what it would say now.
TEST(StatusText, SaysHowOldTheFiguresOfASilentKmsAre) {
  auto tunnel = healthy_tunnel("dc-b");
  control::KeySourceStatus& source = tunnel.sources[0];
  source.answered_s = 3;
  source.stock_age_s = 9;
  EXPECT_THAT(to_text(device({tunnel})), AllOf(HasSubstr("reachable, 1204 keys in stock\n"), Not(HasSubstr("ago,"))));
  source.reachable = false;
  source.last_error = "connection refused";
  source.answered_s = 95;
  source.stock_age_s = 99;
  EXPECT_THAT(to_text(device({tunnel})),
              HasSubstr("NOT REACHABLE (connection refused)\n"
                        "    last answer 1 min 35 s ago, 1204 keys in stock as of 1 min 39 s ago\n"));
  source.reachable = true;
  source.last_error.clear();
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("reachable\n    last answer 1 min 35 s ago, 1204 keys"));
  source.stock_keys.reset();
  source.stock_age_s.reset();
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("reachable\n    last answer 1 min 35 s ago\n"));
}

TEST(StatusText, SaysWhenAKmsFailedLast) {
  auto tunnel = healthy_tunnel("dc-b");
  EXPECT_THAT(to_text(device({tunnel})), Not(HasSubstr("KMS failures")));
  tunnel.kms_failures = 2;
  tunnel.last_kms_failure_s = 200;
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("  KMS failures 2  last 3 min 20 s ago\n"));
}

TEST(StatusText, FourTunnelsFitATerminal) {
  const std::string text =
      to_text(device({healthy_tunnel("dc-b"), healthy_tunnel("dc-c"), healthy_tunnel("dc-d"), healthy_tunnel("dc-e")}));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 80U) << line;
}

TEST(Judge, HealthyIsOk) {
  EXPECT_EQ(judge(device({})), ExitCode::ok);
  EXPECT_EQ(judge(device({healthy_tunnel("b"), healthy_tunnel("c")})), ExitCode::ok);
  EXPECT_EQ(judge(kms(LinkState::up, "running")), ExitCode::ok);
}

TEST(Judge, SomeTunnelsDownIsDegradedAndAllIsDown) {
  auto down = healthy_tunnel("c");
  down.state = TunnelState::connecting;
  EXPECT_EQ(judge(device({healthy_tunnel("b"), down})), ExitCode::degraded);
  EXPECT_EQ(judge(device({down})), ExitCode::down);
}

TEST(Judge, AnIdleTunnelIsWell) {
  auto idle = healthy_tunnel("c");
  idle.state = TunnelState::idle;
  idle.sources[0].asked = idle.sources[0].reachable = false;
  EXPECT_EQ(judge(device({idle})), ExitCode::ok);
  EXPECT_EQ(judge(device({healthy_tunnel("b"), idle})), ExitCode::ok);
  EXPECT_THAT(to_text(device({idle})), AllOf(HasSubstr("tunnel c  IDLE\n"), HasSubstr("sae-b: not asked yet")));
  idle.sources[0].asked = true;
  EXPECT_EQ(judge(device({idle})), ExitCode::degraded);
  auto down = healthy_tunnel("b");
  down.state = TunnelState::down;
  EXPECT_EQ(judge(device({down, idle})), ExitCode::degraded);
}

TEST(Judge, SimulatedKeysThatFlowAreWell) {
  auto tunnel = healthy_tunnel("b");
  tunnel.simulated = tunnel.sources[0].simulated = true;
  EXPECT_EQ(judge(device({tunnel})), ExitCode::ok);
  KmsStatus status = kms(LinkState::up, "running");
  status.pools[0].simulated = true;
  EXPECT_EQ(judge(status), ExitCode::ok);
}

TEST(Judge, ABlockedTunnelOutweighsAll) {
  auto blocked = healthy_tunnel("c");
  blocked.state = TunnelState::blocked;
  EXPECT_EQ(judge(device({healthy_tunnel("b"), blocked})), ExitCode::policy_block);
  EXPECT_EQ(graver(ExitCode::down, ExitCode::policy_block), ExitCode::policy_block);
  EXPECT_EQ(graver(ExitCode::degraded, ExitCode::down), ExitCode::down);
  EXPECT_EQ(graver(ExitCode::ok, ExitCode::degraded), ExitCode::degraded);
}

TEST(Judge, ShortKeysAreDegraded) {
  for (const QkdState state : {QkdState::reduced, QkdState::stretch}) {
    auto tunnel = healthy_tunnel("b");
    tunnel.qkd = state;
    EXPECT_EQ(judge(device({tunnel})), ExitCode::degraded);
  }
  auto tunnel = healthy_tunnel("b");
  tunnel.sources[0].reachable = false;
  EXPECT_EQ(judge(device({tunnel})), ExitCode::degraded);
}

// What is up and wrong all the same: it is seen in the line that is read first, and by a program.
TEST(Judge, ATunnelThatIsUpWithAReasonIsDegraded) {
  auto tunnel = healthy_tunnel("b");
  EXPECT_THAT(to_text(device({tunnel})), Not(HasSubstr("DEGRADED")));
  tunnel.reason = "this may take packets away: IPv6 rule of priority 50 (table 100): remove it";
  EXPECT_EQ(judge(device({tunnel})), ExitCode::degraded);
  EXPECT_EQ(judge(device({healthy_tunnel("a"), tunnel})), ExitCode::degraded);
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("tunnel b  UP  DEGRADED\n  reason this may take"));
  tunnel.simulated = true;
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("tunnel b  UP  DEGRADED  SIMULATED\n"));
}

TEST(Judge, TextAndExitCodeAgreeOnShortKeys) {
  auto tunnel = healthy_tunnel("b");
  tunnel.state = TunnelState::idle;
  tunnel.reason = "nothing to send yet";
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("tunnel b  IDLE\n"));
  tunnel.sources[0].reachable = false;
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("tunnel b  IDLE  DEGRADED\n"));
  tunnel.state = TunnelState::down;
  EXPECT_THAT(to_text(device({tunnel})), HasSubstr("tunnel b  DOWN\n"));
}

// An idle tunnel has its own reason, which says nothing of the interface.
TEST(Judge, TheInterfacesTroubleIsThatOfIdleTunnelsToo) {
  auto idle = healthy_tunnel("b");
  idle.state = TunnelState::idle;
  idle.reason = "nothing to send yet";
  DeviceStatus status = device({idle});
  EXPECT_EQ(judge(status), ExitCode::ok);
  status.reason = "the interface quipu0 was set down";
  EXPECT_EQ(judge(status), ExitCode::degraded);
  EXPECT_THAT(to_text(status), HasSubstr("  reason the interface quipu0 was set down\n"));
}

TEST(Judge, ACertificateThatIsNotValidIsDegraded) {
  control::CertificateStatus certificate{"km_link.cert", control::CertificateState::good, "2026-03-01T00:00:00Z",
                                         "2027-03-01T00:00:00Z", 30.5 * 86400};
  DeviceStatus status = device({healthy_tunnel("b")});
  KmsStatus site = kms(LinkState::up, "running");
  const auto expect = [&](ExitCode code, const std::string& line) {
    status.certificates = site.certificates = {certificate};
    EXPECT_EQ(judge(status), code);
    EXPECT_EQ(judge(site), code);
    EXPECT_THAT(to_text(status), HasSubstr(line));
    EXPECT_THAT(to_text(site), HasSubstr(line));
  };
  expect(ExitCode::ok, "  certificate km_link.cert  ends 2027-03-01T00:00:00Z  in 30 d 12 h\n");
  certificate.state = control::CertificateState::ends_soon;
  certificate.remaining_s = 7200;
  expect(ExitCode::ok, "  certificate km_link.cert  ENDS SOON  2027-03-01T00:00:00Z  in 2 h 0 min\n");
  certificate.state = control::CertificateState::not_yet;
  expect(ExitCode::degraded, "  certificate km_link.cert  NOT VALID YET  from 2026-03-01T00:00:00Z\n");
  certificate.state = control::CertificateState::over;
  certificate.remaining_s = -7200;
  expect(ExitCode::degraded, "  certificate km_link.cert  OVER  2027-03-01T00:00:00Z  2 h 0 min ago\n");
  certificate.state = control::CertificateState::revoked;
  expect(ExitCode::degraded, "  certificate km_link.cert  REVOKED\n");
}

TEST(Judge, AnEntropySourceThatIsNotGoodIsDegraded) {
  KmsStatus status = kms(LinkState::up, "running");
  status.relay_entropy = control::EntropyStatus{.source = "/dev/qrandom0", .state = "good"};
  EXPECT_EQ(judge(status), ExitCode::ok);
  status.relay_entropy->state = "absent";
  status.relay_entropy->reason = "no such device";
  EXPECT_EQ(judge(status), ExitCode::degraded);
  EXPECT_THAT(to_text(status), HasSubstr("/dev/qrandom0  ABSENT  used 0 bit  ready 0 bit\n  reason no such device\n"));
}

TEST(StatusText, SaysWhoWasRefused) {
  KmsStatus status = kms(LinkState::up, "running");
  EXPECT_THAT(to_text(status), Not(HasSubstr("refused")));
  status.pools[0].refused_blocks = 2;
  status.pools[0].violations = 1;
  status.refused_connections = {{"etsi014", 4}, {"km_link", 0}};
  EXPECT_THAT(to_text(status), AllOf(HasSubstr("  refused: blocks 2, violations of the peer 1\n"),
                                     HasSubstr("  connections refused: etsi014 4\n")));
}

TEST(StatusText, TellsThePathsOfARelayedPoolApart) {
  control::RelayStatus relay;
  relay.routes.resize(1);
  control::RelayRouteStatus& route = relay.routes[0];
  route.paths = 3;
  route.reason = "no path";
  EXPECT_THAT(to_text(relay), HasSubstr("  NOTHING IS RELAYED  reason no path\n"));
  EXPECT_EQ(judge(relay), ExitCode::degraded);
  route.reason.clear();
  EXPECT_EQ(judge(relay), ExitCode::ok);
  route.links = {{.from = "kme-a", .to = "kme-b", .path = 1}, {.from = "kme-a", .to = "kme-d", .path = 2}};
  EXPECT_THAT(to_text(relay),
              AllOf(HasSubstr("  path 1  link kme-a to kme-b"), HasSubstr("  path 2  link kme-a to kme-d")));
  route.paths = 1;
  EXPECT_THAT(to_text(relay), Not(HasSubstr("path 1")));
}

TEST(Judge, APoolWithoutAKeyToGiveIsDegraded) {
  KmsStatus status = kms(LinkState::up, "running");
  EXPECT_THAT(to_text(status), Not(HasSubstr("EMPTY")));
  status.pools[0].empty = true;
  EXPECT_EQ(judge(status), ExitCode::degraded);
  EXPECT_THAT(to_text(status), HasSubstr("pool with kme-b  KM link UP  EMPTY\n"));
  status.pools[0].simulated = true;
  EXPECT_THAT(to_text(status), HasSubstr("  EMPTY  SIMULATED\n"));
}

TEST(Judge, APoolThatNothingIsRelayedIntoIsDegraded) {
  KmsStatus status = kms(LinkState::up, "running");
  status.pools[0].relayed = true;
  EXPECT_EQ(judge(status), ExitCode::ok);
  status.pools[0].relay_reason = "no path";
  EXPECT_EQ(judge(status), ExitCode::degraded);
  EXPECT_THAT(to_text(status), HasSubstr("  NOTHING IS RELAYED  reason no path\n"));
}

TEST(Judge, KmsNeedsItsLinks) {
  EXPECT_EQ(judge(kms(LinkState::connecting, "running")), ExitCode::down);
  EXPECT_EQ(judge(kms(LinkState::up, "failed: exit 1")), ExitCode::degraded);
}

}  // namespace
}  // namespace quipu::cli
