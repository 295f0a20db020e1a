// SPDX-License-Identifier: Apache-2.0
#include "config/kmsd_config.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace quipu::config {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string refusal(std::string_view from, std::string_view to) {
  return problems_of(parse_kmsd(with(kKmsdSample, from, to)));
}

TEST(KmsdConfig, ReadsEveryKeyOfTheSample) {
  const auto config = parse_kmsd(kKmsdSample);
  ASSERT_TRUE(config.has_value()) << problems_of(config);
  EXPECT_EQ(config->kme.id, KmeId("kme-a"));
  EXPECT_EQ(config->kme.store, "/var/lib/quipu-kms/kms.db");
  EXPECT_EQ(config->kme.control_socket, "/run/quipu-kms/control.sock");
  EXPECT_EQ(config->etsi014.listen, Endpoint::parse("127.0.0.1:8014"));
  EXPECT_EQ(config->etsi014.key_size_bit, 256U);
  EXPECT_EQ(config->etsi014.max_key_per_request, 128U);
  EXPECT_EQ(config->km_link.tls.cert.name, "/etc/quipu/pki/kme-a.pem");
  EXPECT_EQ(config->saes, (std::vector<SaeConfig>{{SaeId("sae-a")}}));
  ASSERT_EQ(config->peer_kmes.size(), 1U);
  EXPECT_EQ(config->peer_kmes[0].address.text(), "192.0.2.2:8020");
  EXPECT_EQ(config->peer_kmes[0].saes, (std::vector{SaeId("sae-b")}));
  ASSERT_EQ(config->links.size(), 1U);
  EXPECT_TRUE(config->links[0].allow_simulated);
  EXPECT_EQ(config->links[0].options,
            (std::map<std::string, std::string>{
                {"role", "alice"}, {"fibre", "192.0.2.1:8030"}, {"skr_bit_s", "100000"}, {"qber", "0.019"}}));
}

TEST(KmsdConfig, ReadsWhatTlsIsToDo) {
  const auto plain = parse_kmsd(kKmsdSample);
  ASSERT_TRUE(plain.has_value());
  EXPECT_FALSE(plain->etsi014.allow_tls12);
  EXPECT_EQ(plain->etsi014.sae_id_from, SaeIdFrom::san_or_cn);
  EXPECT_EQ(plain->km_link.tls.crl.name, "");
  const auto read = [](std::string_view keys) {
    return parse_kmsd(with(kKmsdSample, "listen = \"127.0.0.1:8014\"", keys));
  };
  EXPECT_TRUE(read("min_tls_version = \"1.2\"")->etsi014.allow_tls12);
  EXPECT_EQ(read("crl = \"/etc/quipu/crl.pem\"")->etsi014.tls.crl.name, "/etc/quipu/crl.pem");
  for (const auto& [word, rule] : {std::pair("uri_san", SaeIdFrom::uri_san), std::pair("dns_san", SaeIdFrom::dns_san),
                                   std::pair("cn", SaeIdFrom::cn)})
    EXPECT_EQ(read("sae_id_from = \"" + std::string(word) + "\"")->etsi014.sae_id_from, rule);
  EXPECT_THAT(problems_of(read("min_tls_version = \"1.1\"")), HasSubstr("etsi014.min_tls_version"));
}

TEST(KmsdConfig, ASimulatedLinkHasToBeAllowedByName) {
  const auto config = parse_kmsd(with(kKmsdSample, "allow_simulated = true\n", ""));
  ASSERT_TRUE(config.has_value());
  EXPECT_FALSE(config->links[0].allow_simulated);
}

