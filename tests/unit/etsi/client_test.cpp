// SPDX-License-Identifier: Apache-2.0
#include "etsi/etsi014_client.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "etsi/etsi014_server.h"

namespace quipu::etsi {
namespace {

const SaeId kSae("urn:sae/b");

Key key(std::string id, std::string_view octets) {
  return {KeyId(std::move(id)), SecretBytes::copy_of(as_bytes(octets))};
}

SecretBytes container_of(std::initializer_list<std::pair<std::string, std::string_view>> keys) {
  KeyContainer container;
  for (const auto& [id, octets] : keys)
    container.keys.push_back(key(id, octets));
  return write_container(container);
}

Errc enc_error(unsigned status, std::string_view body, std::uint32_t number = 1, std::uint32_t bits = 32) {
  const auto reply = parse_enc_keys_reply(status, as_bytes(body), number, bits);
  EXPECT_FALSE(reply.has_value()) << body;
  return reply ? Errc::io : reply.error().code;
}

Call served(const ClientRequest& request) {
  const auto call = parse_call(request.post ? "POST" : "GET", request.target, request.body.view());
  EXPECT_TRUE(call.has_value()) << request.target;
  return call ? *call : Call();
}

TEST(ClientRequest, WhatTheClientAsksTheServerUnderstands) {
  EXPECT_EQ(served(*status_request("", kSae)), Call(StatusCall{kSae}));
  const KeyRequest full{.number = 2,
                        .size_bits = 256,
                        .additional_slave_sae_ids = {SaeId("c")},
                        .extension_mandatory = {{"q_x", "[1,\"2\"]"}},
                        .extension_optional = {{"q_y", "{\"z\":null}"}}};
  EXPECT_EQ(served(*enc_keys_request("", kSae, full)), Call(EncKeysCall{kSae, full}));
  EXPECT_EQ(served(*enc_keys_request("", kSae, {})), Call(EncKeysCall{kSae, {}}));
  const KeyIds ids{{KeyId("x/y"), KeyId("z")}};
  EXPECT_EQ(served(*dec_keys_request("", kSae, ids)), Call(DecKeysCall{kSae, ids}));
}

TEST(ClientRequest, ByGetTheServerUnderstandsItToo) {
  const KeyRequest simple{.number = 1, .size_bits = 256};
  const KeyIds one{{KeyId("x/y&z")}};
  EXPECT_EQ(served(*enc_keys_request("", kSae, simple, HttpMethod::get)), Call(EncKeysCall{kSae, simple}));
  EXPECT_EQ(served(*enc_keys_request("", kSae, {}, HttpMethod::get)), Call(EncKeysCall{kSae, {}}));
  EXPECT_EQ(served(*dec_keys_request("", kSae, one, HttpMethod::get)), Call(DecKeysCall{kSae, one}));
  EXPECT_EQ(enc_keys_request("", kSae, {.additional_slave_sae_ids = {SaeId("c")}}, HttpMethod::get).error().code,
            Errc::unsupported);
  EXPECT_EQ(dec_keys_request("", kSae, {{KeyId("a"), KeyId("b")}}, HttpMethod::get).error().code, Errc::unsupported);
}

TEST(ClientRequest, InTheDialectOfTheServer) {
  const Dialect dialect{.size_parameter = "key_size", .key_id_parameter = "key_IDs", .master_in_key_ids = true};
  const KeyRequest simple{.number = 1, .size_bits = 256};
  const KeyIds one{{KeyId("k")}};
  EXPECT_EQ(enc_keys_request("", SaeId("b"), simple, HttpMethod::get, dialect)->target,
            "/api/v1/keys/b/enc_keys?number=1&key_size=256");
  EXPECT_EQ(dec_keys_request("", SaeId("a"), one, HttpMethod::get, dialect)->target,
            "/api/v1/keys/a/dec_keys?key_IDs=k");
  EXPECT_EQ(as_text(dec_keys_request("", SaeId("a"), one, HttpMethod::post, dialect)->body.view()),
            R"({"key_IDs":[{"key_ID":"k","master_SAE_ID":"a"}]})");
}

TEST(MethodChoice, TriesGetWhereARefusalMayMeanTheMethod) {
  for (const unsigned status : {400U, 404U, 405U, 415U, 501U}) {
    MethodChoice choice;
    EXPECT_EQ(choice.next(), HttpMethod::post);
    EXPECT_TRUE(choice.may_try_other(HttpMethod::post, status, {})) << status;
    choice.worked(HttpMethod::get);
    EXPECT_EQ(choice.next(), HttpMethod::get);
  }
  for (const unsigned status : {401U, 403U, 408U, 409U, 412U, 429U, 500U, 502U, 503U, 504U})
    EXPECT_FALSE(MethodChoice().may_try_other(HttpMethod::post, status, {})) << status;
  EXPECT_FALSE(MethodChoice().may_try_other(HttpMethod::post, 400,
                                            as_bytes(R"({"message":"Not enough key material available"})")));
}

TEST(MethodChoice, DoubtsWhatWorkedOnlyWhereTheMethodIsNamed) {
  MethodChoice choice;
  choice.worked(HttpMethod::post);
  EXPECT_FALSE(choice.may_try_other(HttpMethod::post, 404, {}));
  EXPECT_FALSE(choice.may_try_other(HttpMethod::post, 400, {}));
  EXPECT_EQ(choice.next(), HttpMethod::post);
  EXPECT_TRUE(choice.may_try_other(HttpMethod::post, 405, {}));
  EXPECT_EQ(choice.known(), std::nullopt);
}

// One of several at once found it out while this one was on its way.
TEST(MethodChoice, WhatWasAskedByTheOtherMethodMayBeAskedByTheOneThatWorked) {
  MethodChoice choice;
  choice.worked(HttpMethod::get);
  EXPECT_TRUE(choice.may_try_other(HttpMethod::post, 404, {}));
  EXPECT_TRUE(choice.may_try_other(HttpMethod::post, 405, {}));
  EXPECT_EQ(choice.known(), HttpMethod::get);
}

TEST(MethodChoice, WhatIsConfiguredIsNotTried) {
  MethodChoice choice(HttpMethod::get);
  EXPECT_EQ(choice.next(), HttpMethod::get);
  EXPECT_FALSE(choice.may_try_other(HttpMethod::get, 405, {}));
  EXPECT_EQ(choice.known(), HttpMethod::get);
}

TEST(ClientRequest, BasePathComesFirst) {
  EXPECT_EQ(status_request("/site1", SaeId("b"))->target, "/site1/api/v1/keys/b/status");
}

TEST(ClientRequest, Refusals) {
  EXPECT_EQ(status_request("", SaeId()).error().code, Errc::out_of_range);
  EXPECT_EQ(status_request("", SaeId(std::string(256, 'x'))).error().code, Errc::out_of_range);
  EXPECT_EQ(dec_keys_request("", kSae, {}).error().code, Errc::out_of_range);
  EXPECT_EQ(dec_keys_request("", kSae, {{KeyId(std::string(65, 'a'))}}).error().code, Errc::out_of_range);
  EXPECT_EQ(enc_keys_request("", kSae, {.extension_mandatory = {{"x", "{"}}}).error().code, Errc::malformed);
}

TEST(StatusReply, RoundTrip) {
  const Status status{KmeId("kme-a"), KmeId("kme-b"), SaeId("a"), SaeId("b"), 352, 25000, 100000, 128, 1024, 64, 2};
  EXPECT_EQ(*parse_status_reply(200, write_status(status).view()), status);
}

TEST(StatusReply, SaysSimulatedInItsExtension) {
  const Status status{.key_size = 256, .simulated = true};
  const SecretBytes body = write_status(status);
  EXPECT_TRUE(as_text(body.view()).contains(R"("status_extension":{"quipu_simulated":true})"));
  EXPECT_EQ(*parse_status_reply(200, body.view()), status);
  EXPECT_FALSE(as_text(write_status({}).view()).contains("extension"));
  for (const std::string_view other : {R"({"status_extension":1})", R"({"status_extension":{"x":true}})",
                                       R"({"status_extension":{"quipu_simulated":false}})"})
    EXPECT_FALSE(parse_status_reply(200, as_bytes(other))->simulated) << other;
  EXPECT_EQ(parse_status_reply(200, as_bytes(R"({"status_extension":{"quipu_simulated":"yes"}})")).error().code,
            Errc::malformed);
}

TEST(StatusReply, AbsentMembersAreZeroWrongTypesRefused) {
  EXPECT_EQ(*parse_status_reply(200, as_bytes("{\"key_size\":256,\"status_extension\":{\"x\":1}}")),
            Status{.key_size = 256});
  for (const std::string_view body :
       {"", "[]", "{\"key_size\":\"256\"}", "{\"key_size\":-1}", "{\"key_size\":1.5}", "{\"source_KME_ID\":1}"})
    EXPECT_EQ(parse_status_reply(200, as_bytes(body)).error().code, Errc::malformed) << body;
  EXPECT_EQ(parse_status_reply(200, as_bytes("{\"key_size\":1,\"key_size\":1}")).error().code, Errc::duplicate);
}

TEST(EncKeysReply, RoundTrip) {
  const auto container = parse_enc_keys_reply(200, container_of({{"a", "abcd"}, {"b", "efgh"}}).view(), 2, 32);
  ASSERT_TRUE(container.has_value());
  ASSERT_EQ(container->keys.size(), 2U);
  EXPECT_EQ(container->keys[0].id, KeyId("a"));
  EXPECT_EQ(as_text(container->keys[0].bytes.view()), "abcd");
  EXPECT_EQ(as_text(container->keys[1].bytes.view()), "efgh");
}

TEST(EncKeysReply, SaysSimulatedInItsExtension) {
  KeyContainer simulated;
  simulated.keys.push_back(key("a", "abcd"));
  simulated.simulated = true;
  const SecretBytes body = write_container(simulated);
  EXPECT_TRUE(parse_enc_keys_reply(200, body.view(), 1, 32)->simulated);
  EXPECT_TRUE(parse_dec_keys_reply(200, body.view(), {{KeyId("a")}}, 32)->simulated);
  EXPECT_FALSE(parse_enc_keys_reply(200, container_of({{"a", "abcd"}}).view(), 1, 32)->simulated);
  const auto with = [](std::string_view extension) {
    return std::string(R"({"key_container_extension":)").append(extension) +
           R"(,"keys":[{"key_ID":"a","key":"YWJjZA==","key_extension":{"quipu_simulated":true}}]})";
  };
  for (const std::string_view other :
       {"null", "{}", R"({"x":{"quipu_simulated":true}})", R"({"quipu_simulated":false})"})
    EXPECT_FALSE(parse_enc_keys_reply(200, as_bytes(with(other)), 1, 32)->simulated) << other;
  EXPECT_TRUE(parse_enc_keys_reply(200, as_bytes(with(R"({"quipu_simulated":true})")), 1, 32)->simulated);
  EXPECT_EQ(enc_error(200, with(R"({"quipu_simulated":1})")), Errc::malformed);
}

TEST(EncKeysReply, ToleratesWhatServersDifferIn) {
  for (const std::string_view body : {
           R"({"keys":[{"key_ID":"a","key":"YWJjZA=="}]})",
           R"({"Keys":[{"key_ID":"a","key":"YWJjZA=="}]})",
           R"( {"keys" : [ {"key":"YWJjZA==", "key_ID":"a", "key_ID_extension":{"key":"no"}} ], "x":[{"key":1}]} )",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA\u003d\u003d"}]})",
           R"({"keys":[{"key_ID":"\u0061","key":"YWJjZA=="}],"note":"\u00e9\n"})",
       }) {
    const auto container = parse_enc_keys_reply(200, as_bytes(body), 1, 32);
    ASSERT_TRUE(container.has_value()) << body << container.error().text;
    EXPECT_EQ(container->keys[0].id, KeyId("a"));
    EXPECT_EQ(as_text(container->keys[0].bytes.view()), "abcd") << body;
  }
  // "?>?>" is Pz4/Pg==: the slash comes escaped from some servers.
  const auto slash = parse_enc_keys_reply(200, as_bytes(R"({"keys":[{"key_ID":"a","key":"Pz4\/Pg=="}]})"), 1, 32);
  ASSERT_TRUE(slash.has_value());
  EXPECT_EQ(as_text(slash->keys[0].bytes.view()), "?>?>");
}

TEST(EncKeysReply, SizesThatAreNoMultipleOf8AreRoundedUp) {
  EXPECT_TRUE(parse_enc_keys_reply(200, container_of({{"a", "abcd"}}).view(), 1, 27).has_value());
  EXPECT_TRUE(parse_enc_keys_reply(200, container_of({{"a", "abcd"}}).view(), 1, 0).has_value());
}

TEST(EncKeysReply, MalformedContainers) {
  for (const std::string_view body : {
           "",
           "{}",
           "[]",
           "null",
           "{\"keys\":{}}",
           "{\"keys\":[1]}",
           "{\"keys\":[[]]}",
           "{\"keys\":null}",
           R"({"keys":[{"key_ID":"a"}]})",
           R"({"keys":[{"key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":1,"key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":"a","key":1}]})",
           R"({"keys":[{"key_ID":"a","key":{"key":"YWJjZA=="}}]})",
           R"({"keys":[{"key_ID":"a","key":""}]})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA"}]})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA==\n"}]})",
           R"({"keys":[{"key_ID":"a","key":"YWJj ZA=="}]})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA==\u0000"}]})",
           R"({"keys":[{"key_ID":"","key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":"a b","key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":"a\u00e9","key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA=="}]}{})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA=="})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZ)",
       })
    EXPECT_EQ(enc_error(200, body), Errc::malformed) << body;
  EXPECT_EQ(enc_error(200, R"({"keys":[{"key_ID":")" + std::string(65, 'a') + R"(","key":"YWJjZA=="}]})"),
            Errc::malformed);
}

