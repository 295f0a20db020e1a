// SPDX-License-Identifier: Apache-2.0
#include "control/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/json.h"

namespace quipu::control {
namespace {

using testing::HasSubstr;

TEST(Request, SurvivesTheLine) {
  for (const Request& request :
       {Request(StatusRequest{}), Request(ReloadRequest{}), Request(RekeyRequest{}), Request(RekeyRequest{"dc-b"}),
        Request(RekeyRequest{"\"\\\n\x01ü"}), Request(PermitStampJumpRequest{"dc-b"}), Request(AuditRequest{}),
        Request(AuditRequest{~std::uint64_t{0}}), Request(RelayRoutesRequest{}), Request(VoidPoolRequest{"kme-b"}),
        Request(BackupRequest{})}) {
    const std::string line = encode(request);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto read = parse_request(line);
    ASSERT_TRUE(read.has_value()) << line << ": " << read.error().text;
    EXPECT_EQ(*read, request);
  }
  EXPECT_EQ(encode(RekeyRequest{"dc-b"}), R"({"verb":"rekey","peer":"dc-b"})");
}

TEST(Request, ToAskChangesNothing) {
  EXPECT_FALSE(is_write(RelayRoutesRequest{}));
  EXPECT_FALSE(is_write(StatusRequest{}));
  EXPECT_FALSE(is_write(AuditRequest{}));
  EXPECT_TRUE(is_write(ReloadRequest{}));
  EXPECT_TRUE(is_write(RekeyRequest{}));
  EXPECT_TRUE(is_write(PermitStampJumpRequest{}));
  EXPECT_TRUE(is_write(VoidPoolRequest{}));
  EXPECT_TRUE(is_write(BackupRequest{}));
}

TEST(Request, RefusesWhatIsNotOne) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "not JSON"},
      {"null", "is an object"},
      {"{}", "\"verb\" is missing"},
      {R"({"verb":1})", "\"verb\" is missing"},
      {R"({"verb":"stop"})", "known: status, rekey, reload, permit_stamp_jump, audit, relay_routes"},
      {R"({"verb":"permit_stamp_jump"})", "\"peer\" is missing"},
      {R"({"verb":"void_pool"})", "one pool is voided at a time"},
      {R"({"verb":"permit_stamp_jump","peer":""})", "has to be the name"},
      {R"({"verb":"permit_stamp_jump","stamp":1})", "takes no member \"stamp\""},
      {R"({"verb":"audit"})", "takes one member, \"after\""},
      {R"({"verb":"audit","after":-1})", "unsigned integer"},
      {R"({"verb":"audit","after":1,"before":2})", "takes one member"},
      {R"({"verb":"status","verb":"rekey"})", "member \"verb\" stands twice"},
      {R"({"verb":"status","\u0076erb":"rekey"})", "member \"verb\" stands twice"},
      {R"({"verb":"status","peer":"x"})", "takes no members"},
      {R"({"verb":"rekey","peer":1})", "name of a peer"},
      {R"({"verb":"rekey","peer":""})", "name of a peer"},
      {R"({"verb":"rekey","pear":"x"})", "takes no member \"pear\""},
      {R"({"verb":"status"} {})", "octet"},
      {R"({"verb":"status",})", "not JSON at octet"},
      {"{\"verb\":\"\xff\"}", "not JSON"},
      {std::string(1000, '['), "not JSON"},
      {std::string(kMaxRequestSize + 1, ' '), "more than 4096 octets"},
  };
  for (const auto& [line, text] : cases) {
    const auto read = parse_request(line);
    ASSERT_FALSE(read.has_value()) << line;
    EXPECT_THAT(read.error().text, HasSubstr(text)) << line;
  }
}

TEST(Reply, SurvivesTheLine) {
  const auto ok = parse_reply(encode_ok(R"({"qber":0.019})"));
  ASSERT_TRUE(ok.has_value()) << ok.error().text;
  EXPECT_EQ(std::get<std::string>(*ok), R"({"qber":0.019})");
  const auto error = parse_reply(encode_error(Error{Errc::not_found, "no peer \"x\""}, "see quipu status"));
  ASSERT_TRUE(error.has_value()) << error.error().text;
  EXPECT_EQ(std::get<ReplyError>(*error),
            (ReplyError{.code = "not_found", .message = "no peer \"x\"", .hint = "see quipu status"}));
  EXPECT_EQ(std::get<ReplyError>(*parse_reply(encode_error(Error{Errc::busy, {}}))).message, "busy");
}

TEST(Reply, ReadsOtherSpacing) {
  const auto ok = parse_reply(R"( { "result" : { "a" : [ 1 ] } , "ok" : true } )");
  ASSERT_TRUE(ok.has_value()) << ok.error().text;
  EXPECT_EQ(std::get<std::string>(*ok), R"({"a":[1]})");
}

TEST(Reply, RefusesWhatIsNotOne) {
  for (const std::string_view line :
       {"", "{}", "[]", R"({"ok":true})", R"({"ok":false})", R"({"ok":1,"result":{}})", R"({"ok":false,"result":{}})",
        R"({"ok":true,"error":{}})", R"({"ok":false,"error":{"code":"x","message":"y"}})",
        R"({"ok":true,"result":{},"more":1})", R"({"ok":true,"result":{"a":1,"a":2}})"})
    EXPECT_FALSE(parse_reply(line).has_value()) << line;
}

TEST(Results, SurviveJson) {
  const ReloadResult reload{.added = {"a"},
                            .removed = {},
                            .changed = {"b", "c"},
                            .needs_restart = {"device.mtu"},
                            .unprotected = {"10.2.0.0/16"}};
  EXPECT_EQ(reload_result_from_json(to_json(reload)), reload);
  const RekeyResult rekey{
      {{.peer = "a", .latency_ms = 2.5, .key_prefetched = true, .since_asked_ms = 3.5}, {.peer = "b"}},
      {{.peer = "c", .reason = "no endpoint"}}};
  EXPECT_EQ(rekey_result_from_json(to_json(rekey)), rekey);
  EXPECT_EQ(rekey_result_from_json(R"({"rekeys":[{"peer":"a"}]})"), (RekeyResult{{{.peer = "a"}}}));
  EXPECT_EQ(rekey_result_from_json(R"({"rekeys":[{"peer":1}]})").error().text,
            "result.rekeys[0].peer has to be a text");
}

TEST(JsonString, NeverMakesADocumentUnreadable) {
  for (int first = 0; first < 256; ++first) {
    for (const std::string_view rest : {"", "\x80", "\x80\x80", "\xbf\xbf\xbf", "a\"\\"}) {
      std::string json;
      append_json_string(json, std::string(1, static_cast<char>(first)) + std::string(rest));
      EXPECT_TRUE(check_json(json, 100).has_value()) << json;
    }
  }
  std::string json;
  append_json_string(json, "a\xc0\x80z\n\xf0\x9f\x94\x91\xed\xa0\x80");
  EXPECT_EQ(json, "\"a\\ufffd\\ufffdz\\u000a\xf0\x9f\x94\x91\\ufffd\\ufffd\\ufffd\"");
}

}  // namespace
}  // namespace quipu::control
