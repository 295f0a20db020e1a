// SPDX-License-Identifier: Apache-2.0
#include "net/http_reader.h"

#include <gtest/gtest.h>

namespace quipu::net {
namespace {

constexpr std::size_t kLimit = 1000;

// Feeds octet by octet. Returns the messages' bodies.
std::vector<std::string> bodies(HttpDirection direction, std::string_view stream) {
  HttpReader reader(direction, kLimit, kLimit);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    auto message = reader.feed(as_bytes(stream.substr(i, 1)));
    EXPECT_TRUE(message.has_value()) << message.error().text << " at " << i;
    if (message && *message) out.emplace_back(as_text((*message)->body.view()));
  }
  EXPECT_TRUE(reader.idle());
  return out;
}

TEST(HttpReader, ChunkedBodiesInSingleOctets) {
  constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto one = [&](std::string_view body) {
    return bodies(HttpDirection::requests, std::string(kHead) + std::string(body));
  };
  EXPECT_EQ(one("0\r\n\r\n"), std::vector<std::string>{""});
  EXPECT_EQ(one("0;a=b\r\nT: x\r\n\r\n"), std::vector<std::string>{""});
  EXPECT_EQ(one("1\r\nx\r\n0\r\n\r\n"), std::vector<std::string>{"x"});
}

TEST(HttpReader, OneMessageAtATime) {
  HttpReader reader(HttpDirection::requests, kLimit, kLimit);
  const auto first = reader.feed(as_bytes("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3"));
  ASSERT_TRUE(first.has_value() && first->has_value());
  EXPECT_EQ((*first)->target, "/1");
  EXPECT_FALSE(reader.idle());
  const auto second = reader.feed({});
  ASSERT_TRUE(second.has_value() && second->has_value());
  EXPECT_EQ((*second)->target, "/2");
  EXPECT_FALSE(reader.feed({})->has_value());
  EXPECT_FALSE(reader.idle());
  EXPECT_EQ(reader.end().error().code, Errc::closed);
}

TEST(HttpReader, EndsWithHeldOctetsAreIncomplete) {
  HttpReader reader(HttpDirection::responses, kLimit, kLimit);
  EXPECT_FALSE(reader.end()->has_value());  // between messages
  ASSERT_TRUE(reader.feed(as_bytes("HTTP/1.1 204 No Content\r\n\r\nHTTP"))->has_value());
  EXPECT_EQ(reader.end().error().code, Errc::closed);
}

TEST(HttpReader, IsOfNoUseAfterAnError) {
  HttpReader reader(HttpDirection::requests, kLimit, kLimit);
  EXPECT_EQ(reader.feed(as_bytes("x\r\n\r\n")).error().code, Errc::malformed);
  EXPECT_EQ(reader.feed(as_bytes("GET / HTTP/1.1\r\n\r\n")).error().code, Errc::malformed);
}

TEST(HttpReader, TellsOnceThatARequestWaitsForContinue) {
  HttpReader reader(HttpDirection::requests, kLimit, kLimit);
  EXPECT_FALSE(reader.take_expect_continue());
  EXPECT_FALSE(
      reader.feed(as_bytes("POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"))->has_value());
  EXPECT_TRUE(reader.take_expect_continue());
  EXPECT_FALSE(reader.take_expect_continue());
  EXPECT_TRUE(reader.feed(as_bytes("x"))->has_value());
}

TEST(HttpReader, TellsHeadFromBodyWhenTooLarge) {
  HttpReader head(HttpDirection::requests, kLimit, kLimit);
  EXPECT_EQ(head.feed(as_bytes("GET /" + std::string(2 * kLimit, 'x'))).error().code, Errc::too_large);
  EXPECT_FALSE(head.body_too_large());
  HttpReader body(HttpDirection::requests, kLimit, kLimit);
  EXPECT_EQ(body.feed(as_bytes("POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n")).error().code, Errc::too_large);
  EXPECT_TRUE(body.body_too_large());
}

}  // namespace
}  // namespace quipu::net