TEST(EncKeysReply, WhatComesTwice) {
  for (const std::string_view body : {
           R"({"keys":[{"key_ID":"a","key":"YWJjZA==","key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":"a","key_ID":"b","key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA=="}],"keys":[{"key_ID":"a","key":"YWJjZA=="}]})",
           R"({"keys":[{"key_ID":"a","key":"YWJjZA=="}],"Keys":[]})",
           R"({"keys":[{"key_ID":"a","k\u0065y":"YWJjZA==","key":"YWJjZA=="}]})",
       })
    EXPECT_EQ(enc_error(200, body), Errc::duplicate) << body;
  EXPECT_EQ(enc_error(200, as_text(container_of({{"a", "abcd"}, {"a", "efgh"}}).view()), 2), Errc::duplicate);
}

TEST(EncKeysReply, CountsSizesAndContents) {
  const SecretBytes two = container_of({{"a", "abcd"}, {"b", "efgh"}});
  EXPECT_EQ(enc_error(200, as_text(two.view()), 1), Errc::out_of_range);
  EXPECT_EQ(enc_error(200, as_text(two.view()), 3), Errc::out_of_range);
  EXPECT_EQ(enc_error(200, as_text(two.view()), 2, 64), Errc::out_of_range);
  EXPECT_EQ(enc_error(200, R"({"keys":[]})"), Errc::out_of_range);
  EXPECT_EQ(enc_error(200, as_text(container_of({{"a", "abcd"}, {"b", "ef"}}).view()), 2, 0), Errc::out_of_range);
  EXPECT_EQ(enc_error(200, as_text(container_of({{"a", "abcd"}, {"b", "abcd"}}).view()), 2), Errc::bad_key);
  EXPECT_EQ(enc_error(200, R"({"keys":[{"key_ID":"a","key":"AAAAAA=="}]})"), Errc::bad_key);
}

