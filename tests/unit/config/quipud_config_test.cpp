// SPDX-License-Identifier: Apache-2.0
#include "config/quipud_config.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "samples.h"

namespace quipu::config {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string refusal(std::string_view from, std::string_view to) {
  return problems_of(parse_quipud(with(kQuipudSample, from, to)));
}

TEST(QuipudConfig, ReadsEveryKeyOfTheSample) {
  const auto config = parse_quipud(kQuipudSample);
  ASSERT_TRUE(config.has_value()) << problems_of(config);
  EXPECT_EQ(config->device.name, "quipu0");
  EXPECT_EQ(config->device.private_key_file.name, "/etc/quipu/device.key");
  EXPECT_EQ(config->device.listen_port, 51900);
  EXPECT_EQ(config->device.addresses, (std::vector{*IpPrefix::parse("10.70.0.1/24"), *IpPrefix::parse("fd70::1/64")}));
  ASSERT_EQ(config->kms.size(), 1U);
  EXPECT_EQ(config->kms[0].url.text(), "https://127.0.0.1:8014");
  EXPECT_EQ(config->kms[0].sae_id, SaeId("sae-a"));
  EXPECT_EQ(config->kms[0].tls.key.name, "credential:sae-a.key");
  ASSERT_EQ(config->peers.size(), 1U);
  const PeerConfig& peer = config->peers[0];
  EXPECT_EQ(to_base64(peer.public_key), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
  EXPECT_EQ(peer.endpoint->literal, Endpoint::parse("192.0.2.2:51900"));
  EXPECT_EQ(peer.allowed_ips, (std::vector{*IpPrefix::parse("10.70.0.2/32"), *IpPrefix::parse("10.2.0.0/16")}));
  EXPECT_EQ(peer.sources,
            (std::vector<SourceConfig>{{.kms = "local", .peer_sae_id = SaeId("sae-b"), .simulated = false}}));
  EXPECT_EQ(peer.position.line, 14U);
}

// For whoever opens them, and cannot.
TEST(QuipudConfig, TellsWhereFilesAreNamed) {
  const auto config = parse_quipud(with(kQuipudSample, "private_key_file = \"/etc/quipu/device.key\"\n", ""));
  ASSERT_TRUE(config.has_value()) << problems_of(config);
  const auto told = [](const FileName& file) { return Problem{file.position, file.key, file.name, {}}.text("FILE"); };
  EXPECT_EQ(told(config->device.private_key_file),
            "FILE:1:1: device.private_key_file: credential:quipu_device.key");  // none is written
  EXPECT_EQ(told(config->kms[0].tls.ca), "FILE:9:1: kms.local.ca: /etc/quipu/pki/ca.pem");
  EXPECT_EQ(told(config->kms[0].tls.cert), "FILE:10:1: kms.local.cert: /etc/quipu/pki/sae-a.pem");
  EXPECT_EQ(told(config->kms[0].tls.key), "FILE:11:1: kms.local.key: credential:sae-a.key");
  EXPECT_EQ(told(config->peers[0].psk_file), "FILE:16:1: peer[1].psk_file: /etc/quipu/dc-b.psk");
  EXPECT_EQ(config->kms[0].sae_id_position.line, 8U);
}

TEST(QuipudConfig, FillsInDefaults) {
  const auto config = parse_quipud(kQuipudSample);
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->device.mtu, 1400U);
  EXPECT_EQ(config->device.state_dir, "/var/lib/quipu");
  EXPECT_EQ(config->device.control_socket, "/run/quipu/control.sock");
  EXPECT_EQ(config->device.log_level, LogLevel::info);
  const PeerConfig& peer = config->peers[0];
  EXPECT_EQ(peer.qkd, QkdPolicy::required);
  EXPECT_EQ(peer.min_sources, 1U);
  EXPECT_EQ(peer.max_key_age, std::chrono::seconds(30));
  EXPECT_FALSE(peer.always_on);
  EXPECT_EQ(peer.persistent_keepalive, std::chrono::seconds(0));
}

TEST(QuipudConfig, ReadsOptionalKeys) {
  const auto config = parse_quipud(with(kQuipudSample, "rekey_interval_s = 10",
                                        "rekey_interval_s = 2\nqkd = \"preferred\"\nmax_key_age_s = 60\n"
                                        "always_on = true\ntunnel_id = 7\npersistent_keepalive_s = 25"));
  ASSERT_TRUE(config.has_value()) << problems_of(config);
  const auto simulated = parse_quipud(with(kQuipudSample, "\"sae-b\" }", "\"sae-b\", simulated = true }"));
  ASSERT_TRUE(simulated.has_value()) << problems_of(simulated);
  EXPECT_TRUE(simulated->peers[0].sources[0].simulated);
  const PeerConfig& peer = config->peers[0];
  EXPECT_EQ(peer.qkd, QkdPolicy::preferred);
  EXPECT_EQ(peer.min_sources, 0U);
  EXPECT_EQ(peer.max_key_age, std::chrono::seconds(60));
  EXPECT_TRUE(peer.always_on);
  EXPECT_EQ(peer.tunnel_id, 7U);
  EXPECT_EQ(peer.persistent_keepalive, std::chrono::seconds(25));
}

TEST(QuipudConfig, AnUnknownKeyNamesTheNearest) {
  EXPECT_EQ(refusal("endpoint =", "endpiont ="),
            "FILE:18:1: peer[1].endpiont: unknown key; did you mean \"endpoint\"?");
  EXPECT_EQ(refusal("listen_port", "listenport"),
            "FILE:4:1: device.listenport: unknown key; did you mean \"listen_port\"?");
  EXPECT_THAT(refusal("[kms.local]", "[kme.local]"), HasSubstr("FILE:7:2: kme: unknown key; did you mean \"kms\"?"));
}

TEST(QuipudConfig, AKeyInTheWrongSectionIsToldWhereItBelongs) {
  EXPECT_EQ(refusal("rekey_interval_s = 10", "state_dir = \"/x\""),
            "FILE:20:1: peer[1].state_dir: unknown key; it belongs in [device]");
  EXPECT_THAT(refusal("listen_port = 51900", "colour = 1"),
              HasSubstr("known here: name, private_key_file, listen_port"));
}

// What a newcomer to TOML writes.
TEST(QuipudConfig, WrongBracketsAreToldWithTheRightOnes) {
  EXPECT_EQ(
      refusal("[[peer]]", "[peer]"),
      "FILE:14:2: peer: is a table; it has to be a list of tables: write [[peer]] for each, with double brackets");
  EXPECT_EQ(refusal("[device]", "[[device]]"),
            "FILE:1:3: device: is a list; it has to be one table: write [device], with single brackets");
  EXPECT_THAT(refusal("[kms.local]", "[[kms]]"),
              StartsWith("FILE:7:3: kms: is a list; it has to be one table: write [kms.NAME], with single brackets"));
  const std::string twice = with(kQuipudSample, "[[peer]]", "[peer]") + "[peer]\nname = \"dc-c\"\n";
  EXPECT_THAT(problems_of(parse_quipud(twice)), AllOf(StartsWith("FILE:22:"), HasSubstr("as in [[peer]]")));
  EXPECT_EQ(refusal("[kms.local]", "[kms]"),
            "FILE:8:1: kms.url: stands in [kms] itself; each KMS has a name: write [kms.local] for [kms], or another "
            "name\n"
            "FILE:21:14: peer[1].sources[1].kms: there is no [kms.local]; add that section or name one that is there");
  EXPECT_THAT(refusal("[kms.local]", "[[kms.local]]"),
              HasSubstr("kms.local: is a list; it has to be one table: write [kms.NAME], with single brackets"));
  EXPECT_THAT(refusal("[[peer]]", "[[sources]]\nkms = \"x\"\n[[peer]]"), HasSubstr("it belongs in [[peer]]"));
}

TEST(QuipudConfig, RefusesTheCredentialsOfTheOtherDaemon) {
  EXPECT_THAT(refusal("credential:sae-a.key", "credential:kms_sae-a.key"),
              AllOf(StartsWith("FILE:12:1: kms.local.key: \"credential:kms_sae-a.key\" is handed to quipu-kmsd"),
                    HasSubstr("put the file into /etc/quipu/credentials and write \"credential:quipu_sae-a.key\"")));
  EXPECT_EQ(refusal("credential:sae-a.key", "credential:quipu_sae-a.key"), "");
}

TEST(QuipudConfig, RefusesTheDevicesKeyAsThatOfAPeer) {
  EXPECT_THAT(
      refusal("/etc/quipu/dc-b.psk", "/etc/quipu/device.key"),
      AllOf(StartsWith("FILE:17:1: peer[1].psk_file: \"/etc/quipu/device.key\" is device.private_key_file, too"),
            HasSubstr("quipu genpsk")));
  // The one that is meant where none is written.
  const std::string left_out = with(kQuipudSample, "private_key_file = \"/etc/quipu/device.key\"\n", "");
  EXPECT_THAT(problems_of(parse_quipud(with(left_out, "/etc/quipu/dc-b.psk", "credential:quipu_device.key"))),
              HasSubstr("is device.private_key_file, too"));
}

TEST(QuipudConfig, AnAddressHasItsPrefixLength) {
  EXPECT_THAT(refusal("10.70.0.1/24", "10.70.0.1"), HasSubstr("\"10.70.0.1\" is not an address with a prefix length"));
  EXPECT_THAT(refusal("fd70::1/64", "fd70::1"), HasSubstr("write it as in 10.70.0.1/24 or fd70::1/64"));
}

TEST(QuipudConfig, ANetworkIsNoAddressInIt) {
  EXPECT_THAT(refusal("10.70.0.1/24", "10.70.0.0/24"),
              AllOf(StartsWith("FILE:5:14: device.addresses: \"10.70.0.0/24\" is a network, not an address in it"),
                    HasSubstr("as in 10.70.0.1/24")));
  EXPECT_THAT(refusal("fd70::1/64", "fd70::/64"), HasSubstr("\"fd70::/64\" is a network"));
  // RFC 3021 and RFC 6164: of two addresses both are hosts'.
  EXPECT_EQ(refusal("10.70.0.1/24", "10.70.0.0/31"), "");
  EXPECT_EQ(refusal("10.70.0.1/24", "10.70.0.0/32"), "");
  EXPECT_EQ(refusal("fd70::1/64", "fd70::/127"), "");
}

TEST(QuipudConfig, TheUrlOfAKmsIsWithoutThePathThatTheStandardAdds) {
  for (const std::string_view path : {"/api/v1", "/api/v1/", "/api/v1/keys"})
    EXPECT_THAT(refusal("https://127.0.0.1:8014", "https://127.0.0.1:8014/qkd" + std::string(path)),
                AllOf(StartsWith("FILE:8:1: kms.local.url: ends in /api/v1"),
                      HasSubstr("which Quipu adds itself; write it without: https://127.0.0.1:8014/qkd")));
  EXPECT_EQ(refusal("https://127.0.0.1:8014", "https://127.0.0.1:8014/qkd"), "");
}

TEST(QuipudConfig, ReportsEverythingAtOnceInTheOrderOfTheFile) {
  std::string text = with(kQuipudSample, "51900", "70000");
  text = with(text, "\"10.2.0.0/16\"", "\"10.2.0.1/16\"");
  text = with(text, "addresses = [\"10.70.0.1/24\", \"fd70::1/64\"]\n", "");
  text = with(text, "rekey_interval_s = 10", "rekey_interval_s = \"10\"");
  const auto config = parse_quipud(text);
  ASSERT_FALSE(config.has_value());
  ASSERT_EQ(config.error().size(), 4U) << problems_of(config);
  EXPECT_EQ(config.error()[0].text("F"),
            "F:1:1: device.addresses: missing; add it: Addresses of the interface with their prefix lengths.");
  EXPECT_EQ(config.error()[1].text("F"),
            "F:4:1: device.listen_port: 70000 is out of range; it has to be an integer from 0 to 65535");
  EXPECT_EQ(config.error()[2].text("F"),
            "F:18:32: peer[1].allowed_ips: \"10.2.0.1/16\" has host bits set; "
            "write 10.2.0.0/16 for the network or 10.2.0.1/32 for the host");
  EXPECT_EQ(config.error()[3].text("F"),
            "F:19:1: peer[1].rekey_interval_s: is text; it has to be an integer from 1 to 3600 (s)");
}

TEST(QuipudConfig, RefusesAllowedIpsThatNoTunnelLeadsTo) {
  const auto refusal_of = [](std::string_view prefix) {
    const std::string named = with(kQuipudSample, "192.0.2.2:51900", "dc-b.example:51900");
    return problems_of(parse_quipud(with(named, "\"10.2.0.0/16\"", "\"" + std::string(prefix) + "\"")));
  };
  for (const std::string_view prefix :
       {"0.0.0.0/32", "127.0.0.0/8", "127.0.0.1/32", "224.0.0.0/4", "239.1.0.0/16", "255.255.255.255/32", "::/128",
        "::1/128", "::ffff:0:0/96", "::ffff:10.0.0.0/104", "fe80::/10", "fe80::1/128", "ff00::/8", "ff02::1/128"})
    EXPECT_THAT(refusal_of(prefix), AllOf(StartsWith("FILE:19:32: peer[1].allowed_ips: \"" + std::string(prefix)),
                                          HasSubstr("addresses only")));
  for (const std::string_view prefix :
       {"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "8000::/1", "169.254.0.0/16", "10.70.0.0/24", "fd70::/64"})
    EXPECT_EQ(refusal_of(prefix), "");
  for (const std::string_view own : {"10.70.0.1/32", "fd70::1/128"})
    EXPECT_THAT(refusal_of(own), AllOf(StartsWith("FILE:19:32: "), HasSubstr("this device's own address")));
  // Whoever forgets the length means a network: the rest of it would go out in clear.
  for (const std::string_view bare : {"10.2.0.0", "10.2.0.5", "fd02::"})
    EXPECT_THAT(refusal_of(bare), AllOf(StartsWith("FILE:19:32: "), HasSubstr("is not a prefix; write it as in")));
}

TEST(QuipudConfig, RefusesValuesOutOfRange) {
  for (const std::string_view value : {"0", "3601", "-1", "9223372036854775807"})
    EXPECT_THAT(refusal("rekey_interval_s = 10", "rekey_interval_s = " + std::string(value)),
                HasSubstr("out of range"));
  EXPECT_EQ(refusal("rekey_interval_s = 10", "rekey_interval_s = 1"), "");
  EXPECT_EQ(refusal("rekey_interval_s = 10", "rekey_interval_s = 3600"), "");
  EXPECT_THAT(refusal("rekey_interval_s = 10", "rekey_interval_s = 99999999999999999999"), HasSubstr("FILE:20:"));
  EXPECT_THAT(refusal("rekey_interval_s = 10", "rekey_interval_s = 10.5"), HasSubstr("is a real number"));
  for (const char* age : {"9", "10"})
    EXPECT_THAT(refusal("rekey_interval_s = 10", "rekey_interval_s = 10\nmax_key_age_s = " + std::string(age)),
                HasSubstr("not above"));
  EXPECT_THAT(refusal("rekey_interval_s = 10", "rekey_interval_s = 10\nmax_key_age_s = 10801"), HasSubstr("10800"));
  EXPECT_THAT(refusal("rekey_interval_s = 10", "qkd = \"perhaps\""), HasSubstr("one of: required preferred off"));
  EXPECT_THAT(refusal("rekey_interval_s = 10", "always_on = 1"), HasSubstr("is an integer"));
}

TEST(QuipudConfig, ReadsHowAKmsWantsToBeAsked) {
  const auto plain = parse_quipud(kQuipudSample);
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->kms[0].method, KmsMethod::automatic);
  EXPECT_EQ(plain->kms[0].size_parameter, "size");
  EXPECT_EQ(plain->kms[0].key_id_parameter, "key_ID");
  EXPECT_FALSE(plain->kms[0].master_in_key_ids);
  EXPECT_TRUE(plain->kms[0].standby_urls.empty());
  const auto config = parse_quipud(with(kQuipudSample, "sae_id = \"sae-a\"",
                                        "sae_id = \"sae-a\"\nmethod = \"get\"\nsize_parameter = \"key_size\"\n"
                                        "key_id_parameter = \"key_IDs\"\nmaster_in_key_ids = true\n"
                                        "standby_urls = [\"https://kme-2.example/q/\", \"https://192.0.2.9:8014\"]"));
  ASSERT_TRUE(config.has_value());
  const KmsConfig& kms = config->kms[0];
  EXPECT_EQ(kms.method, KmsMethod::get);
  EXPECT_EQ(kms.size_parameter, "key_size");
  EXPECT_EQ(kms.key_id_parameter, "key_IDs");
  EXPECT_TRUE(kms.master_in_key_ids);
  ASSERT_EQ(kms.standby_urls.size(), 2U);
  EXPECT_EQ(kms.standby_urls[0].text(), "https://kme-2.example:443/q");
  EXPECT_EQ(kms.standby_urls[1].text(), "https://192.0.2.9:8014");
}

TEST(QuipudConfig, RefusesStandbyKmesThatCannotStandIn) {
  const auto standby = [](std::string_view urls) {
    return refusal("sae_id = \"sae-a\"", "sae_id = \"sae-a\"\nstandby_urls = [" + std::string(urls) + "]");
  };
  EXPECT_EQ(standby(R"("https://kme-2.example", "http://kme-3.example")"),
            "FILE:10:42: kms.local.standby_urls: \"http://kme-3.example\" is not of the form https://HOST[:PORT]; "
            "correct the value");
  EXPECT_THAT(standby(R"("https://127.0.0.1:8014/")"),
              HasSubstr("KME \"https://127.0.0.1:8014\" is already used in line 8"));
  EXPECT_THAT(standby(R"("https://kme-2.example/api/v1")"), HasSubstr("which Quipu adds itself"));
  EXPECT_THAT(standby(R"("https://0.0.0.0:8014")"), HasSubstr("cannot be called"));
  EXPECT_THAT(standby(R"("https://10.2.0.9:8014")"), HasSubstr("kms \"local\" at 10.2.0.9 lies inside 10.2.0.0/16"));
}

TEST(QuipudConfig, RefusesBadNamesAddressesAndKeys) {
  for (const std::string_view endpoint : {"192.0.2.2", "192.0.2.2:0", "192.0.2.2:65536", "192.0.2.300:51900", ":51900",
                                          "-a.example:1", "a..b:1", "2001:db8::1:51900", "b example:1"})
    EXPECT_THAT(refusal("192.0.2.2:51900", endpoint), HasSubstr("peer[1].endpoint")) << endpoint;
  for (const std::string_view endpoint : {"b.example:51900", "[2001:db8::2]:51900", "localhost:1"})
    EXPECT_EQ(refusal("192.0.2.2:51900", endpoint), "") << endpoint;
  for (const std::string_view url : {"http://127.0.0.1:8014", "https://u:p@127.0.0.1", "https://127.0.0.1?x",
                                     "127.0.0.1", "https://", "https://127.0.0.1:99999", "https://a/%zz"})
    EXPECT_THAT(refusal("https://127.0.0.1:8014", url), HasSubstr("kms.local.url")) << url;
  for (const std::string_view key : {"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="})
    EXPECT_THAT(refusal("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", key), HasSubstr("peer[1].public_key")) << key;
  EXPECT_THAT(refusal("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "PUBLIC-KEY-OF-DC-B"),
              HasSubstr("\"PUBLIC-KEY-OF-DC-B\" is not a public key (32 octets, base64, not all zero); put what quipu "
                        "pubkey prints at the peer"));
  for (const std::string_view file : {"device.key", "credential:", "credential:a/b", "credential:..", ""})
    EXPECT_THAT(refusal("/etc/quipu/device.key", file), HasSubstr("device.private_key_file")) << file;
  for (const std::string_view name : {"", "a/b", "sixteen-letters-", ".a", "a b"})
    EXPECT_THAT(refusal("\"quipu0\"", "\"" + std::string(name) + "\""), HasSubstr("device.name")) << name;
  EXPECT_THAT(refusal("\"10.70.0.1/24\"", "\"10.70.0.1/33\""), HasSubstr("FILE:5:14: device.addresses"));
  EXPECT_THAT(refusal("\"fd70::1/64\"", "7"), HasSubstr("device.addresses: holds an integer"));
}

TEST(QuipudConfig, RefusesWhatIsThereTwice) {
  const std::string two = std::string(kQuipudSample).append(kSecondPeer);
  ASSERT_EQ(problems_of(parse_quipud(two)), "");
  EXPECT_EQ(problems_of(parse_quipud(with(two, "dc-c", "dc-b"))),
            "FILE:24:1: peer[2].name: peer name \"dc-b\" is already used in line 15; use each once");
  EXPECT_THAT(problems_of(parse_quipud(with(two, "10.3.0.0/16", "10.2.0.0/16"))),
              HasSubstr("prefix \"10.2.0.0/16\" is already used in line 19"));
  EXPECT_THAT(problems_of(parse_quipud(with(two, "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
                                            "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="))),
              HasSubstr("peer[2].public_key: public key"));
  EXPECT_THAT(refusal("name = \"dc-b\"", "name = \"dc-b\"\nname = \"dc-b\""), HasSubstr("not TOML"));
}

TEST(QuipudConfig, ChecksSourcesAgainstKmsSectionsAndPolicy) {
  EXPECT_THAT(refusal("kms = \"local\"", "kms = \"lokal\""),
              HasSubstr("peer[1].sources[1].kms: there is no [kms.lokal]"));
  EXPECT_THAT(refusal("peer_sae_id = \"sae-b\"", "peer_sae_id = \"sae-a\""), HasSubstr("own SAE id"));
  EXPECT_THAT(refusal("sources = [{ kms = \"local\", peer_sae_id = \"sae-b\" }]", ""), HasSubstr("missing, while qkd"));
  EXPECT_EQ(refusal("sources = [{ kms = \"local\", peer_sae_id = \"sae-b\" }]", "qkd = \"off\""), "");
  EXPECT_THAT(refusal("rekey_interval_s = 10", "min_sources = 2"), HasSubstr("2 of 1 sources cannot be had"));
  EXPECT_THAT(refusal("rekey_interval_s = 10", "min_sources = 1\nqkd = \"preferred\""), HasSubstr("no meaning"));
  EXPECT_THAT(
      refusal("peer_sae_id = \"sae-b\" }", "peer_sae_id = \"sae-b\" }, { kms = \"local\", peer_sae_id = \"sae-b\" }"),
      HasSubstr("source \"local, sae-b\" is already used"));
}

TEST(QuipudConfig, RefusesAnEndpointThatATunnelProtects) {
  EXPECT_EQ(refusal("192.0.2.2:51900", "10.2.3.4:51900"),
            "FILE:18:1: peer[1].endpoint: lies inside 10.2.0.0/16, which allowed_ips of peer \"dc-b\" protects; list "
            "allowed_ips that leave this address out, or its network in device.local_networks if it is this site's "
            "own: the tunnel cannot run through itself");
  EXPECT_THAT(refusal("10.2.0.0/16", "0.0.0.0/0"), HasSubstr("lies inside 0.0.0.0/0"));
  EXPECT_EQ(refusal("192.0.2.2:51900", "10.3.0.1:51900"), "");
  // Another tunnel's prefix is no better.
  const std::string two = with(kQuipudSample, "192.0.2.2:51900", "10.3.0.1:51900").append(kSecondPeer);
  EXPECT_THAT(problems_of(parse_quipud(two)), HasSubstr("which allowed_ips of peer \"dc-c\" protects"));
}

TEST(QuipudConfig, RefusesToCallNobody) {
  for (const auto& [endpoint, kind] :
       {std::pair("0.0.0.0:51900", "unspecified"), std::pair("[::]:51900", "unspecified"),
        std::pair("224.0.0.1:51900", "multicast"), std::pair("[ff02::1]:51900", "multicast"),
        std::pair("255.255.255.255:51900", "broadcast"), std::pair("[fe80::1]:51900", "link-local"),
        std::pair("[::ffff:192.0.2.2]:51900", "IPv4-mapped")})
    EXPECT_THAT(refusal("192.0.2.2:51900", endpoint),
                AllOf(StartsWith("FILE:18:1: peer[1].endpoint: " + std::string(endpoint)),
                      HasSubstr(std::string(" cannot be called: the address is ") + kind)));
  for (const std::string_view endpoint : {"127.0.0.1:51900", "[::1]:51900", "169.254.0.2:51900"})
    EXPECT_EQ(refusal("192.0.2.2:51900", endpoint), "");
  EXPECT_THAT(refusal("127.0.0.1:8014", "0.0.0.0:8014"),
              StartsWith("FILE:8:1: kms.local.url: 0.0.0.0:8014 cannot be called"));
}

TEST(QuipudConfig, RefusesAKmsBehindTheTunnelThatNeedsItsKeys) {
  const std::string behind = with(kQuipudSample, "127.0.0.1:8014", "10.2.0.9:8014");
  EXPECT_EQ(
      problems_of(parse_quipud(behind)),
      "FILE:21:1: peer[1].sources: kms \"local\" at 10.2.0.9 lies inside 10.2.0.0/16, which allowed_ips protects; "
      "list allowed_ips that leave this address out, or its network in device.local_networks if it is this site's "
      "own: the tunnel cannot wait for keys that come through it");
  // It is this site's own; the machine's own; behind another tunnel; or not needed for this one.
  EXPECT_EQ(problems_of(parse_quipud(with(behind, "listen_port", "local_networks = [\"10.2.0.0/24\"]\nlisten_port"))),
            "");
  EXPECT_EQ(problems_of(parse_quipud(with(behind, "10.70.0.1/24", "10.2.0.9/24"))), "");
  EXPECT_EQ(refusal("127.0.0.1:8014", "10.3.0.9:8014"), "");
  EXPECT_EQ(problems_of(parse_quipud(with(behind, "[[peer]]", "[[peer]]\nqkd = \"preferred\""))), "");
}

TEST(QuipudConfig, LocalNetworksAreRoutedAsIfThereWereNoTunnel) {
  const auto with_local = [](std::string_view networks, std::string_view endpoint) {
    return with(with(kQuipudSample, "listen_port", "local_networks = " + std::string(networks) + "\nlisten_port"),
                "192.0.2.2:51900", endpoint);
  };
  const auto config = parse_quipud(with_local("[\"10.2.0.0/24\", \"fd01::/64\"]", "10.2.0.9:51900"));
  ASSERT_TRUE(config.has_value()) << problems_of(config);
  EXPECT_EQ(config->device.local_networks,
            (std::vector{*IpPrefix::parse("10.2.0.0/24"), *IpPrefix::parse("fd01::/64")}));
  EXPECT_EQ(problems_of(parse_quipud(with_local("[]", "192.0.2.2:51900"))), "");
  // A larger one around a protected prefix leaves that protected.
  EXPECT_THAT(problems_of(parse_quipud(with_local("[\"10.0.0.0/8\"]", "10.2.0.9:51900"))),
              HasSubstr("peer[1].endpoint: lies inside 10.2.0.0/16"));
  EXPECT_EQ(problems_of(parse_quipud(with_local("[\"10.0.0.0/8\"]", "10.3.0.9:51900"))), "");
  const auto refusal_of = [&](std::string_view network) {
    return problems_of(parse_quipud(with_local("[\"" + std::string(network) + "\"]", "192.0.2.2:51900")));
  };
  EXPECT_THAT(refusal_of("10.2.0.0/16"),
              StartsWith("FILE:20:32: peer[1].allowed_ips: \"10.2.0.0/16\" is in device.local_networks, too"));
  EXPECT_THAT(refusal_of("10.2.0.1/24"), StartsWith("FILE:4:19: device.local_networks: \"10.2.0.1/24\" has host bits"));
  for (const std::string_view half : {"0.0.0.0/0", "128.0.0.0/1", "::/0", "::/1"})
    EXPECT_THAT(refusal_of(half), HasSubstr("half of all addresses or more")) << half;
  for (const std::string_view nobodys :
       {"0.0.0.0/8", "127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128",
        "::ffff:0:0/96", "fe80::/64", "ff00::/8"})
    EXPECT_THAT(refusal_of(nobodys), AllOf(StartsWith("FILE:4:19: device.local_networks: \"" + std::string(nobodys)),
                                           HasSubstr("addresses only")));
  EXPECT_EQ(refusal_of("169.254.0.0/16"), "");
  EXPECT_THAT(refusal_of("here"), HasSubstr("device.local_networks: \"here\" is not a prefix"));
}

TEST(QuipudConfig, RefusesWhatNoTunnelOrInterfaceCanHave) {
  for (const std::string_view address :
       {"224.0.0.1/24", "0.0.0.0/24", "127.0.0.1/8", "255.255.255.255/32", "ff02::1/64", "::/64", "::1/128"})
    EXPECT_THAT(refusal("10.70.0.1/24", address), HasSubstr("write an address that an interface can have")) << address;
  EXPECT_EQ(refusal("10.70.0.1/24", "fe80::1/64"), "");
  EXPECT_THAT(refusal("rekey_interval_s = 10", "qkd = \"off\""), HasSubstr("sources: given, while qkd is \"off\""));
  std::string nine = "{ kms = \"local\", peer_sae_id = \"sae-0\" }";
  for (int i = 1; i < 9; ++i)
    nine += ", { kms = \"local\", peer_sae_id = \"sae-" + std::to_string(i) + "\" }";
  EXPECT_THAT(refusal("{ kms = \"local\", peer_sae_id = \"sae-b\" }", nine), HasSubstr("at most 8 are permitted"));
}

TEST(QuipudConfig, RefusesTheDevicesOwnKeyAsAPeer) {
  const auto config = parse_quipud(kQuipudSample);
  ASSERT_TRUE(config.has_value());
  EXPECT_TRUE(refuse_own_key(*config, PublicKey{1}).has_value());
  EXPECT_THAT(problems_of(refuse_own_key(*config, config->peers[0].public_key)),
              StartsWith("FILE:14:1: peer \"dc-b\": its public_key is this device's own"));
}

TEST(QuipudConfig, ATextThatIsNotTomlSaysWhere) {
  EXPECT_THAT(problems_of(parse_quipud("[device]\nname = \n")), StartsWith("FILE:2:"));
  EXPECT_THAT(problems_of(parse_quipud("[device\n")), StartsWith("FILE:1:"));
  EXPECT_THAT(problems_of(parse_quipud("name = \"\xff\"\n")), StartsWith("FILE:1:"));
  EXPECT_THAT(problems_of(parse_quipud("[[(")), HasSubstr("not TOML"));
  EXPECT_THAT(problems_of(parse_quipud("[=]\n")), HasSubstr("not TOML"));
  EXPECT_THAT(problems_of(parse_quipud("name\xef\xbb\xbb = 1\n")),
              StartsWith("FILE:1:5: a character outside of ASCII"));
  for (const std::string_view line : {"a = 1\"[\xcf\x91\"", "a = \"x", "a = \"x\\\"", "a = \"x\" \"y\"", "a = 'x\""})
    EXPECT_THAT(problems_of(parse_quipud(line)), HasSubstr("quotation mark")) << line;
  EXPECT_TRUE(parse_quipud("\xef\xbb\xbf# \xc3\xbc\n" + std::string(kQuipudSample)).has_value());
  EXPECT_THAT(problems_of(parse_quipud("")), HasSubstr("device: missing"));
  EXPECT_THAT(problems_of(parse_quipud("device = 1\npeer = \"x\"\nkms = [1]\n")),
              HasSubstr("FILE:1:1: device: is an integer; it has to be one table: write [device]"));
}

TEST(QuipudConfig, RefusesTextsThatWouldExhaustTheStack) {
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i)
    dots += ".a";
  EXPECT_THAT(problems_of(parse_quipud(dots + " = 1\n")), HasSubstr("dots outside of strings"));
  EXPECT_THAT(problems_of(parse_quipud("[" + dots + "]\n")), HasSubstr("dots outside of strings"));
  EXPECT_THAT(problems_of(parse_quipud("a = " + std::string(100'000, '[') + "\n")), StartsWith("FILE:1:"));
  EXPECT_THAT(problems_of(parse_quipud("a = \"\"\"\nx\"\"\"\n")), HasSubstr("multi-line string"));
  EXPECT_THAT(problems_of(parse_quipud(std::string(5'000'000, '#'))), HasSubstr("longer than"));
}

}  // namespace
}  // namespace quipu::config
