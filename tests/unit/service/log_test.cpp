// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "service/log_sinks.h"

namespace quipu::service {

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(m_ends), 0); }

  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  ~Pipe() {
    ::close(m_ends[0]);
    ::close(m_ends[1]);
  }

  int input() const { return m_ends[1]; }

  bool has_input() const {
    pollfd one{.fd = m_ends[0], .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, 0) == 1;
  }

  std::string read() const {
    std::string out(65536, '\0');
    out.resize(static_cast<std::size_t>(std::max<ssize_t>(::read(m_ends[0], out.data(), out.size()), 0)));
    return out;
  }

 private:
  int m_ends[2] = {-1, -1};
};

TEST(StreamSink, WritesOneLineWhateverTheFieldsHold) {
  const Pipe pipe;
  StreamSink sink(pipe.input(), LogFormat::text);
  sink.info("rekey", "new keys", {{"peer", "dc-b"}, {"endpoint", "[::1]:1"}, {"reason", "a b\n\"c\"\x1b"}, {"e", ""}});
  const std::string line = pipe.read();
  EXPECT_THAT(line, EndsWith(" info event=rekey message=\"new keys\" peer=dc-b endpoint=[::1]:1 "
                             "reason=\"a b\\u000a\\\"c\\\"\\u001b\" e=\"\"\n"));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(line.find('Z'), std::string_view("2026-11-21T21:25:00.123").size());
}

TEST(StreamSink, WritesJsonThatReadsBack) {
  const Pipe pipe;
  StreamSink sink(pipe.input(), LogFormat::json);
  sink.error("kms_failed", "no answer", {{"kms", "lo\"cal\n"}});
  const std::string line = pipe.read();
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_THAT(line, HasSubstr(R"("level":"error","event":"kms_failed","message":"no answer","kms":"lo\"cal\u000a"})"));
}

TEST(StreamSink, LosesWhatAFullPipeDoesNotTakeAndGoesOn) {
  const Pipe pipe;
  StreamSink sink(pipe.input(), LogFormat::text);
  const std::string long_value(10'000, 'x');
  for (int i = 0; i < 20; ++i)  // 200 KB: more than any pipe holds by default
    sink.info("flood", "m", {{"value", long_value}});
  std::string taken;
  while (pipe.has_input())
    taken = pipe.read();
  EXPECT_THAT(taken, Not(EndsWith("\n")));  // what is torn stays torn, however many lines are lost after it
  sink.info("after", "m");
  EXPECT_THAT(pipe.read(), AllOf(StartsWith("\n"), HasSubstr("event=after")));
  sink.info("next", "m");
  const std::string line = pipe.read();
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(JournalSink, NamesFieldsAsTheJournalWantsThem) {
  EXPECT_EQ(journal_field_name("key_id"), "QUIPU_KEY_ID");
  EXPECT_EQ(journal_field_name("a-b=c"), "QUIPU_A_B_C");
}

class Recorder final : public LogSink {
 public:
  void write(LogLevel level, std::string_view event, std::string_view /*message*/,
             std::span<const LogField> fields) override {
    std::string line = std::string(to_string(level)) + " " + std::string(event);
    for (const LogField& field : fields)
      line += " " + field.value;
    lines.push_back(std::move(line));
  }

  std::vector<std::string> lines;
};

class FilteringSinkTest : public testing::Test {
 protected:
  Recorder recorder;
  TimePoint now{std::chrono::hours(1)};
  FilteringSink sink{recorder, LogLevel::info, [this] { return now; }};
};

TEST_F(FilteringSinkTest, PassesWhatIsSevereEnough) {
  sink.debug("a", "m");
  sink.info("b", "m");
  sink.set_level(LogLevel::error);
  sink.info("c", "m");
  sink.error("d", "m");
  EXPECT_THAT(recorder.lines, ElementsAre("info b", "error d"));
}

TEST_F(FilteringSinkTest, PassesTenPerSecondOfEachEventAndSumsUpTheRest) {
  for (int i = 0; i < 25; ++i)
    sink.info("flood", "m");
  sink.info("other", "m");
  EXPECT_EQ(recorder.lines.size(), FilteringSink::kBurst + 1);
  recorder.lines.clear();
  now += std::chrono::seconds(1);
  sink.info("flood", "m");
  EXPECT_THAT(recorder.lines, ElementsAre("warning suppressed flood 15", "info flood"));
}

TEST_F(FilteringSinkTest, FlushTellsWhatWasSuppressedOnce) {
  for (int i = 0; i < 11; ++i)
    sink.info("flood", "m");
  recorder.lines.clear();
  sink.flush();
  EXPECT_THAT(recorder.lines, ElementsAre());
  now += std::chrono::seconds(1);
  sink.flush();
  sink.flush();
  EXPECT_THAT(recorder.lines, ElementsAre("warning suppressed flood 1"));
}

}  // namespace
}  // namespace quipu::service