TEST(KmsdConfig, RefusesWhatDoesNotFitTogether) {
  EXPECT_THAT(refusal("peer_kme = \"kme-b\"", "peer_kme = \"kme-c\""),
              HasSubstr("no [[peer_kme]] with id = \"kme-c\""));
  EXPECT_THAT(refusal("id = \"kme-b\"", "id = \"kme-a\""), HasSubstr("this KME's own id"));
  EXPECT_THAT(refusal("[\"sae-b\"]", "[\"sae-a\"]"), HasSubstr("SAE id \"sae-a\" is already used in line 19"));
  EXPECT_THAT(refusal("[\"sae-b\"]", "[\"sae-b\", \"sae-b\"]"), HasSubstr("SAE id \"sae-b\" is already used"));
  EXPECT_THAT(refusal("[\"sae-b\"]", "[\"sae b\"]"), HasSubstr("visible ASCII"));
  EXPECT_THAT(refusal("listen = \"127.0.0.1:8014\"", "listen = \"localhost:8014\""), HasSubstr("etsi014.listen"));
  EXPECT_THAT(refusal("listen = \"127.0.0.1:8014\"", "key_size_bit = 100"), HasSubstr("not a multiple of 8"));
  EXPECT_THAT(refusal("listen = \"127.0.0.1:8014\"", "key_size_bit = 2048"), HasSubstr("outside min_key_size_bit"));
  EXPECT_THAT(refusal("listen = \"127.0.0.1:8014\"", "listen = \"127.0.0.1:8014\"\nmax_key_size_bit = 2056"),
              AllOf(HasSubstr("etsi014.max_key_per_request: 128 keys of max_key_size_bit = 2056"),
                    HasSubstr("let it be 113 at most")));
  EXPECT_EQ(refusal("listen = \"127.0.0.1:8014\"", "listen = \"127.0.0.1:8014\"\nmax_key_size_bit = 2048"), "");
  EXPECT_THAT(refusal("role = \"alice\"", "role = [1]"), HasSubstr("link[1].options.role: is a list"));
  EXPECT_THAT(refusal("store_key_file = \"/etc/quipu/kms-store.key\"", ""), HasSubstr("kme.store_key_file: missing"));
}

TEST(KmsdConfig, RefusesTwoListenersAtOnePort) {
  for (const std::string_view listen : {"127.0.0.1:8014", "0.0.0.0:8014"})
    EXPECT_EQ(refusal("192.0.2.1:8020", listen),
              "FILE:13:1: km_link.listen: " + std::string(listen) +
                  " and etsi014.listen = 127.0.0.1:8014 in line 7 cannot both be listened on; give one of them another "
                  "port");
  for (const std::string_view listen : {"192.0.2.1:8014", "127.0.0.1:8015", "[::1]:8014"})
    EXPECT_EQ(refusal("192.0.2.1:8020", listen), "");
}

// Only those who read the files know; it can be meant so, where each end has an authority of its own.
TEST(KmsdConfig, DoubtsCertificatesThatDoNotFitTogether) {
  const auto config = parse_kmsd(kKmsdSample);
  ASSERT_TRUE(config.has_value());
  const TlsFiles& files = config->km_link.tls;
  EXPECT_FALSE(doubt_about(files, true, true).has_value());
  EXPECT_THAT(doubt_about(files, true, false).value().text("F"),
              AllOf(HasSubstr("F:15:1: km_link.cert: /etc/quipu/pki/kme-a.pem is not issued by the authority in "
                              "/etc/quipu/pki/ca.pem"),
                    HasSubstr("quipu pki issue")));
  EXPECT_THAT(doubt_about(files, false, false).value().text("F"),
              HasSubstr("F:14:1: km_link.ca: no certificate in /etc/quipu/pki/ca.pem is an authority's"));
}

TEST(KmsdConfig, RefusesOptionsThatNoDriverCanBeHanded) {
  EXPECT_EQ(refusal("role = \"alice\"", "role = \"" + std::string(kMaxLinkOptionSize, 'x') + "\""), "");
  EXPECT_THAT(
      refusal("role = \"alice\"", "role = \"" + std::string(kMaxLinkOptionSize + 1, 'x') + "\""),
      AllOf(HasSubstr("link[1].options.role: has 1025 octets"), HasSubstr("at most 1024"), HasSubstr("FILE:32:1")));
  EXPECT_THAT(refusal("role = \"alice\"", "role = \"a\\u0000b\""), HasSubstr("options.role: holds a zero octet"));
  const auto options = [](std::size_t count) {
    std::string text = "role = \"alice\"\n";
    for (std::size_t i = 4; i < count; ++i)
      text += "option" + std::to_string(i) + " = 1\n";
    return text;
  };
  EXPECT_EQ(refusal("role = \"alice\"\n", options(kMaxLinkOptions)), "");
  EXPECT_THAT(refusal("role = \"alice\"\n", options(kMaxLinkOptions + 1)),
              AllOf(HasSubstr("is one of 65 options"), HasSubstr("a driver takes at most 64")));
}

TEST(KmsdConfig, TellsWhereKeysStand) {
  const auto config = parse_kmsd(kKmsdSample);
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->kme.id_position.line, 2U);
  EXPECT_EQ(config->kme.store_key_file.key, "kme.store_key_file");
  EXPECT_EQ(config->kme.store_key_file.position.line, 4U);
  EXPECT_EQ(config->links[0].driver_position.line, 29U);
  EXPECT_EQ(config->links[0].allow_simulated_position.line, 30U);
  EXPECT_EQ(config->links[0].option_positions.at("qber").line, 35U);
  EXPECT_EQ(config->links[0].option_positions.at("qber").column, 1U);
}

