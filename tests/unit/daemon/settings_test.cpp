// SPDX-License-Identifier: Apache-2.0
#include "daemon/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "test_kms.h"

namespace quipu::daemon {
namespace {

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    crypto::SystemRng rng;
    m_private_key = crypto::generate_x25519(rng);
    m_public_key = to_base64(crypto::x25519_public_key(crypto::generate_x25519(rng)).value());
    m_folder.write("device.key", as_text(secret_to_base64(m_private_key.view()).view()));
    m_folder.write("b.psk", as_text(secret_to_base64(crypto::generate_x25519(rng).view()).view()));
    m_tls = m_kms.settings_for("sae-a").config.tls;
  }

  std::string text(const std::string& peer_lines = "") const {
    return "[device]\nname = \"quipu0\"\nprivate_key_file = \"" + m_folder.path("device.key") +
           "\"\nlisten_port = 51900\naddresses = [\"10.70.0.1/24\"]\n[kms.local]\nurl = \"https://127.0.0.1:8014\"\n"
           "sae_id = \"sae-a\"\nca = \"" +
           m_tls.ca.name + "\"\ncert = \"" + m_tls.cert.name + "\"\nkey = \"" + m_tls.key.name +
           (m_tls.crl.name.empty() ? "" : "\"\ncrl = \"" + m_tls.crl.name) +
           "\"\n[[peer]]\nname = \"dc-b\"\npublic_key = \"" + m_public_key + "\"\npsk_file = \"" +
           m_folder.path("b.psk") +
           "\"\nallowed_ips = [\"10.2.0.0/16\"]\nsources = [{ kms = \"local\", peer_sae_id = \"sae-b\" }]\n" +
           peer_lines;
  }

  Result<Settings> load(const std::string& config) { return load_settings(m_folder.write("quipu.toml", config)); }

  // The error's text, which must name `place`.
  void expect_refused(const std::string& config, std::string_view place) {
    const auto settings = load(config);
    ASSERT_FALSE(settings.has_value()) << place;
    EXPECT_NE(settings.error().text.find(place), std::string::npos) << settings.error().text;
  }

  net::Loop m_loop;
  TestKms m_kms{m_loop};
  test::Scratch m_folder;
  crypto::X25519PrivateKey m_private_key;
  std::string m_public_key;
  config::TlsFiles m_tls;
};

TEST_F(SettingsTest, RefusesWhatADeviceWouldRefuse) {
  for (const char* age : {"7", "10801", "86400"})
    expect_refused(text("rekey_interval_s = 7\nmax_key_age_s = " + std::string(age) + "\n"), "max_key_age_s");
  // The same limits again, for settings that come from no file.
  auto settings = load(text("rekey_interval_s = 7\n"));
  ASSERT_TRUE(settings.has_value());
  EXPECT_TRUE(check_peer(settings->peers[0], settings->config).has_value());
  settings->peers[0].config.max_key_age = settings->peers[0].config.rekey_interval;
  EXPECT_EQ(check_peer(settings->peers[0], settings->config).error().code, Errc::out_of_range);
}

TEST_F(SettingsTest, LoadsEverythingThatTheFileNames) {
  const auto settings = load(text("endpoint = \"peer.example:51900\"\nrekey_interval_s = 7\ntunnel_id = 3\n"));
  ASSERT_TRUE(settings.has_value()) << settings.error().text;
  EXPECT_TRUE(settings->private_key == m_private_key);
  EXPECT_EQ(settings->plan.prefixes, std::vector{*IpPrefix::parse("10.2.0.0/16")});
  ASSERT_EQ(settings->peers.size(), 1U);
  const PeerSettings& peer = settings->peers[0];
  const auto out = to_protocol(peer, policy_of(peer.config, settings->config), protocol::PeerId(9));
  EXPECT_EQ(out.id, protocol::PeerId(9));
  EXPECT_EQ(out.name, "dc-b");
  EXPECT_EQ(to_base64(out.public_key.value()), m_public_key);
  EXPECT_TRUE(out.psk == peer.psk);
  EXPECT_EQ(out.endpoint, std::nullopt);
  EXPECT_EQ(out.endpoint_name, "peer.example:51900");
  EXPECT_EQ(out.rekey_interval, std::chrono::seconds(7));
  EXPECT_EQ(out.max_key_age, std::chrono::seconds(21));
  EXPECT_EQ(out.tunnel, protocol::TunnelId(3));
  EXPECT_EQ(out.policy.qkd, protocol::QkdUse::required);
}

TEST_F(SettingsTest, SaysWhichFileIsWrong) {
  EXPECT_FALSE(load_settings(m_folder.path("absent.toml")).has_value());
  expect_refused("[device\n", "quipu.toml:1");
  m_folder.write("b.psk", "short\n");
  expect_refused(text(), "b.psk");
  std::filesystem::remove(m_folder.path("b.psk"));
  expect_refused(text(), "b.psk");
  std::filesystem::permissions(m_folder.path("device.key"), std::filesystem::perms(0644));
  expect_refused(text(), "device.key");
}

