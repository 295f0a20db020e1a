// SPDX-License-Identifier: Apache-2.0
// Datagrams that are longer than the path between the sites is wide are lost, and whoever sent what was in them learns.
#include <gtest/gtest.h>

#include "two_engines.h"

namespace quipu::daemon {
namespace {

class NarrowPathTest : public EngineTest {
 protected:
  static constexpr std::size_t kWidth = 1300;

  NarrowPathTest() {
    m_network.on_send = [](const net::FakeUdpNetwork::Packet& datagram) {
      const bool fits = datagram.payload.size() <= kWidth + protocol::kMaxOverhead;
      return fits || !protocol::Device::is_data(datagram.payload);
    };
    send(m_a, "first");
    expect_arrival(m_b, "first");
  }

  // What is sent is sent again, as hosts do, until the engine knows the path and answers.
  std::vector<tun::FakeTun::Written> answers_to(const TcpRun& sent) {
    std::vector<tun::FakeTun::Written> written;
    run_until(
        m_loop,
        [&] {
          if (written = m_a.tun.take_written(); !written.empty()) return true;
          m_a.tun.inject(sent.bytes, sent.hints);
          return false;
        },
        "the answer");
    return written;
  }

  static std::size_t told_size(const Bytes& answer) { return std::size_t{answer[26]} << 8 | answer[27]; }
};

TEST_F(NarrowPathTest, TheSenderOfALargePacketIsToldWhatFits) {
  const TcpRun large = run_of_tcp(1340, 0);
  const Bytes answer = answers_to(large).at(0).bytes;
  ASSERT_GT(answer.size(), 48U);
  EXPECT_EQ(IpAddress::from_octets(ByteView(answer).subspan(12, 4)).text(), "10.70.0.2");
  EXPECT_EQ(IpAddress::from_octets(ByteView(answer).subspan(16, 4)).text(), "10.70.0.1");
  EXPECT_EQ(answer[20], 3) << "unreachable";
  EXPECT_EQ(answer[21], 4) << "fragmentation needed";
  EXPECT_GE(told_size(answer), 1198U);
  EXPECT_LE(told_size(answer), kWidth);
  EXPECT_TRUE(std::equal(answer.begin() + 28, answer.end(), large.bytes.begin()));
  EXPECT_GE(tunnel(m_a).drops.at("too_big"), 1U);
  EXPECT_TRUE(m_b.tun.take_written().empty());
}

TEST_F(NarrowPathTest, ARunIsAnsweredOnceWithTheSizeOfASegment) {
  const auto answers = answers_to(run_of_tcp(5360, 1340));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(std::size_t{answers[0].bytes[30]} << 8 | answers[0].bytes[31], 1380U) << "the length in what is quoted";
}

TEST_F(NarrowPathTest, ASegmentOfTheSizeThatWasToldArrives) {
  const std::size_t size = told_size(answers_to(run_of_tcp(1340, 0)).at(0).bytes);
  EXPECT_GE(tunnel(m_a).path_mtu, size);
  EXPECT_LE(tunnel(m_a).path_mtu, kWidth);
  EXPECT_EQ(m_a.engine->status().mtu, 1400U);
  const TcpRun fitting = run_of_tcp(size - 40, 0);
  m_b.tun.take_written();
  m_a.tun.inject(fitting.bytes, fitting.hints);
  std::vector<tun::FakeTun::Written> arrived;
  run_until(m_loop, [&] { return !(arrived = m_b.tun.take_written()).empty(); }, "the segment");
  EXPECT_EQ(arrived[0].bytes, fitting.bytes);
}

TEST_F(NarrowPathTest, AConnectionIsToldSegmentsThatFitThePath) {
  const std::size_t size = told_size(answers_to(run_of_tcp(1340, 0)).at(0).bytes);
  const TcpRun syn = syn_with_mss(1460);
  m_a.tun.inject(syn.bytes, syn.hints);
  std::vector<tun::FakeTun::Written> arrived;
  run_until(m_loop, [&] { return !(arrived = m_b.tun.take_written()).empty(); }, "the SYN");
  const auto told = static_cast<std::size_t>(arrived[0].bytes[42] << 8 | arrived[0].bytes[43]);
  EXPECT_GE(told, size - 40);
  EXPECT_LE(told, kWidth - 40);
}

}  // namespace
}  // namespace quipu::daemon