TEST(KmsdConfig, RefusesAPeerAtAnAddressOfOurOwn) {
  EXPECT_THAT(refusal("192.0.2.2:8020", "192.0.2.1:8020"),
              HasSubstr("peer_kme[1].address: 192.0.2.1:8020 is this KMS's own km_link.listen; write where the other"));
  EXPECT_THAT(refusal("192.0.2.2:8020", "127.0.0.1:8014"), HasSubstr("is this KMS's own etsi014.listen"));
  EXPECT_EQ(refusal("192.0.2.2:8020", "192.0.2.1:8021"), "");
}

TEST(KmsdConfig, RefusesToListenAtWhatNoInterfaceHas) {
  for (const auto& [listen, kind] :
       {std::pair("224.0.0.1:8020", "multicast"), std::pair("[ff02::1]:8020", "multicast"),
        std::pair("255.255.255.255:8020", "broadcast"), std::pair("[fe80::1]:8020", "link-local"),
        std::pair("[::ffff:192.0.2.1]:8020", "IPv4-mapped")})
    EXPECT_THAT(refusal("192.0.2.1:8020", listen), HasSubstr("FILE:13:1: km_link.listen: " + std::string(listen) +
                                                             " cannot be listened on: the address is " + kind));
  EXPECT_THAT(refusal("127.0.0.1:8014", "224.0.0.1:8014"), HasSubstr("FILE:7:1: etsi014.listen: 224.0.0.1:8014"));
  for (const std::string_view listen : {"0.0.0.0:8020", "[::]:8020", "127.0.0.1:8020", "[::1]:8020"})
    EXPECT_EQ(refusal("192.0.2.1:8020", listen), "");
}

TEST(KmsdConfig, RefusesAPeerAtNobodysAddress) {
  EXPECT_EQ(
      refusal("192.0.2.2:8020", "0.0.0.0:8020"),
      "FILE:23:1: peer_kme[1].address: 0.0.0.0:8020 cannot be called: the address is unspecified; write where the "
      "other end is reached");
  EXPECT_EQ(refusal("192.0.2.2:8020", "127.0.0.1:8020"), "");
}

TEST(KmsdConfig, RefusesADeviceWhereAKmsListens) {
  EXPECT_EQ(
      refusal("192.0.2.1:8030", "192.0.2.1:8020"),
      "FILE:33:1: link[1].options.fibre: 192.0.2.1:8020 is km_link.listen; give the device an address or a port of "
      "its own");
  EXPECT_THAT(refusal("192.0.2.1:8030", "127.0.0.1:8014"), HasSubstr("is etsi014.listen"));
  EXPECT_THAT(refusal("192.0.2.1:8030", "192.0.2.2:8020"), HasSubstr("is the address of peer_kme \"kme-b\""));
  EXPECT_EQ(refusal("192.0.2.1:8030", "192.0.2.2:8030"), "");
}

// kme-a and kme-c share no device: what they have comes over kme-b.
constexpr std::string_view kRelayed = R"(
[[peer_kme]]
id = "kme-c"
address = "192.0.2.3:8020"
saes = []
relay_stock_bit = 1048576

[relay]
trusted_node = true
[[relay.route]]
to = "kme-c"
via = ["kme-b", "kme-x"]
)";

std::string relay_refusal(std::string_view from, std::string_view to) {
  return problems_of(parse_kmsd(std::string(kKmsdSample) + with(kRelayed, from, to)));
}

TEST(KmsdConfig, ReadsWhatIsRelayed) {
  const auto config = parse_kmsd(std::string(kKmsdSample) + std::string(kRelayed));
  ASSERT_TRUE(config.has_value()) << problems_of(config);
  EXPECT_EQ(config->peer_kmes[0].relay_stock_bit, 0U);
  EXPECT_EQ(config->peer_kmes[1].relay_stock_bit, 1048576U);
  EXPECT_TRUE(config->relay.trusted_node);
  EXPECT_EQ(config->relay.routes, (std::vector<RelayRouteConfig>{{KmeId("kme-c"), {KmeId("kme-b"), KmeId("kme-x")}}}));
}