TEST_F(SettingsTest, TellsEveryWrongFileAtItsKey) {
  std::filesystem::remove(m_folder.path("device.key"));
  m_folder.write("b.psk", "short\n");
  m_tls = {.ca = {"/none/ca.pem"}, .cert = {m_folder.write("garbage.pem", "garbage")}, .key = {"/none/sae.key"}};
  const std::string file = m_folder.path("quipu.toml");
  const auto settings = load(text());
  ASSERT_FALSE(settings.has_value());
  EXPECT_EQ(settings.error().code, Errc::malformed);
  EXPECT_THAT(settings.error().text,
              testing::MatchesRegex(file + ":3:1: device.private_key_file: .*device.key: No such file or directory\n" +
                                    file + ":9:1: kms.local.ca: /none/ca.pem: No such file or directory\n" +  //
                                    file + ":10:1: kms.local.cert: .*garbage.pem: no PEM certificate in it\n" + file +
                                    ":11:1: kms.local.key: /none/sae.key: No such file or directory\n" + file +
                                    ":15:1: peer.1..psk_file: .*b.psk: has to hold one line of base64.*"));
}

TEST_F(SettingsTest, RefusesOurOwnKeyAsAPeer) {
  m_public_key = to_base64(crypto::x25519_public_key(m_private_key).value());
  expect_refused(text(), "public_key");
}

TEST_F(SettingsTest, RefusesCertificatesThatCannotBeUsed) {
  m_tls.cert.name = m_folder.write("garbage.pem", "garbage");
  expect_refused(text(), "garbage.pem");
}

TEST_F(SettingsTest, RefusesACertificateOfAnotherSae) {
  m_tls = m_kms.settings_for("sae-b").config.tls;
  expect_refused(text(), "quipu.toml:8:1: kms.local.sae_id: is \"sae-a\", and the certificate in " + m_tls.cert.name +
                             " is that of \"sae-b\"; name the file");
}

// Some KMSs know their SAEs by it.
TEST_F(SettingsTest, TheSerialNumberOfTheCertificateIsASaeId) {
  const KmsSettings sae = m_kms.settings_for("sae-a");
  const std::string serial = sae.tls.context->own().serial_number;
  ASSERT_FALSE(serial.empty());
  const auto with_id = [&](const std::string& id) {
    std::string out = text();
    const std::string_view named = "sae_id = \"sae-a\"";
    return out.replace(out.find(named), named.size(), "sae_id = \"" + id + "\"");
  };
  m_tls = sae.config.tls;
  expect_refused(with_id("1" + serial), "kms.local.sae_id");
  EXPECT_TRUE(load(with_id(serial)).has_value());
}

TEST_F(SettingsTest, RenewedCertificatesHaveAnotherDigest) {
  const auto before = load(text());
  const auto again = load(text());
  ASSERT_TRUE(before && again);
  EXPECT_FALSE(again->kms.at(0).tls.renewed_since(before->kms.at(0).tls));
  m_kms.settings_for("sae-a");  // writes the files anew
  const auto after = load(text());
  ASSERT_TRUE(after.has_value()) << after.error().text;
  EXPECT_TRUE(after->kms.at(0).tls.renewed_since(before->kms.at(0).tls));
}

TEST_F(SettingsTest, KnowsWhenItsCertificatesEnd) {
  const auto settings = load(text());
  ASSERT_TRUE(settings.has_value()) << settings.error().text;
  const auto certificates = certificates_of(*settings);
  ASSERT_EQ(certificates.size(), 1U);
  EXPECT_EQ(certificates[0].setting, "kms.local.cert");
  EXPECT_EQ(certificates[0].not_before, settings->kms[0].tls.context->own().not_before);
  EXPECT_EQ(certificates[0].not_after, settings->kms[0].tls.context->own().not_after);
}

TEST_F(SettingsTest, AListOfRevokedCertificatesIsWatchedWithThem) {
  const auto before = load(text());
  m_tls.crl.name = m_kms.empty_revocation_list();
  const auto after = load(text());
  ASSERT_TRUE(before && after) << after.error().text;
  EXPECT_TRUE(after->kms.at(0).tls.renewed_since(before->kms.at(0).tls));
  const auto certificates = certificates_of(*after);
  ASSERT_EQ(certificates.size(), 2U);
  EXPECT_EQ(certificates[1].setting, "kms.local.crl");
  EXPECT_TRUE(certificates[1].is_crl);
  m_tls.crl.name = m_folder.path("none");
  expect_refused(text(), "kms.local.crl: ");
}

TEST_F(SettingsTest, RefusesAnEndpointInsideAProtectedPrefix) {
  expect_refused(text("endpoint = \"10.2.3.4:51900\"\n"), "endpoint: lies inside 10.2.0.0/16");
}

}  // namespace
}  // namespace quipu::daemon
