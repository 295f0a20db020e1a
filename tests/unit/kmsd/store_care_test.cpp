// SPDX-License-Identifier: Apache-2.0
// What an operator does with the store while the daemon runs.
#include "unit/kmsd/kmsd_fixture.h"

namespace quipu::kmsd {
namespace {

TEST_F(KmsdTest, APoolIsVoidedByHand) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  expect_key(*client);
  EXPECT_THAT(ask_control(control::VoidPoolRequest{"kme-c"}), testing::HasSubstr("no pool with a KME kme-c"));
  EXPECT_THAT(ask_control(control::VoidPoolRequest{"kme-a"}), testing::HasSubstr("\"voided_bits\":32768"));
  EXPECT_EQ(sink.values("pool_voided", "peer"), std::vector<std::string>{"kme-a"});
  run_both_until([&] { return peer->closed(); });
  client->received.clear();
  client->say(kEncKeys);
  run_until(loop, [&] { return !client->received.empty(); });
  EXPECT_TRUE(client->received.starts_with("HTTP/1.1 503")) << client->received;
  daemon.reset();
  const auto store = open_store();
  EXPECT_EQ((*store->find_block(KmeId("kme-a"), BlockId(Uuid{{1}})))->state, kms::BlockState::voided);
  const auto pages = store->audit().read(0, SIZE_MAX);
  std::string written;
  for (const auto& page : pages.value())
    written += page.text;
  EXPECT_THAT(written, testing::HasSubstr("kme-a: 32768 bit"));
}

// The peer of this test says that it has what we have: it is this end that must not use a key again.
TEST_F(KmsdTest, ARestoredBackupServesNoKey) {
  const auto stocked = connect_leased_peer();
  EXPECT_THAT(ask_control(control::BackupRequest{}), testing::HasSubstr(scratch.path("kms.db.backup")));
  const auto client = connect_sae();
  expect_key(*client);
  daemon.reset();
  std::filesystem::rename(scratch.path("kms.db.backup"), scratch.path("kms.db"));
  write_store_key("store.key", 2);
  start(configuration_values());
  std::unique_ptr<Peer> peer = dial();
  exchange_ping(*peer);
  EXPECT_TRUE(peer->heard<wire::Lease>().empty());
  const auto again = connect_sae();
  again->say(kEncKeys);
  run_until(loop, [&] { return !again->received.empty(); });
  EXPECT_TRUE(again->received.starts_with("HTTP/1.1 503")) << again->received;
  daemon.reset();
  EXPECT_THAT(open_store(2)->audit().read(0, SIZE_MAX)->at(0).text, testing::HasSubstr("started"));
}

TEST_F(KmsdTest, AReloadChangesTheStoreKeyWhileKeysAreServed) {
  const std::string previous = fmt::format("previous_store_key_file = \"{}\"\n", scratch.path("previous.key"));
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  expect_key(*client);
  write_store_key("store.key", 2);
  EXPECT_THAT(refusal_of_reload("kme-b", {}, {}), testing::HasSubstr("sealed with another store key"));
  write_store_key("previous.key", 2);
  EXPECT_THAT(refusal_of_reload("kme-b", {}, previous), testing::HasSubstr("previous.key holds the same key as"));
  write_store_key("previous.key", 3);
  EXPECT_THAT(refusal_of_reload("kme-b", {}, previous), testing::HasSubstr("sealed with another store key"));
  expect_key(*client);
  write_store_key("previous.key", 1);
  reload("kme-b", {}, previous);
  EXPECT_THAT(sink.values("reloaded", "changed").back(), testing::HasSubstr("kme.store_key_file"));
  expect_key(*client);
  reload("kme-b", {}, previous);
  EXPECT_THAT(sink.values("reloaded", "changed").back(), testing::Not(testing::HasSubstr("kme.store_key_file")));
  EXPECT_EQ(sink.count("store_key_changed"), 1U);
  daemon.reset();
  EXPECT_EQ(open_store(1), nullptr);
  EXPECT_NE(open_store(2), nullptr);
  config::KmsdConfig values = configuration_values();
  write_store_key("store.key", 3);
  write_store_key("previous.key", 2);
  values.kme.previous_store_key_file = {scratch.path("previous.key")};
  start(std::move(values));
  EXPECT_EQ(sink.count("store_key_changed"), 2U);
}

}  // namespace
}  // namespace quipu::kmsd
