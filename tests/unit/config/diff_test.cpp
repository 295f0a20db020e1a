// SPDX-License-Identifier: Apache-2.0
#include "config/diff.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "samples.h"

namespace quipu::config {
namespace {

using testing::ElementsAre;

QuipudConfig quipud(std::string_view text) {
  auto config = parse_quipud(text);
  EXPECT_TRUE(config.has_value()) << problems_of(config);
  return config.value_or(QuipudConfig{});
}

std::vector<std::string> names(const std::vector<PeerConfig>& peers) {
  std::vector<std::string> out(peers.size());
  std::ranges::transform(peers, out.begin(), &PeerConfig::name);
  return out;
}

TEST(QuipudDiff, EqualSettingsElsewhereInTheFileAreNoChange) {
  const QuipudDiff out = diff(quipud(kQuipudSample), quipud("# moved\n\n" + std::string(kQuipudSample)));
  EXPECT_TRUE(out.empty());
  EXPECT_THAT(names(out.peers.unchanged), ElementsAre("dc-b"));
}

TEST(QuipudDiff, TellsPeersApartByKey) {
  const QuipudConfig one = quipud(kQuipudSample);
  const QuipudConfig two = quipud(std::string(kQuipudSample).append(kSecondPeer));
  EXPECT_THAT(names(diff(one, two).peers.added), ElementsAre("dc-c"));
  EXPECT_THAT(names(diff(one, two).peers.unchanged), ElementsAre("dc-b"));
  EXPECT_THAT(names(diff(two, one).peers.removed), ElementsAre("dc-c"));
  const QuipudConfig renamed = quipud(with(kQuipudSample, "dc-b", "dc-x"));
  EXPECT_THAT(names(diff(one, renamed).peers.changed), ElementsAre("dc-x"));
  EXPECT_TRUE(diff(one, renamed).peers.added.empty());
}

TEST(QuipudDiff, NamesWhatNeedsARestart) {
  const QuipudConfig before = quipud(kQuipudSample);
  EXPECT_THAT(diff(before, quipud(with(kQuipudSample, "51900", "51901"))).needs_restart,
              ElementsAre("device.listen_port"));
  const QuipudDiff level = diff(before, quipud(with(kQuipudSample, "listen_port = 51900", "log_level = \"debug\"")));
  EXPECT_TRUE(level.log_level);
  EXPECT_TRUE(level.needs_restart.empty());
  EXPECT_TRUE(diff(before, quipud(with(kQuipudSample, "10.70.0.1/24", "10.70.0.9/24"))).addresses);
  const QuipudDiff local =
      diff(before, quipud(with(kQuipudSample, "listen_port", "local_networks = [\"10.2.0.0/24\"]\nlisten_port")));
  EXPECT_TRUE(local.local_networks);
  EXPECT_TRUE(local.needs_restart.empty());
  EXPECT_FALSE(local.empty());
  EXPECT_EQ(diff(before, quipud(with(kQuipudSample, ":8014", ":8015"))).kms.changed.size(), 1U);
}

TEST(KmsdDiff, TellsLinksAndSaesApart) {
  const auto before = parse_kmsd(kKmsdSample);
  const auto after = parse_kmsd(with(with(kKmsdSample, "100000", "50000"), "\"sae-a\"", "\"sae-z\""));
  ASSERT_TRUE(before.has_value() && after.has_value());
  const KmsdDiff out = diff(*before, *after);
  ASSERT_EQ(out.links.changed.size(), 1U);
  EXPECT_EQ(out.links.changed[0].options.at("skr_bit_s"), "50000");
  EXPECT_EQ(out.saes.added.size(), 1U);
  EXPECT_EQ(out.saes.removed.size(), 1U);
  EXPECT_TRUE(out.needs_restart.empty());
  EXPECT_TRUE(diff(*before, *before).empty());
  const auto moved = parse_kmsd(with(kKmsdSample, "192.0.2.1:8020", "192.0.2.1:8021"));
  ASSERT_TRUE(moved.has_value());
  EXPECT_THAT(diff(*before, *moved).needs_restart, ElementsAre("km_link.listen"));
  const auto trusted = parse_kmsd(std::string(kKmsdSample) + "[relay]\ntrusted_node = true\n");
  ASSERT_TRUE(trusted.has_value());
  EXPECT_THAT(diff(*before, *trusted).needs_restart, ElementsAre("relay.trusted_node"));
}

TEST(KmsdDiff, CertificatesNeedNoRestart) {
  const auto before = parse_kmsd(kKmsdSample);
  const auto after = parse_kmsd(with(kKmsdSample, "listen = \"127.0.0.1:8014\"", "key_size_bit = 512"));
  const auto renewed = parse_kmsd(with(kKmsdSample, "kme-a.pem", "kme-a-2.pem"));
  ASSERT_TRUE(before.has_value() && after.has_value() && renewed.has_value());
  EXPECT_THAT(diff(*before, *after).needs_restart, ElementsAre("etsi014.key_size_bit"));
  const KmsdDiff out = diff(*before, *renewed);
  EXPECT_TRUE(out.needs_restart.empty());
  EXPECT_TRUE(out.etsi014_tls || out.km_link_tls);
  EXPECT_FALSE(out.empty());
}

TEST(KmsdDiff, TellsWhatTlsIsToDo) {
  const auto before = parse_kmsd(kKmsdSample);
  const auto difference = [&](std::string_view key) {
    return diff(*before, *parse_kmsd(with(kKmsdSample, "listen = \"127.0.0.1:8014\"", key)));
  };
  const KmsdDiff older = difference("min_tls_version = \"1.2\"");
  EXPECT_TRUE(older.min_tls_version);
  EXPECT_FALSE(older.etsi014_tls || older.empty());
  EXPECT_TRUE(difference("crl = \"/etc/quipu/crl.pem\"").etsi014_tls);
  EXPECT_THAT(difference("sae_id_from = \"cn\"").needs_restart, ElementsAre("etsi014.sae_id_from"));
}

}  // namespace
}  // namespace quipu::config