TEST(KmsdConfig, RefusesRelayThatLeadsNowhere) {
  EXPECT_THAT(relay_refusal("relay_stock_bit = 1048576\n", ""), HasSubstr("no [[peer_kme]] with id = \"kme-c\" has a"));
  EXPECT_THAT(relay_refusal("\"kme-b\", \"kme-x\"", "\"kme-x\""), HasSubstr("there is no [[link]] with \"kme-x\""));
  EXPECT_THAT(relay_refusal("[\"kme-b\", \"kme-x\"]", "[]"), HasSubstr("has 0 elements"));
  EXPECT_THAT(relay_refusal("\"kme-x\"]", "\"kme-c\"]"), HasSubstr("is an end of the path"));
  EXPECT_THAT(relay_refusal("\"kme-x\"]", "\"kme-b\"]"), HasSubstr("node \"kme-b\""));
  EXPECT_THAT(refusal("saes = [\"sae-b\"]\n", "saes = [\"sae-b\"]\nrelay_stock_bit = 8192\n"),
              HasSubstr("no key can be relayed"));
}

TEST(KmsdConfig, ReadsTheEntropySourceOfRelayedBlocks) {
  const auto config = parse_kmsd(std::string(kKmsdSample) +
                                 with(kRelayed, "[relay]\n", "[relay]\nentropy_source = \"/dev/qrandom0\"\n"));
  ASSERT_TRUE(config.has_value()) << problems_of(config);
  EXPECT_EQ(config->relay.entropy_source, "/dev/qrandom0");
  EXPECT_THAT(relay_refusal("[relay]\n", "[relay]\nentropy_source = \"qrandom0\"\n"), HasSubstr("an absolute path"));
  EXPECT_THAT(problems_of(parse_kmsd(std::string(kKmsdSample) + "[relay]\nentropy_source = \"/dev/qrandom0\"\n")),
              HasSubstr("nothing is made of it"));
}

TEST(KmsdConfig, RefusesMorePathsThanCanBegin) {
  const std::string second =
      "[[peer_kme]]\nid = \"kme-e\"\naddress = \"192.0.2.5:8020\"\nsaes = []\n[[link]]\nname = \"e\"\npeer_kme = "
      "\"kme-e\"\ndriver = \"sim\"\n[[peer_kme]]\nid = \"kme-c\"";
  const auto relayed = [&](std::string_view peers, std::string_view paths) {
    const std::string text = with(kRelayed, "[[peer_kme]]\nid = \"kme-c\"", peers);
    const std::string unrouted = text.substr(0, text.find("[[relay.route]]"));
    return parse_kmsd(std::string(kKmsdSample) + with(unrouted, "relay_stock_bit = 1048576\n", paths));
  };
  const auto both = relayed(second, "relay_stock_bit = 8192\nrelay_paths = 2\n");
  ASSERT_TRUE(both.has_value()) << problems_of(both);
  EXPECT_EQ(both->peer_kmes.at(1).relay_paths, 1U);
  EXPECT_EQ(both->peer_kmes.at(2).relay_paths, 2U);
  EXPECT_THAT(problems_of(relayed(second, "relay_stock_bit = 8192\nrelay_paths = 3\n")),
              HasSubstr("are [[link]]s with 2"));
  // The pool with kme-e may hold relayed key, unless each key takes some of the link.
  const std::string fed = with(second, "saes = []\n", "saes = []\nrelay_stock_bit = 8192\n");
  EXPECT_THAT(problems_of(relayed(fed, "relay_stock_bit = 8192\nrelay_paths = 2\n")), HasSubstr("is one [[link]]"));
  const auto combined =
      relayed(with(fed, "saes = []\n", "saes = []\ncombiner = \"xor\"\n"), "relay_stock_bit = 8192\nrelay_paths = 2\n");
  EXPECT_TRUE(combined.has_value()) << problems_of(combined);
  EXPECT_THAT(problems_of(relayed("[[peer_kme]]\nid = \"kme-c\"", "relay_stock_bit = 8192\nrelay_paths = 2\n")),
              HasSubstr("is one [[link]]"));
  EXPECT_THAT(problems_of(relayed(second, "relay_paths = 2\n")), HasSubstr("has no meaning without relay_stock_bit"));
  EXPECT_THAT(relay_refusal("relay_stock_bit = 1048576\n", "relay_stock_bit = 1048576\nrelay_paths = 2\n"),
              HasSubstr("a route is one path"));
}

