// SPDX-License-Identifier: Apache-2.0
#include "daemon/key_fetcher.h"

#include <gtest/gtest.h>

#include "daemon/event_names.h"
#include "support/recorded_log.h"
#include "test_kms.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;
using protocol::KeyFailure;
using protocol::KeyRequestId;
using protocol::RequestKey;
using test::RecordedLog;

class KeyFetcherTest : public testing::Test {
 protected:
  struct Answer {
    RequestKey request;
    Result<FetchedKey> result;
  };

  KeyFetcherTest()
      : m_fetcher(
            m_loop, m_log,
            {.on_answer = [this](const RequestKey& request,
                                 Result<FetchedKey> result) { m_answers.push_back({request, std::move(result)}); },
             .on_stock = [this](protocol::PeerId, std::uint8_t,
                                std::optional<std::uint64_t> keys) { m_stocks.push_back(keys); }}) {
    std::vector<KmsSettings> kms;
    kms.push_back(m_kms.settings_for("sae-a", "a"));
    kms.push_back(m_kms.settings_for("sae-b", "b"));
    m_fetcher.set_sources(std::move(kms));
  }

  RequestKey request(const std::string& kms, std::optional<KeyId> id = std::nullopt) {
    const bool a = kms == "a";
    return {.id = KeyRequestId(++m_last_id),
            .peer = protocol::PeerId(7),
            .slot = 0,
            .source = {.kms = kms, .own = SaeId(a ? "sae-a" : "sae-b"), .peer = SaeId(a ? "sae-b" : "sae-a")},
            .key_id = std::move(id),
            .deadline = net::Loop::now() + 1min};  // however slow this machine is
  }

  // Asks and waits for this one answer.
  Answer ask(RequestKey wanted) {
    const std::size_t before = m_answers.size();
    m_fetcher.fetch(std::move(wanted));
    EXPECT_EQ(m_answers.size(), before) << "answers come from the loop";
    run_until(m_loop, [&] { return m_answers.size() > before; }, "an answer");
    Answer answer = std::move(m_answers.back());
    m_answers.pop_back();
    return answer;
  }

  // While nobody listens: it goes on trying to its deadline.
  Answer ask_in_vain(RequestKey wanted) {
    wanted.deadline = net::Loop::now() + 50ms;
    return ask(std::move(wanted));
  }

  KeyFailure failure_of(const Answer& answer) {
    EXPECT_FALSE(answer.result.has_value());
    return classify(answer.result.error().code, answer.request.key_id.has_value());
  }

  net::Loop m_loop;
  RecordedLog m_log;
  TestKms m_kms{m_loop};
  std::vector<Answer> m_answers;
  std::vector<std::optional<std::uint64_t>> m_stocks;
  std::uint64_t m_last_id = 0;
  KeyFetcher m_fetcher;
};

TEST_F(KeyFetcherTest, BothEndsGetTheSameKeyOnce) {
  Answer fresh = ask(request("a"));
  ASSERT_TRUE(fresh.result.has_value()) << fresh.result.error().text;
  const Answer named = ask(request("b", fresh.result->id));
  ASSERT_TRUE(named.result.has_value()) << named.result.error().text;
  EXPECT_EQ(named.result->id, fresh.result->id);
  EXPECT_TRUE(named.result->key == fresh.result->key);
  EXPECT_EQ(failure_of(ask(request("b", fresh.result->id))), KeyFailure::unknown);
}

TEST_F(KeyFetcherTest, MatchesAnswersToQuestionsWhateverTheirOrder) {
  const Answer first = ask(request("a"));
  const Answer second = ask(request("a"));
  ASSERT_TRUE(first.result && second.result);
  m_fetcher.fetch(request("b", second.result->id));
  m_fetcher.fetch(request("b", first.result->id));
  run_until(m_loop, [&] { return m_answers.size() == 2; }, "two answers");
  for (const Answer& answer : m_answers) {
    ASSERT_TRUE(answer.result.has_value());
    EXPECT_EQ(answer.result->id, *answer.request.key_id);
  }
}

TEST_F(KeyFetcherTest, AKeyThatIsNotThereIsNoTroubleAtTheKms) {
  EXPECT_EQ(failure_of(ask(request("b", KeyId("11111111-2222-4333-8444-555555555555")))), KeyFailure::unknown);
  EXPECT_TRUE(m_fetcher.health("b", SaeId("sae-a")).reachable);
  EXPECT_EQ(m_log.count(event::kKmsUnavailable), 0U);
}

