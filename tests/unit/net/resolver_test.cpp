// SPDX-License-Identifier: Apache-2.0
#include "net/resolver.h"

#include <pthread.h>

#include <algorithm>

#include "fixture.h"
#include "net/https_client.h"

namespace quipu::net {
namespace {

TEST(HostPort, Parses) {
  EXPECT_EQ(*HostPort::parse("kms.example:8014"), (HostPort{"kms.example", 8014}));
  EXPECT_EQ(*HostPort::parse("192.0.2.1:1"), (HostPort{"192.0.2.1", 1}));
  EXPECT_EQ(*HostPort::parse("[2001:db8::1]:65535"), (HostPort{"2001:db8::1", 65535}));
  EXPECT_EQ(HostPort::parse("[2001:db8::1]:1")->text(), "[2001:db8::1]:1");
  EXPECT_EQ(HostPort::parse("host:1")->text(), "host:1");
  for (const std::string_view text :
       {"", ":", ":1", "host", "host:", "host:0", "host:65536", "host:1x", "2001:db8::1:5", "[host]:1", "[]:1", "[::1]",
        "ho st:1", "user@host:1", "host/x:1"})
    EXPECT_EQ(HostPort::parse(text).error().code, Errc::malformed) << text;
}

TEST(HttpsUrl, Parses) {
  EXPECT_EQ(*HttpsUrl::parse("https://127.0.0.1:8014"), (HttpsUrl{{"127.0.0.1", 8014}, ""}));
  EXPECT_EQ(*HttpsUrl::parse("https://kms.example/site/1/"), (HttpsUrl{{"kms.example", 443}, "/site/1"}));
  EXPECT_EQ(*HttpsUrl::parse("https://[::1]/"), (HttpsUrl{{"::1", 443}, ""}));
  EXPECT_EQ(*HttpsUrl::parse("https://[::1]:8014"), (HttpsUrl{{"::1", 8014}, ""}));
  for (const std::string_view text : {"", "http://h", "https://", "https:///x", "https://h?x=1", "https://h/x#y",
                                      "https://u@h", "https://h:x", "https://::1/", "https://h/\r\nX: y"})
    EXPECT_EQ(HttpsUrl::parse(text).error().code, Errc::malformed) << text;
}

TEST(Resolver, NumericAddressesComeBackFromTheLoop) {
  Loop loop;
  Resolver resolver(loop);
  bool answered = false;
  resolver.resolve({"2001:db8::1", 5}, std::chrono::seconds(5), [&](Result<std::vector<Endpoint>> found) {
    answered = true;
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(*found, std::vector{*Endpoint::parse("[2001:db8::1]:5")});
    loop.stop();
  });
  EXPECT_FALSE(answered);
  loop.run();
}

TEST(Resolver, NamesComeFromTheSystem) {
  Loop loop;
  Resolver resolver(loop);
  resolver.resolve({"localhost", 7}, std::chrono::minutes(1), [&](Result<std::vector<Endpoint>> found) {
    loop.stop();
    ASSERT_EQ(found.has_value(), system_names_localhost());
    if (!found) return;
    const auto is_loopback = [](const Endpoint& one) { return one.address.text() == "127.0.0.1" && one.port == 7; };
    EXPECT_TRUE(std::ranges::any_of(*found, is_loopback));
  });
  loop.run();
}

TEST(Resolver, TimesOutAndDropsLateAnswers) {
  Loop loop;
  auto resolver = std::make_unique<Resolver>(loop);
  int answers = 0;
  resolver->resolve({"localhost", 7}, -std::chrono::seconds(1), [&](Result<std::vector<Endpoint>> found) {
    ++answers;
    EXPECT_TRUE(found.has_value() || found.error().code == Errc::timeout);
    resolver.reset();
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  EXPECT_EQ(answers, 1);
}

std::optional<Errc> error_of_lookup() {
  Loop loop;
  Resolver resolver(loop);
  std::optional<Errc> error;
  resolver.resolve({"localhost", 7}, std::chrono::minutes(1), [&](const Result<std::vector<Endpoint>>& found) {
    if (!found) error = found.error().code;
    loop.stop();
  });
  loop.run();
  return error;
}

// Every connection attempt has a resolver of its own: the limit is the process's.
TEST(Resolver, AllResolversShareOneLimit) {
  std::vector<LookupSlot> held;
  // Lookups of other tests that nobody waited for give theirs back when they end.
  Loop other_lookups;
  run_until(other_lookups, [&] {
    while (auto slot = LookupSlot::take())
      held.push_back(std::move(*slot));
    return held.size() >= LookupSlot::kMax;
  });
  EXPECT_EQ(held.size(), LookupSlot::kMax);
  EXPECT_EQ(error_of_lookup(), Errc::busy);
  held.clear();
  EXPECT_NE(error_of_lookup(), Errc::busy);
}

TEST(Resolver, WithoutAThreadItIsBusy) {
  pthread_attr_t usual;
  pthread_attr_t endless;
  ASSERT_EQ(::pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(::pthread_attr_init(&endless), 0);
  ASSERT_EQ(::pthread_attr_setstacksize(&endless, std::size_t{1} << 46U), 0);  // no machine has as much
  ASSERT_EQ(::pthread_setattr_default_np(&endless), 0);
  EXPECT_EQ(error_of_lookup(), Errc::busy);
  ASSERT_EQ(::pthread_setattr_default_np(&usual), 0);
  EXPECT_NE(error_of_lookup(), Errc::busy);
}

TEST(Resolver, DestroyedItAnswersNobody) {
  Loop loop;
  auto resolver = std::make_unique<Resolver>(loop);
  for (const std::string_view host : {"127.0.0.1", "localhost"})
    resolver->resolve({std::string(host), 7}, std::chrono::minutes(1), [](const auto&) { ADD_FAILURE(); });
  resolver.reset();
  loop.post([&] { loop.stop(); });
  loop.run();
}

}  // namespace
}  // namespace quipu::net
