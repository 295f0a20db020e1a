// SPDX-License-Identifier: Apache-2.0
#include "etsi/etsi014_server.h"

#include <gtest/gtest.h>

namespace quipu::etsi {
namespace {

constexpr std::string_view kId1 = "550e8400-e29b-41d4-a716-446655440000";
constexpr std::string_view kId2 = "bc490419-7d60-487f-adc1-4ddcc177c139";

Call parsed(std::string_view method, std::string_view target, std::string_view body = {}) {
  auto call = parse_call(method, target, as_bytes(body));
  EXPECT_TRUE(call.has_value()) << target << " " << body << ": " << (call ? "" : call.error().message);
  return call ? *call : Call();
}

ApiError refused(std::string_view method, std::string_view target, std::string_view body = {}) {
  const auto call = parse_call(method, target, as_bytes(body));
  EXPECT_FALSE(call.has_value()) << target << " " << body;
  return call ? ApiError{} : call.error();
}

ApiError refused_enc(std::string_view body) {
  const ApiError error = refused("POST", "/api/v1/keys/b/enc_keys", body);
  EXPECT_EQ(error.http_status, 400U) << body;
  return error;
}

TEST(ParseCall, Status) {
  EXPECT_EQ(parsed("GET", "/api/v1/keys/sae-b/status"), Call(StatusCall{SaeId("sae-b")}));
}

TEST(ParseCall, SaeIdIsPercentDecodedOnce) {
  EXPECT_EQ(parsed("GET", "/api/v1/keys/urn%3Aa%2Fb%2541/status"), Call(StatusCall{SaeId("urn:a/b%41")}));
  EXPECT_EQ(parsed("GET", "/api/v1/keys/a+b/status"), Call(StatusCall{SaeId("a+b")}));
}

TEST(ParseCall, EmptyKeyRequestMeansDefaults) {
  const Call defaults = EncKeysCall{SaeId("b"), {}};
  EXPECT_EQ(parsed("POST", "/api/v1/keys/b/enc_keys"), defaults);
  EXPECT_EQ(parsed("POST", "/api/v1/keys/b/enc_keys", "{}"), defaults);
  EXPECT_EQ(parsed("GET", "/api/v1/keys/b/enc_keys"), defaults);
  EXPECT_EQ(parsed("GET", "/api/v1/keys/b/enc_keys?"), defaults);
}

TEST(ParseCall, FullKeyRequest) {
  const Call call = parsed("POST", "/api/v1/keys/b/enc_keys", R"({
    "number": 3, "size": 1024, "additional_slave_SAE_IDs": ["c", "d"],
    "extension_mandatory": [{"abc_route_type": "direct"}, {"abc_n": 1}],
    "extension_optional": [{"abc_max_age": {"ms": [30000, null]}}],
    "something_new": true})");
  EXPECT_EQ(call, Call(EncKeysCall{SaeId("b"),
                                   {.number = 3,
                                    .size_bits = 1024,
                                    .additional_slave_sae_ids = {SaeId("c"), SaeId("d")},
                                    .extension_mandatory = {{"abc_route_type", "\"direct\""}, {"abc_n", "1"}},
                                    .extension_optional = {{"abc_max_age", R"({"ms":[30000,null]})"}}}}));
}

TEST(ParseCall, KeyRequestInQuery) {
  const Call both = EncKeysCall{SaeId("b"), {.number = 3, .size_bits = 256}};
  EXPECT_EQ(parsed("GET", "/api/v1/keys/b/enc_keys?number=3&size=256"), both);
  EXPECT_EQ(parsed("GET", "/api/v1/keys/b/enc_keys?size=%3256&number=3"), both);
  EXPECT_EQ(parsed("GET", "/api/v1/keys/b/enc_keys?number=3&key_size=256"), both);
}

TEST(ParseCall, KeyIds) {
  const Call two = DecKeysCall{SaeId("a"), {{KeyId(std::string(kId1)), KeyId(std::string(kId2))}}};
  EXPECT_EQ(parsed("POST", "/api/v1/keys/a/dec_keys",
                   R"({"key_IDs":[{"key_ID":"550e8400-e29b-41d4-a716-446655440000"},
                      {"key_ID":"bc490419-7d60-487f-adc1-4ddcc177c139","master_SAE_ID":"a","key_ID_extension":{"a_x":1}}],
                      "key_IDs_extension":{"a_y":[]}})"),
            two);
  const Call one = DecKeysCall{SaeId("a"), {{KeyId(std::string(kId1))}}};
  EXPECT_EQ(parsed("GET", "/api/v1/keys/a/dec_keys?key_ID=550e8400-e29b-41d4-a716-446655440000"), one);
  EXPECT_EQ(parsed("GET", "/api/v1/keys/a/dec_keys?key_IDs=550e8400-e29b-41d4-a716-446655440000"), one);
}

