// SPDX-License-Identifier: Apache-2.0
// The reader, on character devices as they are shipped and on a FIFO.
#include "kmsd/entropy_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>

#include "support/recorded_log.h"
#include "support/run_until.h"
#include "support/scratch.h"

namespace quipu::kmsd {
namespace {

using test::run_until;
using testing::ElementsAre;
using testing::HasSubstr;

class EntropyReaderTest : public ::testing::Test {
 protected:
  // As much as there is room for.
  void read(const std::string& path) {
    reader.emplace(loop, path,
                   EntropyReader::Events{.room = [this] { return room; },
                                         .received =
                                             [this](ByteView octets) {
                                               ASSERT_LE(octets.size(), room);
                                               room -= octets.size();
                                               received.insert(received.end(), octets.begin(), octets.end());
                                             },
                                         .gone = [this] { ++gone; }},
                   log);
    reader->wake();
  }

  void expect_lost(const std::string& path, const std::string& reason) {
    read(path);
    run_until(loop, [&] { return gone > 0; });
    EXPECT_THAT(reader->problem(), HasSubstr(reason));
    EXPECT_EQ(received.size(), 0U);
    EXPECT_THAT(log.values("relay_entropy_absent", "source"), ElementsAre(path));
  }

  test::Scratch scratch;
  net::Loop loop;
  test::RecordedLog log;
  std::size_t room = 10'000;
  Bytes received;
  int gone = 0;
  std::optional<EntropyReader> reader;
};

TEST_F(EntropyReaderTest, TakesOfADeviceJustWhatIsWanted) {
  read("/dev/urandom");
  run_until(loop, [&] { return room == 0; });
  EXPECT_EQ(received.size(), 10'000U);
  EXPECT_NE(received, Bytes(10'000));
  room = 100;
  reader->wake();
  run_until(loop, [&] { return room == 0; });
  EXPECT_EQ(received.size(), 10'100U);
  EXPECT_EQ(gone, 0);
  EXPECT_EQ(reader->problem(), "");
}

TEST_F(EntropyReaderTest, SaysThatADeviceHasNothing) {
  expect_lost("/dev/null", "it has ended");
}

TEST_F(EntropyReaderTest, FollowsNoLink) {
  std::filesystem::create_symlink("/dev/urandom", scratch.path("link"));
  expect_lost(scratch.path("link"), "symbolic links");
}

TEST_F(EntropyReaderTest, BeginsWithASourceThatComesLater) {
  expect_lost(scratch.path("qrandom0"), "No such file");
  ASSERT_EQ(::mkfifo(scratch.path("qrandom0").c_str(), 0600), 0);
  const UniqueFd writer(::open(scratch.path("qrandom0").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ASSERT_EQ(::write(writer.get(), "12345678", 8), 8);
  run_until(loop, [&] { return !received.empty(); });
  EXPECT_EQ(received.size(), 8U);
  EXPECT_EQ(reader->problem(), "");
  EXPECT_EQ(gone, 1);
}

}  // namespace
}  // namespace quipu::kmsd