TEST_F(KeyFetcherTest, ClassifiesWhatServersSay) {
  const KeyId id("11111111-2222-4333-8444-555555555555");
  for (const unsigned status : {400U, 401U, 403U, 404U, 409U, 412U, 504U}) {
    m_kms.refusal = etsi::ApiError{status, "no", {}};
    EXPECT_EQ(failure_of(ask(request("b", id))), KeyFailure::unknown) << status;
  }
  for (const unsigned status : {429U, 500U, 503U}) {
    m_kms.refusal = etsi::ApiError{status, "no", {}};
    EXPECT_EQ(failure_of(ask(request("b", id))), KeyFailure::unavailable) << status;
  }
  for (const unsigned status : {400U, 401U, 404U, 500U, 503U}) {
    m_kms.refusal = etsi::ApiError{status, "no", {}};
    EXPECT_EQ(failure_of(ask(request("a"))), KeyFailure::unavailable) << status;
  }
}

TEST_F(KeyFetcherTest, NonsenseFromAKmsIsItsTrouble) {
  for (const char* nonsense : {"", "{", "[]", R"({"keys":[]})", R"({"keys":[{"key_ID":"x","key":"AAAA"}]})",
                               R"({"keys":[{"key_ID":"x","key":"!"}]})"}) {
    m_kms.nonsense = nonsense;
    EXPECT_EQ(failure_of(ask(request("a"))), KeyFailure::unavailable) << nonsense;
    EXPECT_EQ(failure_of(ask(request("b", KeyId("x")))), KeyFailure::unavailable) << nonsense;
  }
}

TEST_F(KeyFetcherTest, LogsAnOutageOnceAndItsEndOnce) {
  ASSERT_TRUE(ask(request("a")).result.has_value());
  m_kms.stop();
  EXPECT_EQ(failure_of(ask_in_vain(request("a"))), KeyFailure::unavailable);
  EXPECT_EQ(failure_of(ask_in_vain(request("a"))), KeyFailure::unavailable);
  EXPECT_EQ(m_log.count(event::kKmsUnavailable), 1U);
  EXPECT_FALSE(m_fetcher.health("a", SaeId("sae-b")).reachable);
  EXPECT_FALSE(m_fetcher.health("a", SaeId("sae-b")).last_error.empty());
  m_kms.start();
  ASSERT_TRUE(ask(request("a")).result.has_value());
  EXPECT_EQ(m_log.count(event::kKmsAvailable), 1U);
  EXPECT_TRUE(m_fetcher.health("a", SaeId("sae-b")).last_error.empty());
}

TEST_F(KeyFetcherTest, TellsAKmsThatRefusesEveryKeyThatThePeerNames) {
  const SaeId peer("sae-a");
  m_kms.refusal = etsi::ApiError{403, "not yours", {}};
  for (int key = 0; key < 5; ++key) {
    const std::size_t told = key < 2 ? 0 : 1;  // once or twice, that happens
    for (int i = 0; i < 6; ++i)                // as within one handshake
      EXPECT_EQ(failure_of(ask(request("b", KeyId("11111111-2222-4333-8444-55555555555" + std::to_string(key))))),
                KeyFailure::unknown);
    EXPECT_EQ(m_log.count(event::kKmsUnavailable), told) << key;
    EXPECT_EQ(m_fetcher.health("b", peer).last_error.empty(), told == 0) << key;
  }
  EXPECT_TRUE(m_fetcher.health("b", peer).reachable);
  EXPECT_NE(m_fetcher.health("b", peer).last_error.find("not yours"), std::string::npos);
  // Fresh keys say nothing about those.
  m_kms.refusal.reset();
  ASSERT_TRUE(ask(request("b")).result.has_value());
  EXPECT_FALSE(m_fetcher.health("b", peer).last_error.empty());
  const Answer fresh = ask(request("a"));
  ASSERT_TRUE(fresh.result.has_value());
  ASSERT_TRUE(ask(request("b", fresh.result->id)).result.has_value());
  EXPECT_EQ(m_log.count(event::kKmsAvailable), 1U);
  EXPECT_TRUE(m_fetcher.health("b", peer).last_error.empty());
}

// Two tunnels share a source, and each asks again for the key of its own.
TEST_F(KeyFetcherTest, TwoKeysThatAreAskedForInTurnAreTwo) {
  m_kms.refusal = etsi::ApiError{403, "not yours", {}};
  for (int i = 0; i < 12; ++i)
    ask(request("b", KeyId("11111111-2222-4333-8444-55555555555" + std::to_string(i % 2))));
  EXPECT_EQ(m_log.count(event::kKmsUnavailable), 0U);
}