TEST(DecKeysReply, ComesBackInTheOrderAskedFor) {
  const KeyIds ids{{KeyId("B"), KeyId("a")}};
  const auto container = parse_dec_keys_reply(200, container_of({{"a", "abcd"}, {"b", "efgh"}}).view(), ids, 32);
  ASSERT_TRUE(container.has_value());
  EXPECT_EQ(container->keys[0].id, KeyId("B"));
  EXPECT_EQ(as_text(container->keys[0].bytes.view()), "efgh");
  EXPECT_EQ(container->keys[1].id, KeyId("a"));
}

TEST(DecKeysReply, OtherIdsAreRefused) {
  const SecretBytes body = container_of({{"a", "abcd"}, {"b", "efgh"}});
  EXPECT_EQ(parse_dec_keys_reply(200, body.view(), {{KeyId("a"), KeyId("c")}}, 32).error().code, Errc::malformed);
  EXPECT_EQ(parse_dec_keys_reply(200, body.view(), {{KeyId("a")}}, 32).error().code, Errc::out_of_range);
}

TEST(Refusals, ByStatusAndText) {
  EXPECT_EQ(enc_error(503, R"({"message":"no key"})"), Errc::exhausted);
  EXPECT_EQ(enc_error(503, ""), Errc::exhausted);
  EXPECT_EQ(enc_error(429, ""), Errc::exhausted);
  EXPECT_EQ(enc_error(400, R"({"message":"Not enough key material available"})"), Errc::exhausted);
  EXPECT_EQ(enc_error(400, R"({"detail":"Insufficient keys"})"), Errc::exhausted);
  EXPECT_EQ(enc_error(400, R"({"error":"InsufficientKeyMaterial"})"), Errc::exhausted);
  EXPECT_EQ(enc_error(400, "Not ENOUGH keys"), Errc::exhausted);
  EXPECT_EQ(enc_error(400, "wrong size"), Errc::refused);
  EXPECT_EQ(enc_error(400, R"({"message":"size shall be a multiple of 8"})"), Errc::refused);
  EXPECT_EQ(enc_error(401, ""), Errc::not_permitted);
  EXPECT_EQ(enc_error(403, "<html>"), Errc::not_permitted);
  EXPECT_EQ(enc_error(404, ""), Errc::refused);
  EXPECT_EQ(enc_error(302, ""), Errc::refused);
  EXPECT_EQ(enc_error(500, ""), Errc::unavailable);
  EXPECT_EQ(enc_error(504, ""), Errc::unavailable);
  for (const unsigned status : {400U, 401U, 403U, 404U, 409U, 412U, 504U})
    EXPECT_EQ(parse_dec_keys_reply(status, {}, {{KeyId("a")}}, 32).error().code, Errc::not_found) << status;
  EXPECT_EQ(parse_dec_keys_reply(503, {}, {{KeyId("a")}}, 32).error().code, Errc::unavailable);
  EXPECT_EQ(parse_status_reply(401, {}).error().code, Errc::not_permitted);
}

