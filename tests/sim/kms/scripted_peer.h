// SPDX-License-Identifier: Apache-2.0
// One KME ("a") against a peer ("b") that says exactly what the test wants.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "kms/delivery.h"
#include "kms/kme.h"
#include "kms/link_message.h"
#include "sim/kms/memory_store.h"
#include "sim/kms/seeded_rng.h"

namespace quipu::kms::sim {
inline constexpr LinkId kLink(7);

inline Uuid uuid(std::uint8_t n) {
  return Uuid{{n}};
}

class ScriptedPeer : public testing::Test {
 protected:
  explicit ScriptedPeer(std::string peer = "b") : m_peer(std::move(peer)) {}

  void SetUp() override {
    KmeConfig config;
    config.id = KmeId(own_id());
    config.saes = {SaeId("sae-a")};
    config.peers = {{KmeId(peer_id()), {SaeId("sae-b"), SaeId("sae-b2")}}, {KmeId("c"), {SaeId("sae-c")}}};
    config.sources = {{"link", KmeId(peer_id())}, {"link-c", KmeId("c")}};
    adjust(config);
    auto started = Kme::start(config, store, rng, WallTime{}, now);
    ASSERT_TRUE(started);
    kme = std::move(*started);
    m_links.emplace(m_peer, kLink);
    take(kme->link_connected(kLink, KmeId(m_peer), now));
  }

  virtual void adjust(KmeConfig& /*config*/) {}

  virtual std::string own_id() const { return "a"; }

  const std::string& peer_id() const { return m_peer; }

  // From here on it is that peer, which makes contact over a connection of its own when it first speaks.
  void speak_as(const std::string& peer) {
    m_peer = peer;
    const auto [link, is_new] = m_links.try_emplace(peer, kLink.value() + m_links.size());
    if (!is_new) return;
    take(kme->link_connected(link->second, KmeId(peer), now));
    contact();
  }

  // What the KME says, and whether it ends the connection.
  void take(Actions actions) {
    for (Action& action : actions) {
      if (const auto* send = std::get_if<SendLink>(&action)) {
        auto message = wire::decode(send->message.view());
        ASSERT_TRUE(message) << message.error().text;
        said.push_back(std::move(*message));
      }
      if (auto* reply = std::get_if<ReplyEtsi>(&action)) replies.push_back(std::move(reply->reply));
      if (const auto* message = std::get_if<DeliverDriverMessage>(&action)) to_drivers.push_back(message->source);
      if (const auto* report = std::get_if<Report>(&action)) reports.emplace_back(report->event);
      closed = closed || std::holds_alternative<CloseLink>(action);
      ASSERT_FALSE(std::holds_alternative<Fatal>(action));
    }
  }

  void say(const wire::Message& message) {
    take(kme->link_received(m_links.at(m_peer), wire::encode(message).view(), now));
  }

  // Says something and returns the only thing that is answered to it, passing over the KME's own requests.
  template <class Answer, class Request>
  std::optional<Answer> ask(Request request) {
    request.number = wire::RequestNumber(++last_number);
    said.clear();
    say(request);
    std::optional<Answer> answer;
    int answers = 0;
    for (const wire::Message& m : said) {
      const bool is_answer = std::holds_alternative<wire::Ack>(m) || std::holds_alternative<wire::Refused>(m) ||
                             std::holds_alternative<wire::Closed>(m) || std::holds_alternative<wire::BlockStates>(m);
      answers += is_answer ? 1 : 0;
      if (const auto* a = std::get_if<Answer>(&m)) answer = *a;
    }
    EXPECT_EQ(answers, 1);
    EXPECT_TRUE(!answer || answer->number == request.number);
    return answer;
  }

  // As a peer does that has the same stock.
  void answer_requests() {
    for (const wire::Message& m : std::exchange(said, {})) {
      if (const auto* lease = std::get_if<wire::Lease>(&m)) say(wire::Ack{lease->number});
      if (const auto* ping = std::get_if<wire::Ping>(&m)) say(wire::Ack{ping->number});
      if (const auto* close = std::get_if<wire::Close>(&m)) say(wire::Closed{close->number, false});
    }
  }

  template <class M>
  const M* last() const {
    const auto found =
        std::find_if(said.rbegin(), said.rend(), [](const wire::Message& m) { return std::holds_alternative<M>(m); });
    return found == said.rend() ? nullptr : &std::get<M>(*found);
  }

  // What is said of bindings once the time for it has come.
  std::optional<wire::BindingNumber> acknowledged_bindings() {
    now += kMaxAckDelay;
    take(kme->handle_timeout(now));
    const auto* ack = last<wire::BindingAck>();
    return ack == nullptr ? std::nullopt : std::optional(ack->number);
  }