TEST_F(KeyFetcherTest, WhoIsRefusedIsToldWhatTheKmsHasToKnow) {
  for (const unsigned status : {401U, 403U}) {
    m_kms.refusal = etsi::ApiError{status, "", {}};
    const Answer refused = ask(request("a"));
    ASSERT_FALSE(refused.result.has_value());
    for (const char* part : {"does the KMS know SAE \"sae-a\" by the certificate in ", "sae-a.pem", "SAE \"sae-b\"?"})
      EXPECT_NE(refused.result.error().text.find(part), std::string::npos) << refused.result.error().text;
    EXPECT_TRUE(m_fetcher.health("a", SaeId("sae-b")).reachable) << "it answered";
  }
  m_kms.refusal = etsi::ApiError{500, "", {}};
  EXPECT_EQ(ask(request("a")).result.error().text.find("certificate"), std::string::npos);
}

// What a KMS said last keeps its date when it says no more.
TEST_F(KeyFetcherTest, RemembersWhenTheKmsAnswered) {
  const SaeId peer("sae-b");
  EXPECT_FALSE(m_fetcher.health("a", peer).answered);
  ASSERT_TRUE(ask(request("a")).result.has_value());
  run_until(m_loop, [&] { return !m_stocks.empty(); }, "the stock");
  const SourceHealth before = m_fetcher.health("a", peer);
  ASSERT_TRUE(before.answered && before.stock_told);
  m_kms.stop();
  EXPECT_EQ(failure_of(ask_in_vain(request("a"))), KeyFailure::unavailable);
  EXPECT_EQ(m_fetcher.health("a", peer).answered, before.answered);
  EXPECT_EQ(m_fetcher.health("a", peer).stock_told, before.stock_told);
  m_kms.start();
  ASSERT_TRUE(ask(request("a")).result.has_value());
  EXPECT_GT(m_fetcher.health("a", peer).answered, before.answered);
}

TEST_F(KeyFetcherTest, NamesTheKmsWhoseCertificatesAreNew) {
  const auto settings = [&](std::uint8_t content) {
    std::vector<KmsSettings> kms;
    kms.push_back(m_kms.settings_for("sae-a", "a"));
    kms.back().tls.certificate[0] = content;
    return kms;
  };
  EXPECT_TRUE(m_fetcher.set_sources(settings(0)).empty());
  EXPECT_EQ(m_fetcher.set_sources(settings(1)), std::vector<std::string>{"a"});
  EXPECT_TRUE(m_fetcher.set_sources(settings(1)).empty());
}

TEST_F(KeyFetcherTest, AKmsThatComesUpLaterIsFoundWithinOneQuestion) {
  m_kms.stop();
  m_fetcher.fetch(request("a"));
  const TimePoint tried = net::Loop::now() + 20ms;
  run_until(m_loop, [&] { return net::Loop::now() > tried; }, "the first try");
  EXPECT_TRUE(m_answers.empty());
  m_kms.start();
  run_until(m_loop, [&] { return !m_answers.empty(); }, "the answer");
  EXPECT_TRUE(m_answers.front().result.has_value());
  EXPECT_EQ(m_log.count(event::kKmsUnavailable), 0U);
}

// No request was made on a connection that never stood: nothing is spent by asking again.
TEST_F(KeyFetcherTest, AConnectionThatBreaksInItsHandshakeIsMadeAgain) {
  m_kms.stop();
  m_kms.start({.handshake_timeout = Duration::zero()});
  m_fetcher.fetch(request("a"));
  run_until(m_loop, [&] { return m_kms.refused_connections > 0; }, "the first try");
  m_kms.stop();
  m_kms.start();
  run_until(m_loop, [&] { return !m_answers.empty(); }, "the answer");
  EXPECT_TRUE(m_answers.front().result.has_value()) << m_answers.front().result.error().text;
  EXPECT_EQ(m_kms.enc_calls, 1U);
}

// The KMS may have handed out a key, which is lost; another one must be the caller's decision.
TEST_F(KeyFetcherTest, ARequestThatMayHaveArrivedIsNotSentAgain) {
  m_kms.hold = true;
  m_fetcher.fetch(request("a"));
  run_until(m_loop, [&] { return m_kms.held() == 1; }, "the request");
  m_kms.stop();
  m_kms.hold = false;
  m_kms.start();
  run_until(m_loop, [&] { return !m_answers.empty(); }, "the answer");
  EXPECT_FALSE(m_answers.front().result.has_value());
  EXPECT_EQ(m_kms.enc_calls, 0U);
}

