// SPDX-License-Identifier: Apache-2.0
#include "daemon/datagram_trains.h"

#include <gmock/gmock.h>

namespace quipu::daemon {
namespace {

using testing::ElementsAre;

const Endpoint kHere = *Endpoint::parse("192.0.2.1:1");
const Endpoint kThere = *Endpoint::parse("192.0.2.2:1");

class Trains {
 public:
  void push(std::size_t size, const Endpoint& to = kHere, std::uint8_t traffic_class = 0, bool may_fragment = false) {
    const MutableBytes room = m_trains.room(size);
    ASSERT_EQ(room.size(), size);
    std::ranges::fill(room, m_octet++);
    m_trains.push(to, traffic_class, size, may_fragment);
  }

  // Datagrams of each train; what they hold is checked on the way.
  std::vector<std::size_t> counts() {
    std::vector<std::size_t> out;
    std::uint8_t octet = 0;
    for (const net::OutDatagram& train : m_trains.trains()) {
      out.push_back(train.count());
      const std::size_t each = train.segment_size == 0 ? train.payload.size() : train.segment_size;
      EXPECT_LE(train.payload.size(), DatagramTrains::kMaxTrain);
      for (std::size_t at = 0; at < train.payload.size(); ++at)
        EXPECT_EQ(train.payload[at], octet + at / each);
      octet = static_cast<std::uint8_t>(octet + train.count());
    }
    return out;
  }

  const net::OutDatagram& operator[](std::size_t i) const { return m_trains.trains()[i]; }

 private:
  DatagramTrains m_trains{std::size_t{256} * 1024};
  std::uint8_t m_octet = 0;
};

TEST(DatagramTrains, AShorterDatagramEndsATrain) {
  Trains trains;
  for (const std::size_t size : {100U, 100U, 60U, 60U, 60U, 70U})
    trains.push(size);
  EXPECT_THAT(trains.counts(), ElementsAre(3, 2, 1));
}

TEST(DatagramTrains, HoldNothingThatMayBeFragmented) {
  Trains trains;
  trains.push(100);
  trains.push(100, kHere, 0, true);
  trains.push(100, kHere, 0, true);
  trains.push(100);
  trains.push(100);
  EXPECT_THAT(trains.counts(), ElementsAre(1, 1, 1, 2));
  EXPECT_FALSE(trains[0].may_fragment);
  EXPECT_TRUE(trains[1].may_fragment);
  EXPECT_TRUE(trains[2].may_fragment);
  EXPECT_FALSE(trains[3].may_fragment);
}

TEST(DatagramTrains, AreOfOneEndpointAndTrafficClass) {
  Trains trains;
  trains.push(100);
  trains.push(100, kThere);
  trains.push(100, kThere, 2);
  trains.push(100, kThere, 2);
  EXPECT_THAT(trains.counts(), ElementsAre(1, 1, 2));
  EXPECT_EQ(trains[0].to, kHere);
  EXPECT_EQ(trains[2].traffic_class, 2);
}

TEST(DatagramTrains, AreNoLongerThanLinuxTakes) {
  Trains many;
  for (int i = 0; i < 65; ++i)
    many.push(50);
  EXPECT_THAT(many.counts(), ElementsAre(64, 1));
  Trains large;
  for (int i = 0; i < 50; ++i)
    large.push(1434);
  EXPECT_THAT(large.counts(), ElementsAre(45, 5));
}

TEST(DatagramTrains, HaveAsMuchRoomAsTheyWereGiven) {
  DatagramTrains trains(150);
  EXPECT_EQ(trains.room(100).size(), 100U);
  trains.push(kHere, 0, 100);
  EXPECT_TRUE(trains.room(51).empty());
  trains.clear();
  EXPECT_TRUE(trains.trains().empty());
  EXPECT_EQ(trains.room(150).size(), 150U);
}

}  // namespace
}  // namespace quipu::daemon
