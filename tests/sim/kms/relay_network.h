// SPDX-License-Identifier: Apache-2.0
// Lines and rings of sites between which key is relayed, under the eyes of a SlotWatch and a ShareWatch.
#pragma once

#include <gtest/gtest.h>

#include "kms/link_message.h"
#include "sim/kms/share_watch.h"
#include "sim/kms/slot_watch.h"
#include "sim/kms/world.h"

namespace quipu::kms::sim {

inline constexpr std::uint64_t kTarget = 16'384;  // octets of stock that a relayed pool is filled to

class Network {
 public:
  Network(std::uint64_t seed, unsigned sites, const Topology& topology)
      : m_topology(topology), m_world(seed, sites, {}, topology) {
    for (std::size_t i = 0; i < sites; ++i)
      m_world.start(i);
    m_world.on_sent = [this](std::size_t from, std::size_t to, const SecretBytes& message) {
      m_watch.sent(m_world.node(from).name, m_world.node(to).name, message);
      m_shares.sent(m_world.node(from).name, m_world.node(to).name, message);
    };
    m_world.meddle([this](std::size_t from, std::size_t to, SecretBytes message) {
      return m_meddler ? m_meddler(from, to, std::move(message)) : one(std::move(message));
    });
  }

  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  static std::vector<SecretBytes> one(SecretBytes message) {
    std::vector<SecretBytes> out;
    out.push_back(std::move(message));
    return out;
  }

  // What a node does to the messages that it should pass as they are.
  void meddle(World::Meddler meddler) { m_meddler = std::move(meddler); }

  void connect_all() {
    for (const auto* pairs : {&m_topology.links, &m_topology.relayed})
      for (const auto& [a, b] : *pairs)
        if (!m_world.connected(a, b) && m_world.node(a).up() && m_world.node(b).up()) m_world.connect(a, b);
    m_world.settle();
  }

  // So many octets of fresh key for each QKD link.
  void feed(std::uint32_t octets = 65'536) {
    for (const auto& [a, b] : m_topology.links)
      m_world.make_block(a, b, octets, m_world.node(a).up(), m_world.node(b).up());
    m_world.settle();
  }

  void begin() {
    connect_all();
    feed();
    m_world.advance(seconds(3));
  }

  // A key from one end to the other, the same at both.
  void expect_key(std::size_t from, std::size_t to) {
    const auto enc = m_world.enc_keys(from, World::sae(from), World::sae(to));
    m_world.advance(milliseconds(600));
    ASSERT_TRUE(enc->ok()) << "no key from " << from << " to " << to << ": " << enc->error();
    const auto dec = m_world.dec_keys(to, World::sae(to), World::sae(from), enc->ids());
    m_world.advance(milliseconds(600));
    ASSERT_TRUE(dec->ok()) << "key of " << from << " not found at " << to << ": " << dec->error();
  }

  // So many that more have to be relayed.
  void take_keys(std::size_t from, std::size_t to) {
    etsi::KeyRequest many;
    many.number = 100;
    const auto taken = m_world.enc_keys(from, World::sae(from), World::sae(to), many);
    m_world.settle();
    ASSERT_TRUE(taken->ok()) << taken->error();
  }

  // In a line: a takes leases for blocks from a to c that b never hears of, and is then an older copy, which knows
  // nothing of them and leases the same octets again.
  void restore_source_after_lost_leases();

  int reported(const std::string& event) const {
    const auto found = m_world.reports().find(event);
    return found == m_world.reports().end() ? 0 : found->second;
  }

  std::uint64_t stock(std::size_t at, std::size_t with) const { return m_world.pool(at, with).books.stock; }

  World& world() { return m_world; }

  std::size_t hops() const { return m_watch.hops(); }

  std::size_t compared_blocks() const { return m_shares.compared(); }

  bool is_violated() {
    return !m_world.ledger().violations().empty() || !m_watch.violations().empty() || !m_shares.violations().empty();
  }

  // Slots that were used twice.
  std::vector<std::string> take_slot_violations() { return m_watch.take_violations(); }

  // Rules that were broken: of single use, by keys and by slots of them, of shares, and of the books.
  std::vector<std::string> take_violations();

 private:
  Topology m_topology;
  World m_world;
  World::Meddler m_meddler;
  SlotWatch m_watch;
  ShareWatch m_shares{m_world};
};

template <class M>
bool is(const SecretBytes& octets) {
  const auto message = wire::decode(octets.view());
  return message && std::holds_alternative<M>(*message);
}

}  // namespace quipu::kms::sim
