// SPDX-License-Identifier: Apache-2.0
#include "daemon/peer_table.h"

#include <gtest/gtest.h>

namespace quipu::daemon {
namespace {

config::QuipudConfig config_with(const std::string& own_sae) {
  config::QuipudConfig config;
  config.kms.emplace_back();
  config.kms.back().name = "local";
  config.kms.back().sae_id = SaeId(own_sae);
  return config;
}

PeerSettings peer(const std::string& name, std::uint8_t key) {
  PeerSettings out;
  out.config.name = name;
  out.config.public_key[0] = key;
  out.config.sources = {{.kms = "local", .peer_sae_id = SaeId("sae-" + name)}};
  out.config.min_sources = 1;
  return out;
}

std::vector<PeerSettings> one(PeerSettings settings) {
  std::vector<PeerSettings> out;
  out.push_back(std::move(settings));
  return out;
}

class PeerTableTest : public testing::Test {
 protected:
  PeerTableTest() {
    PeerChanges changes = m_table.plan(one(peer("b", 1)), m_config);
    EXPECT_EQ(changes.added.size(), 1U);
    m_id = changes.added.at(0).id;
    m_table.put(std::move(changes.added.at(0)));
  }

  config::QuipudConfig m_config = config_with("sae-a");
  PeerTable m_table;
  protocol::PeerId m_id;
};

TEST_F(PeerTableTest, FindsPeersByIdAndName) {
  ASSERT_NE(m_table.find(m_id), nullptr);
  EXPECT_EQ(m_table.find("b"), m_table.find(m_id));
  EXPECT_EQ(m_table.find("c"), nullptr);
  EXPECT_EQ(m_table.name_of(m_id), "b");
  m_table.remove(m_id);
  EXPECT_EQ(m_table.find(m_id), nullptr);
  EXPECT_EQ(m_table.name_of(m_id), "?");
}

TEST_F(PeerTableTest, ThePolicyNamesBothSaes) {
  const protocol::Policy& policy = m_table.find(m_id)->policy;
  ASSERT_EQ(policy.sources.size(), 1U);
  EXPECT_EQ(policy.sources[0].own, SaeId("sae-a"));
  EXPECT_EQ(policy.sources[0].peer, SaeId("sae-b"));
  EXPECT_EQ(policy.keys_needed(), 1U);
}

TEST_F(PeerTableTest, TheSameIsNoChange) {
  const PeerChanges changes = m_table.plan(one(peer("b", 1)), m_config);
  EXPECT_TRUE(changes.added.empty() && changes.changed.empty() && changes.removed.empty());
}

TEST_F(PeerTableTest, EachDifferenceIsAChangeOfTheSamePeer) {
  PeerSettings renamed = peer("c", 1);
  PeerSettings psk = peer("b", 1);
  psk.psk.mutable_view()[0] = 1;
  PeerChanges changes = m_table.plan(one(std::move(renamed)), m_config);
  ASSERT_EQ(changes.changed.size(), 1U);
  EXPECT_EQ(changes.changed[0].id, m_id);
  changes = m_table.plan(one(std::move(psk)), m_config);
  EXPECT_EQ(changes.changed.size(), 1U);
  changes = m_table.plan(one(peer("b", 1)), config_with("sae-other"));
  EXPECT_EQ(changes.changed.size(), 1U) << "what the KMS calls us is part of the policy";
}

TEST_F(PeerTableTest, AnotherKeyIsAnotherPeer) {
  const PeerChanges changes = m_table.plan(one(peer("b", 2)), m_config);
  ASSERT_EQ(changes.added.size(), 1U);
  EXPECT_NE(changes.added[0].id, m_id);
  EXPECT_EQ(changes.removed, std::vector{m_id});
}

}  // namespace
}  // namespace quipu::daemon
