// SPDX-License-Identifier: Apache-2.0
#include "kmsd/refusal_log.h"

#include "support/recorded_log.h"
#include "unit/net/fixture.h"

namespace quipu::kmsd {
namespace {

TEST(RefusalLog, TellsTheFirstAtOnceAndTheOthersTogether) {
  net::Loop loop;
  test::RecordedLog log;
  RefusalLog refusals(loop, log, "refused", "it was refused", std::chrono::milliseconds(20));
  const auto counts = [&] { return log.values("refused", "count"); };
  for (std::uint16_t port = 1; port <= 1'000; ++port)
    refusals.note({net::kLoopback.address, port, 0}, {Errc::malformed, "no TLS"});
  EXPECT_EQ(counts(), std::vector<std::string>{"1"});
  test::run_until(loop, [&] { return counts().size() == 2; });
  EXPECT_EQ(counts().back(), "999");
  EXPECT_EQ(refusals.total(), 1'000U);
  EXPECT_EQ(log.values("refused", "from").back(), "127.0.0.1:1000");
}

}  // namespace
}  // namespace quipu::kmsd