TEST_F(KeyFetcherTest, AKeyThatComesAfterItsDeadlineIsStillDelivered) {
  m_kms.hold = true;
  RequestKey wanted = request("a");
  const TimePoint deadline = wanted.deadline = net::Loop::now() + 50ms;
  m_fetcher.fetch(std::move(wanted));
  run_until(m_loop, [&] { return net::Loop::now() > deadline; }, "the deadline");
  EXPECT_TRUE(m_answers.empty());
  m_kms.release();
  run_until(m_loop, [&] { return !m_answers.empty(); }, "the late answer");
  EXPECT_TRUE(m_answers.front().result.has_value());
}

// The Device goes without a key from its deadline on, long before the call is given up.
TEST_F(KeyFetcherTest, AKmsThatHangsIsNotWellFromTheDeadlineOn) {
  const SaeId peer("sae-b");
  ASSERT_TRUE(ask(request("a")).result.has_value());
  run_until(m_loop, [&] { return !m_stocks.empty(); }, "the stock");  // it would be held, too
  m_kms.hold = true;
  m_fetcher.fetch(request("a"));
  EXPECT_TRUE(m_fetcher.health("a", peer).last_error.empty());
  RequestKey wanted = request("a");
  wanted.deadline = net::Loop::now() - 1ms;
  m_fetcher.fetch(std::move(wanted));
  run_until(m_loop, [&] { return !m_fetcher.health("a", peer).last_error.empty(); }, "the least time it has");
  EXPECT_EQ(m_fetcher.health("a", peer).last_error, "does not answer in time");
  EXPECT_FALSE(m_fetcher.health("a", peer).reachable);
  EXPECT_TRUE(m_fetcher.health("b", SaeId("sae-a")).last_error.empty());
  run_until(m_loop, [&] { return m_kms.held() == 2; }, "both questions");
  m_kms.release();
  run_until(m_loop, [&] { return m_answers.size() == 2; }, "the late answers");
  EXPECT_TRUE(m_fetcher.health("a", peer).reachable);
  EXPECT_TRUE(m_fetcher.health("a", peer).last_error.empty());
}

// The KMS is not to blame for a question that comes late.
TEST_F(KeyFetcherTest, AQuestionPutAtItsDeadlineIsNotLateAtOnce) {
  const SaeId peer("sae-b");
  ASSERT_TRUE(ask(request("a")).result.has_value());
  m_kms.hold = true;
  RequestKey wanted = request("a");
  const TimePoint asked = wanted.deadline = net::Loop::now();
  m_fetcher.fetch(std::move(wanted));
  const std::string at_once = m_fetcher.health("a", peer).last_error;
  const bool slow = net::Loop::now() > asked + KeyFetcher::kLeastTimeout;
  EXPECT_TRUE(at_once.empty() || slow) << at_once;
  run_until(m_loop, [&] { return !m_fetcher.health("a", peer).last_error.empty(); }, "the least time it has");
}

TEST_F(KeyFetcherTest, AKmsThatNeverAnswersIsAnsweredFor) {
  m_kms.hold = true;
  RequestKey wanted = request("a");
  wanted.deadline = net::Loop::now();
  EXPECT_EQ(failure_of(ask(std::move(wanted))), KeyFailure::unavailable);
}

TEST_F(KeyFetcherTest, LearnsTheStockBehindAnAnswer) {
  ASSERT_TRUE(ask(request("a")).result.has_value());
  run_until(m_loop, [&] { return !m_stocks.empty(); }, "the stock");
  EXPECT_EQ(m_stocks.front(), 1000U);
  EXPECT_EQ(m_fetcher.health("a", SaeId("sae-b")).stock_keys, 1000U);
  ASSERT_TRUE(ask(request("a")).result.has_value());
  EXPECT_EQ(m_kms.status_calls, 1U);
}

TEST_F(KeyFetcherTest, AStockIsNothingToCountOnWhenItsKmsFails) {
  ASSERT_TRUE(ask(request("a")).result.has_value());
  run_until(m_loop, [&] { return !m_stocks.empty(); }, "the stock");
  m_kms.refusal = etsi::ApiError{503, "not enough key material available", {}};
  EXPECT_EQ(failure_of(ask(request("a"))), KeyFailure::unavailable);
  EXPECT_EQ(m_stocks.back(), std::nullopt);
  m_kms.refusal.reset();
  ASSERT_TRUE(ask(request("a")).result.has_value());
  run_until(m_loop, [&] { return m_stocks.back() == 1000U; }, "the stock, asked anew");
}