TEST(Refusals, RepeatTheServersWordsCleaned) {
  const auto text = [](std::string_view body) { return parse_status_reply(500, as_bytes(body)).error().text; };
  EXPECT_EQ(text(R"({"message":"a\nb\u001b[1m"})"), "KME answered HTTP 500: a b [1m");
  EXPECT_EQ(text(R"({"detail":["x"]})"), "KME answered HTTP 500");
  EXPECT_EQ(text(R"({"error":"e","message":"m","x":{"message":"y"}})"), "KME answered HTTP 500: m");
  EXPECT_EQ(text(R"({"message":"SAE \"b\" is \u0061 \u00e9 \/"})"), "KME answered HTTP 500: SAE b is a /");
  EXPECT_EQ(text("plain words"), "KME answered HTTP 500");
  EXPECT_EQ(text(R"({"message":"slave_SAE_ID is not known, or master_SAE_ID"})"),
            "KME answered HTTP 500: slave_SAE_ID is not known, or master_SAE_ID");
  EXPECT_EQ(text(R"({"message":"key_IDs shall hold key_ID alone, not key_IDs"})"),
            "KME answered HTTP 500: key_IDs shall hold key_ID alone, not key_IDs");
  EXPECT_EQ(text("<html><body>x</body></html>"), "KME answered HTTP 500");
  EXPECT_EQ(text(R"({"message":"cut)"), "KME answered HTTP 500");
  std::string words;
  for (int i = 0; i < 1000; ++i)
    words += "word ";
  EXPECT_EQ(text(R"({"message":")" + words + R"("})").size(), 223U);
  const std::string uuid = "bc490419-7d60-487f-adc1-4ddcc177c139";
  EXPECT_EQ(text(R"({"message":"no )" + uuid + " " + uuid + "x/" + uuid + R"( here"})"),
            "KME answered HTTP 500: no " + uuid + " ... here");
  const std::string plain = "Authentication failed, INSUFFICIENT_RIGHTS: api/keys/sae-b/enc_keys, slave_SAE_1; " + uuid;
  EXPECT_EQ(text(R"({"message":")" + plain + R"("})"), "KME answered HTTP 500: " + plain);
}

// A gateway may give any status to what the KME answered, and cut it anywhere.
TEST(Refusals, NeverRepeatAKey) {
  const SecretBytes container = container_of({{"a", "the key of thirty-two octets long"}});
  const std::string whole(as_text(container.view()));
  const std::string key_text = "dGhlIGtleSBvZiB0aGlydHktdHdvIG9jdGV0cyBsb25n";
  const std::size_t at = whole.find(key_text);
  ASSERT_NE(at, std::string::npos);
  const std::vector<std::string> bodies = {whole,
                                           whole.substr(0, whole.size() - 1),
                                           whole.substr(0, at + 20),
                                           whole.substr(at),
                                           R"({"message":")" + whole.substr(at),
                                           R"({"keys":[{"message":")" + key_text + R"("}]})"};
  for (const unsigned status : {201U, 203U, 206U, 400U, 404U, 500U, 502U, 503U}) {
    for (const std::string& body : bodies) {
      const std::string enc = parse_enc_keys_reply(status, as_bytes(body), 1, 256).error().text;
      EXPECT_EQ(enc, "KME answered HTTP " + std::to_string(status)) << body;
      const std::string dec = parse_dec_keys_reply(status, as_bytes(body), {{KeyId("a")}}, 256).error().text;
      EXPECT_EQ(dec, enc) << body;
    }
  }
  const std::string message = R"({"message":")" + key_text + R"("})";
  EXPECT_EQ(parse_enc_keys_reply(206, as_bytes(message), 1, 256).error().text, "KME answered HTTP 206");
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

TEST(Refusals, RepeatNoKeyThatAMessageTells) {
  for (const std::string key : {"dGhlIGtleSBvZiB0aGlydHktdHdvIG9jdGV0cyBsb25n", "dGhlIGtleSBvZiB0d2VudHktc2V2ZW4gb2N0",
                                "dGhlIGtleQo=", "746865206b657920"}) {
    for (std::size_t before = 0; before < 250; ++before) {
      std::string words(before, 'x');
      for (std::size_t i = 0; i < before; i += 5)
        words[before - 1 - i] = ' ';
      std::string body = R"({"message":")";
      body.append(words).append(key).append(R"(: refused"})");
      const std::string text = parse_status_reply(500, as_bytes(body)).error().text;
      EXPECT_EQ(text.find(key.substr(0, 2)), std::string::npos) << text;
    }
  }
}

// As programs print octets.
TEST(Refusals, RepeatNothingOfAKeyInPieces) {
  for (const std::string piece :
       {"b3:", "a7 ", "d4-9 ", "170, ", "dGhlIGt.", "g7K.aB3 ", "5.", "74 68 65 ", "0x7f, ", "be 3c ", "5a:FE:"}) {
    std::string body = R"({"message":"key )";
    for (int i = 0; i < 32; ++i) {
      body += piece;
      if (std::ranges::count_if(body.substr(body.find("key ")), is_alphanumeric) < 3 + 11) continue;
      const std::string text = parse_status_reply(500, as_bytes(body + R"("})")).error().text;
      const auto shown = std::ranges::count_if(text.substr(text.find("key ")), is_alphanumeric);
      EXPECT_EQ(shown, 3) << text;
    }
  }
}

}  // namespace
}  // namespace quipu::etsi