TEST(ParseCall, UnknownResources) {
  for (const std::string_view target :
       {"", "/", "/api/v1/keys/", "/api/v1/keys/b", "/api/v1/keys/b/", "/api/v1/keys/b/keys", "/api/v2/keys/b/status",
        "/api/v1/keys/b/status/", "/api/v1/keys/b/c/status", "api/v1/keys/b/status", "/API/v1/keys/b/status"})
    EXPECT_EQ(refused("GET", target).http_status, 404U) << target;
}

TEST(ParseCall, WrongMethods) {
  EXPECT_EQ(refused("POST", "/api/v1/keys/b/status").http_status, 405U);
  EXPECT_EQ(refused("PUT", "/api/v1/keys/b/enc_keys").http_status, 405U);
  EXPECT_EQ(refused("get", "/api/v1/keys/b/status").http_status, 405U);
}

TEST(ParseCall, BadPathsAndQueries) {
  const std::string long_id(256, 'x');
  for (const std::string& target : {
           std::string("/api/v1/keys//status"),
           std::string("/api/v1/keys/%/status"),
           std::string("/api/v1/keys/%4/status"),
           std::string("/api/v1/keys/%zz/status"),
           std::string("/api/v1/keys/a%00b/status"),
           std::string("/api/v1/keys/a%0a/status"),
           "/api/v1/keys/" + long_id + "/status",
           std::string("/api/v1/keys/b/enc_keys?number=0"),
           std::string("/api/v1/keys/b/enc_keys?number="),
           std::string("/api/v1/keys/b/enc_keys?number"),
           std::string("/api/v1/keys/b/enc_keys?number=-1"),
           std::string("/api/v1/keys/b/enc_keys?number=1x"),
           std::string("/api/v1/keys/b/enc_keys?number=4294967296"),
           std::string("/api/v1/keys/b/enc_keys?number=99999999999999999999999"),
           std::string("/api/v1/keys/b/enc_keys?number=1&number=1"),
           std::string("/api/v1/keys/b/enc_keys?size=1&key_size=1"),
           std::string("/api/v1/keys/b/enc_keys?size=%3"),
           std::string("/api/v1/keys/b/enc_keys?additional_slave_SAE_IDs=c"),
           std::string("/api/v1/keys/b/dec_keys"),
           std::string("/api/v1/keys/b/dec_keys?key_ID="),
           std::string("/api/v1/keys/b/dec_keys?key_ID=a&key_ID=b"),
           std::string("/api/v1/keys/b/dec_keys?id=a"),
           std::string("/api/v1/keys/b/dec_keys?key_ID=a%20b"),
       })
    EXPECT_EQ(refused("GET", target).http_status, 400U) << target;
  EXPECT_EQ(refused("GET", "/api/v1/keys/b/enc_keys", "{}").message, "GET takes no body");
  EXPECT_EQ(refused("POST", "/api/v1/keys/b/enc_keys?number=2").http_status, 400U);
}

TEST(ParseCall, BadKeyRequests) {
  for (const std::string_view body : {
           "[]",
           "1",
           "null",
           "{",
           "{}{}",
           "{} x",
           "\"\"",
           "{\"number\":0}",
           "{\"number\":-1}",
           "{\"number\":1.5}",
           "{\"number\":1.0}",
           "{\"number\":\"1\"}",
           "{\"number\":null}",
           "{\"number\":4294967296}",
           "{\"size\":0}",
           "{\"size\":[]}",
           "{\"number\":1,\"number\":1}",
           "{\"x\":{\"y\":1,\"y\":2}}",
           "{\"number\":1,}",
           "{\"additional_slave_SAE_IDs\":\"c\"}",
           "{\"additional_slave_SAE_IDs\":[1]}",
           "{\"additional_slave_SAE_IDs\":[\"\"]}",
           "{\"additional_slave_SAE_IDs\":[\"c\",\"c\"]}",
           "{\"extension_mandatory\":{}}",
           "{\"extension_mandatory\":[1]}",
           "{\"extension_optional\":\"x\"}",
           "{\"extension_mandatory\":[{}]}",
           "{\"extension_optional\":[{\"a_x\":1,\"a_y\":2}]}",
           "{\"a\":\"\xff\"}",
           "/*c*/{}",
           "{'number':1}",
       })
    refused_enc(body);
  EXPECT_EQ(refused_enc(R"({"number":1,"number":2})").message, "Key request: number: given twice");
}