std::string with_second_link(std::string_view peer_keys) {
  return with(kKmsdSample, "saes = [\"sae-b\"]\n", "saes = [\"sae-b\"]\n" + std::string(peer_keys)) + R"(
[[link]]
name = "other-vendor"
peer_kme = "kme-b"
driver = "sim"
)";
}

TEST(KmsdConfig, ReadsFromHowManySourcesAKeyIsCombined) {
  const auto sources = [](std::string_view keys) {
    const auto config = parse_kmsd(with_second_link(keys));
    return config ? config->peer_kmes.at(0).min_sources : 0;
  };
  EXPECT_EQ(sources(""), 1U);
  EXPECT_EQ(sources("combiner = \"any\"\n"), 1U);
  EXPECT_EQ(sources("combiner = \"xor\"\n"), 2U);
  EXPECT_EQ(sources("combiner = \"xor\"\nrelay_stock_bit = 8192\n[[peer_kme]]\nid = \"kme-c\"\naddress = "
                    "\"192.0.2.3:8020\"\nsaes = []\n[[link]]\nname = \"c\"\npeer_kme = \"kme-c\"\ndriver = \"sim\"\n"),
            3U);
  EXPECT_EQ(sources("combiner = \"xor\"\nmin_sources = 2\n"), 2U);
}

TEST(KmsdConfig, RefusesMoreRelayedStockThanItsShareOfThePool) {
  constexpr std::string_view kRest =
      "[[peer_kme]]\nid = \"kme-c\"\naddress = \"192.0.2.3:8020\"\nsaes = []\n[[link]]\nname = \"c\"\n"
      "peer_kme = \"kme-c\"\ndriver = \"sim\"\n";
  const auto problems = [&](std::string_view combiner, int bits) {
    const auto config = parse_kmsd(with_second_link(
        std::string(combiner) + "relay_stock_bit = " + std::to_string(bits) + "\n" + std::string(kRest)));
    return config ? "" : problems_of(config);
  };
  EXPECT_EQ(problems("", 268'435'456), "");
  EXPECT_EQ(problems("combiner = \"xor\"\n", 89'478'485), "");
  EXPECT_THAT(problems("combiner = \"xor\"\n", 89'478'486),
              AllOf(HasSubstr("relay_stock_bit"), HasSubstr("at most 89478485 bit")));
}

TEST(KmsdConfig, RefusesToCombineWhatIsNotThere) {
  const auto refused = [](std::string_view keys) { return problems_of(parse_kmsd(with_second_link(keys))); };
  EXPECT_THAT(refused("min_sources = 2\n"), HasSubstr("has no meaning without combiner"));
  EXPECT_THAT(refused("combiner = \"xor\"\nmin_sources = 3\n"), HasSubstr("takes 3 sources, and there are 2"));
  EXPECT_THAT(refused("combiner = \"xor\"\nmin_sources = 1\n"), HasSubstr("min_sources"));
  std::string five = "combiner = \"xor\"\n";
  for (const char* const name : {"x", "y", "z"})
    five += std::string("[[link]]\nname = \"") + name + "\"\npeer_kme = \"kme-b\"\ndriver = \"sim\"\n";
  EXPECT_THAT(refused(five), HasSubstr("is missing, and there are 5 sources"));
  EXPECT_THAT(refusal("saes = [\"sae-b\"]\n", "saes = [\"sae-b\"]\ncombiner = \"xor\"\n"),
              HasSubstr("takes 2 sources, and there is 1"));
}

TEST(KmsdConfig, UnknownKeysAreToldFromKnownOnes) {
  EXPECT_THAT(refusal("allow_simulated", "allow_simulation"), HasSubstr("did you mean \"allow_simulated\"?"));
  EXPECT_THAT(refusal("[km_link]", "[kmlink]"), HasSubstr("kmlink: unknown key; did you mean \"km_link\"?"));
  EXPECT_THAT(refusal("[link.options]", "[options]"),
              HasSubstr("FILE:31:2: options: unknown key; write [link.options], behind its [[link]]"));
  EXPECT_THAT(refusal("[[sae]]", "[sae]"), HasSubstr("write [[sae]] for each, with double brackets"));
  EXPECT_THAT(refusal("\"/etc/quipu/kms-store.key\"", "\"credential:quipu_store.key\""),
              HasSubstr("put the file into /etc/quipu/kms-credentials and write \"credential:kms_store.key\""));
  EXPECT_THAT(refusal("[[peer_kme]]", "[[peer_kms]]"), HasSubstr("did you mean \"peer_kme\"?"));
}

}  // namespace
}  // namespace quipu::config