  void contact() {
    const auto* hello = last<wire::Hello>();
    ASSERT_NE(hello, nullptr);
    const wire::Nonce theirs = hello->nonce;
    say(wire::Hello{wire::kVersion, KmeId(peer_id()), KmeId(own_id()), instance, {}, hello->min_sources});
    const auto* summary = last<wire::Contact>();
    ASSERT_NE(summary, nullptr);
    say(wire::Contact{theirs, summary->inventory});  // we have the same
    ASSERT_EQ(pool().link, LinkState::up);
  }

  // A block, of eight slots, that both ends have.
  BlockId stocked_block(std::uint8_t n = 1, const std::string& source = "link", std::size_t size = 256) {
    const BlockId id(uuid(n));
    Bytes octets(size, n);
    octets[0] = 1;
    std::vector<SourceBlock> blocks;
    blocks.push_back({source, id, SecretBytes::copy_of(octets), false, {}});
    take(kme->blocks_received(std::move(blocks), WallTime{}, now));
    const auto* offer = last<wire::Offer>();
    EXPECT_NE(offer, nullptr);
    offered = offer->blocks.front();
    const auto states = ask<wire::BlockStates>(wire::Offer{{}, {offered}});
    EXPECT_EQ(states->states, std::vector{BlockState::usable});
    return id;
  }

  static wire::Lease lease(std::uint8_t n, std::vector<Extent> extents, const InstanceId& of) {
    wire::Lease m;
    m.id = LeaseId(uuid(n));
    m.instance = of;
    for (const Extent& e : extents)
      for (std::uint32_t i = 0; i < e.range.length / kSlotSize; ++i)
        m.key_ids.push_back(Uuid{{n, static_cast<std::uint8_t>(m.key_ids.size() + 1),
                                  static_cast<std::uint8_t>((m.key_ids.size() + 1) >> 8U)}});
    m.extents = std::move(extents);
    return m;
  }

  // A lease of the peer over that: its first key is of that master for us, who does not fetch it, and it is closed.
  wire::Lease use_up(const Extent& extent, const std::string& master = "sae-b") {
    wire::Lease theirs = lease(0, {extent}, instance);
    const auto n = static_cast<std::uint32_t>(++m_last_binding);
    theirs.id = LeaseId(Uuid{{1, static_cast<std::uint8_t>(n >> 8U), static_cast<std::uint8_t>(n), 1}});
    for (Uuid& key_id : theirs.key_ids)
      key_id = Uuid{{2, static_cast<std::uint8_t>(n >> 8U), static_cast<std::uint8_t>(n),
                     static_cast<std::uint8_t>((&key_id - theirs.key_ids.data()) >> 8U),
                     static_cast<std::uint8_t>(&key_id - theirs.key_ids.data())}};
    EXPECT_TRUE(ask<wire::Ack>(theirs)) << n;
    say(wire::Ack{last<wire::Open>()->number});
    say(wire::Binding{wire::BindingNumber(n), theirs.id, 0, 1, 256, SaeId(master), {SaeId("sae-a")}});
    EXPECT_TRUE(ask<wire::Closed>(wire::Close{{}, theirs.id}));
    return theirs;
  }

  wire::RefusalReason refusal(wire::Lease m) {
    const auto refused = ask<wire::Refused>(std::move(m));
    return refused ? refused->reason : wire::RefusalReason{};
  }

  void expect_goodbye(wire::GoodbyeReason reason) {
    ASSERT_NE(last<wire::Goodbye>(), nullptr);
    EXPECT_EQ(last<wire::Goodbye>()->reason, reason);
    EXPECT_TRUE(closed);
  }

  PoolStatus pool() const {
    for (PoolStatus& status : kme->status({}, now))
      if (status.peer == KmeId(peer_id())) return std::move(status);
    return {};
  }

  MemoryStore store;
  SeededRng rng{5};
  TimePoint now{};
  std::unique_ptr<Kme> kme;
  InstanceId instance{uuid(200)};
  std::vector<wire::Message> said;
  std::vector<EtsiReply> replies;
  std::vector<std::string> to_drivers;  // names of their links
  std::vector<std::string> reports;     // names of events
  bool closed = false;
  std::uint32_t last_number = 0;
  wire::OfferedBlock offered;

 private:
  std::string m_peer;
  std::map<std::string, LinkId> m_links;
  std::uint64_t m_last_binding = 0;
};

class ScriptedLowerPeer : public ScriptedPeer {
 protected:
  ScriptedLowerPeer() : ScriptedPeer("a") {}

  std::string own_id() const override { return "b"; }
};

}  // namespace quipu::kms::sim