TEST(ParseCall, CapsOfCountAndDepth) {
  std::string deep;
  for (std::size_t i = 0; i < 40; ++i)
    deep += "[";
  refused_enc("{\"x\":" + deep);
  std::string saes = "\"0\"";
  for (std::size_t i = 1; i <= kMaxAdditionalSaes; ++i)
    saes += ",\"" + std::to_string(i) + "\"";
  refused_enc("{\"additional_slave_SAE_IDs\":[" + saes + "]}");
  std::string extensions = "{\"x\":1}";
  for (std::size_t i = 0; i < kMaxExtensions; ++i)
    extensions += ",{\"x\":1}";
  refused_enc("{\"extension_optional\":[" + extensions + "]}");
  std::string ids = "{\"key_ID\":\"0\"}";
  for (std::size_t i = 1; i <= kMaxIdsPerRequest; ++i)
    ids += ",{\"key_ID\":\"" + std::to_string(i) + "\"}";
  EXPECT_EQ(refused("POST", "/api/v1/keys/b/dec_keys", "{\"key_IDs\":[" + ids + "]}").http_status, 400U);
}

TEST(ParseCall, BadKeyIds) {
  for (const std::string_view body :
       {"", "{}", "{\"key_IDs\":[]}", "{\"key_IDs\":{}}", "{\"key_IDs\":[\"a\"]}", "{\"key_IDs\":[{}]}",
        "{\"key_IDs\":[{\"key_ID\":1}]}", "{\"key_IDs\":[{\"key_ID\":\"\"}]}", "{\"key_IDs\":[{\"key_ID\":\"a\\n\"}]}",
        "{\"key_IDs\":[{\"key_ID\":\"a\"},{\"key_ID\":\"a\"}]}", "{\"key_IDs\":[{\"key_ID\":\"a\",\"key_ID\":\"b\"}]}"})
    EXPECT_EQ(refused("POST", "/api/v1/keys/b/dec_keys", body).http_status, 400U) << body;
  EXPECT_EQ(refused("POST", "/api/v1/keys/b/dec_keys",
                    "{\"key_IDs\":[{\"key_ID\":\"" + std::string(kMaxKeyIdSize + 1, 'a') + "\"}]}")
                .http_status,
            400U);
}

TEST(Write, StatusHasEveryMember) {
  const Status status{KmeId("kme-a"), KmeId("kme-b"), SaeId("a"), SaeId("b"), 352, 25000, 100000, 128, 1024, 64, 2};
  EXPECT_EQ(as_text(write_status(status).view()),
            R"({"source_KME_ID":"kme-a","target_KME_ID":"kme-b","master_SAE_ID":"a","slave_SAE_ID":"b",)"
            R"("key_size":352,"stored_key_count":25000,"max_key_count":100000,"max_key_per_request":128,)"
            R"("max_key_size":1024,"min_key_size":64,"max_SAE_ID_count":2})");
}

TEST(Write, Container) {
  KeyContainer container;
  EXPECT_EQ(as_text(write_container(container).view()), R"({"keys":[]})");
  container.keys.push_back({KeyId("a"), SecretBytes::copy_of(as_bytes("foobar"))});
  container.keys.push_back({KeyId("q\""), SecretBytes::copy_of(as_bytes("f"))});
  EXPECT_EQ(as_text(write_container(container).view()),
            R"({"keys":[{"key_ID":"a","key":"Zm9vYmFy"},{"key_ID":"q\"","key":"Zg=="}]})");
}

TEST(Write, Errors) {
  EXPECT_EQ(as_text(write_error({400, std::string(kSizeNotMultipleOf8), {}}).view()),
            R"({"message":"size shall be a multiple of 8"})");
  EXPECT_EQ(as_text(write_error({503, "no key", {{"pool", "empty"}, {"try", "later"}}}).view()),
            R"({"message":"no key","details":[{"pool":"empty"},{"try":"later"}]})");
  EXPECT_TRUE(write_error({401, "who are you", {}}).empty());
}

}  // namespace
}  // namespace quipu::etsi