TEST_F(KeyFetcherTest, AStockThatIsNotToldIsUnknown) {
  m_kms.status_refusal = etsi::ApiError{503, "not now", {}};
  ASSERT_TRUE(ask(request("a")).result.has_value());
  run_until(m_loop, [&] { return !m_stocks.empty(); }, "the answer about the stock");
  EXPECT_EQ(m_stocks.back(), std::nullopt);
  EXPECT_TRUE(m_fetcher.health("a", SaeId("sae-b")).last_error.empty()) << "its keys are good all the same";
}

TEST_F(KeyFetcherTest, SaysOnceThatAKmsGivesSimulatedKeys) {
  ASSERT_TRUE(ask(request("a")).result.has_value());
  EXPECT_FALSE(m_fetcher.health("a", SaeId("sae-b")).simulated);
  m_kms.simulated = true;
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(ask(request("a")).result.has_value());
  EXPECT_TRUE(m_fetcher.health("a", SaeId("sae-b")).simulated);
  EXPECT_EQ(m_log.count(event::kSourceSimulated), 1U);
  EXPECT_FALSE(m_fetcher.health("b", SaeId("sae-a")).simulated);
}

TEST_F(KeyFetcherTest, ASourceThatIsMarkedSimulatedNeedsNoWarning) {
  m_kms.simulated = true;
  RequestKey wanted = request("a");
  wanted.source.simulated = true;
  ASSERT_TRUE(ask(std::move(wanted)).result.has_value());
  EXPECT_TRUE(m_fetcher.health("a", SaeId("sae-b")).simulated);
  EXPECT_EQ(m_log.count(event::kSourceSimulated), 0U);
}

TEST_F(KeyFetcherTest, AStockThatIsSimulatedIsEnough) {
  m_kms.simulated = true;
  m_kms.refusal = etsi::ApiError{503, "not enough key material available", {}};
  EXPECT_EQ(failure_of(ask(request("b", KeyId("11111111-2222-4333-8444-555555555555")))), KeyFailure::unavailable);
  EXPECT_FALSE(m_fetcher.health("b", SaeId("sae-a")).simulated);
  m_kms.refusal.reset();
  EXPECT_EQ(failure_of(ask(request("b", KeyId("11111111-2222-4333-8444-555555555555")))), KeyFailure::unknown);
  run_until(m_loop, [&] { return !m_stocks.empty() && m_stocks.back(); }, "the stock");
  EXPECT_TRUE(m_fetcher.health("b", SaeId("sae-a")).simulated);
  EXPECT_EQ(m_log.count(event::kSourceSimulated), 1U);
}

TEST_F(KeyFetcherTest, AChangedKmsAnswersWhatWasOpen) {
  m_kms.hold = true;
  m_fetcher.fetch(request("a"));
  m_fetcher.fetch(request("b", KeyId("x")));
  std::vector<KmsSettings> kms;
  kms.push_back(m_kms.settings_for("sae-a", "a"));
  kms.back().config.url.path = "/elsewhere";
  m_fetcher.set_sources(std::move(kms));
  EXPECT_TRUE(m_answers.empty()) << "answers come from the loop";
  run_until(m_loop, [&] { return m_answers.size() == 2; }, "two answers");
  EXPECT_EQ(failure_of(m_answers[0]), KeyFailure::unavailable);
  EXPECT_EQ(failure_of(m_answers[1]), KeyFailure::unavailable);
  // It is nobody's fault.
  EXPECT_EQ(m_log.count(event::kKmsUnavailable), 0U);
  EXPECT_FALSE(m_fetcher.health("a", SaeId("sae-b")).asked);
  EXPECT_EQ(m_fetcher.health("a", SaeId("sae-b")).last_error, "");
  m_answers.clear();
  EXPECT_EQ(failure_of(ask(request("b"))), KeyFailure::unavailable) << "a KMS that is no longer configured";
}

TEST_F(KeyFetcherTest, AnUnchangedKmsKeepsWhatIsOpen) {
  m_kms.hold = true;
  m_fetcher.fetch(request("a"));
  std::vector<KmsSettings> kms;
  kms.push_back(m_kms.settings_for("sae-a", "a"));
  m_fetcher.set_sources(std::move(kms));
  EXPECT_TRUE(m_answers.empty());
  // The request may still be under way to the KMS.
  m_kms.hold = false;
  run_until(m_loop, [&] { return m_kms.release(), !m_answers.empty(); }, "the answer");
  EXPECT_TRUE(m_answers.front().result.has_value());
}

}  // namespace
}  // namespace quipu::daemon
