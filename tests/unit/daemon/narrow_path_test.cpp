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
    m_network.on_send = [this](const net::FakeUdpNetwork::Packet& datagram) {
      const bool fits = datagram.payload.size() <= kWidth + protocol::kMaxOverhead;
      m_fragmented += fits || !datagram.may_fragment ? 0 : 1;
      return fits || datagram.may_fragment || !protocol::Device::is_data(datagram.payload);
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

  void expect_arrivals(const TcpRun& sent, const std::vector<Bytes>& expected) {
    m_b.tun.take_written();
    m_a.tun.inject(sent.bytes, sent.hints);
    std::vector<Bytes> arrived;
    run_until(
        m_loop,
        [&] {
          for (tun::FakeTun::Written& written : m_b.tun.take_written())
            arrived.push_back(std::move(written.bytes));
          return arrived.size() >= expected.size();
        },
        "the segments");
    EXPECT_EQ(arrived, expected);
  }

  void expect_the_sender_is_told() {
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

  void expect_one_answer_for_a_run() {
    const auto answers = answers_to(run_of_tcp(5360, 1340));
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(std::size_t{answers[0].bytes[30]} << 8 | answers[0].bytes[31], 1380U) << "the length in what is quoted";
  }

  void expect_that_what_fits_arrives(std::size_t size) {
    EXPECT_GE(tunnel(m_a).path_mtu, size);
    EXPECT_LE(tunnel(m_a).path_mtu, kWidth);
    EXPECT_EQ(m_a.engine->status().mtu, 1400U);
    const TcpRun fitting = run_of_tcp(size - 40, 0);
    expect_arrivals(fitting, {fitting.bytes});
  }

  void expect_connections_are_told(std::size_t size) {
    const TcpRun syn = syn_with_mss(1460);
    m_b.tun.take_written();
    m_a.tun.inject(syn.bytes, syn.hints);
    std::vector<tun::FakeTun::Written> arrived;
    run_until(m_loop, [&] { return !(arrived = m_b.tun.take_written()).empty(); }, "the SYN");
    const auto told = static_cast<std::size_t>(arrived[0].bytes[42] << 8 | arrived[0].bytes[43]);
    EXPECT_GE(told, size - 40);
    EXPECT_LE(told, kWidth - 40);
  }

  // Two datagrams of one size, which would be a train if they were to arrive whole.
  void expect_fragments_arrive() {
    const TcpRun large = from_a_to_b({.may_fragment = true, .payload = Bytes(1340, 7)}, 0);
    const std::uint64_t refused = tunnel(m_a).drops.at("too_big");
    m_fragmented = 0;
    m_a.tun.inject(large.bytes, large.hints);
    expect_arrivals(large, {large.bytes, large.bytes});
    EXPECT_EQ(m_fragmented, 2);
    EXPECT_EQ(tunnel(m_a).drops.at("too_big"), refused);
  }

  int m_fragmented = 0;  // datagrams that were too long for the path
};

// One test, since it takes seconds until an engine believes that a path is narrow.
TEST_F(NarrowPathTest, HostsLearnWhatFitsAndWhatMayBeFragmentedIs) {
  expect_the_sender_is_told();
  expect_one_answer_for_a_run();
  const std::size_t size = told_size(answers_to(run_of_tcp(1340, 0)).at(0).bytes);
  expect_that_what_fits_arrives(size);
  expect_connections_are_told(size);
  expect_fragments_arrive();
}

}  // namespace
}  // namespace quipu::daemon
