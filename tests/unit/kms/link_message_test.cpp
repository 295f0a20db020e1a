// SPDX-License-Identifier: Apache-2.0
#include "kms/link_message.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace quipu::kms::wire {
namespace {

constexpr const char* kNames[] = {"hello",
                                  "contact",
                                  "inventory_blocks",
                                  "inventory_leases",
                                  "inventory_end",
                                  "merged",
                                  "goodbye",
                                  "offer",
                                  "void_request",
                                  "lease",
                                  "lease_combined",
                                  "open",
                                  "close",
                                  "ping",
                                  "relay_hop",
                                  "key_transfer",
                                  "block_states",
                                  "ack",
                                  "refused",
                                  "closed",
                                  "binding",
                                  "binding_ack",
                                  "driver_message",
                                  "link_state",
                                  "relay_failed",
                                  "key_transfer_void"};

Bytes sample(const std::string& name) {
  std::ifstream in(QUIPU_SOURCE_DIR "/tests/fuzz/corpus/kms_link/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class EachMessage : public testing::TestWithParam<const char*> {};

TEST_P(EachMessage, DecodesAndEncodesBack) {
  const Bytes octets = sample(GetParam());
  ASSERT_FALSE(octets.empty());
  const auto message = decode(octets);
  ASSERT_TRUE(message) << message.error().text;
  const SecretBytes again = encode(*message);
  EXPECT_EQ(Bytes(again.view().begin(), again.view().end()), octets);
}

TEST_P(EachMessage, IsRefusedCutOrExtended) {
  Bytes octets = sample(GetParam());
  for (std::size_t size = 0; size < octets.size(); ++size)
    EXPECT_FALSE(decode(ByteView(octets).first(size))) << size;
  octets.push_back(0);
  EXPECT_FALSE(decode(octets));
}

INSTANTIATE_TEST_SUITE_P(All, EachMessage, testing::ValuesIn(kNames),
                         [](const auto& each) { return std::string(each.param); });

TEST(LinkMessage, UnknownTypeIsNamed) {
  const auto message = decode(Bytes{0x7f, 1, 2});
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code, Errc::unsupported);
  EXPECT_NE(message.error().text.find("0x7f"), std::string::npos);
}

TEST(LinkMessage, ALeaseNamesEachSlotOnce) {
  Lease lease;
  lease.number = RequestNumber(1);
  lease.key_ids.resize(4);
  lease.extents = {{BlockId{}, {0, 64}}, {BlockId{}, {64, 64}}};
  EXPECT_TRUE(decode(encode(lease).view()));
  lease.extents = {{BlockId{}, {32, 64}}, {BlockId{}, {0, 64}}};
  EXPECT_FALSE(decode(encode(lease).view()));
  lease.extents = {{BlockId{}, {0, 64}}};  // fewer slots than key_IDs
  EXPECT_FALSE(decode(encode(lease).view()));
  lease.extents = {{BlockId{}, {16, 128}}};  // not on slots
  EXPECT_FALSE(decode(encode(lease).view()));
  lease.extents = {{BlockId{}, {kMaxBlockSize - 64, 128}}};  // past the longest block
  EXPECT_FALSE(decode(encode(lease).view()));
}

TEST(LinkMessage, SpentRangesOfAListedBlockAreApart) {
  InventoryBlock block;
  block.state = BlockState::usable;
  block.length = 256;
  const auto decodes_with = [&](std::vector<Range> spent) {
    block.spent = std::move(spent);
    return decode(encode(InventoryBlocks{{block}}).view()).has_value();
  };
  EXPECT_TRUE(decodes_with({{0, 32}, {64, 32}, {128, 128}}));
  EXPECT_TRUE(decodes_with({{32, 32}}));
  EXPECT_FALSE(decodes_with({{0, 32}, {32, 32}}));  // one range, written as two
  EXPECT_FALSE(decodes_with({{0, 64}, {32, 64}}));
  EXPECT_FALSE(decodes_with({{64, 32}, {0, 32}}));
  EXPECT_FALSE(decodes_with({{0, 32}, {0, 32}}));
  EXPECT_FALSE(decodes_with({{224, 64}}));  // past the block
}

TEST(LinkMessage, ABindingFitsItsSlots) {
  Binding binding;
  binding.number = BindingNumber(1);
  binding.slots = 1;
  binding.size_bits = 256;
  binding.master = SaeId("m");
  binding.slaves = {SaeId("s")};
  EXPECT_TRUE(decode(encode(binding).view()));
  binding.size_bits = 264;
  EXPECT_FALSE(decode(encode(binding).view()));
  binding.size_bits = 100;
  EXPECT_FALSE(decode(encode(binding).view()));
  binding.size_bits = 256;
  binding.slot = kMaxLeaseSlots;
  EXPECT_FALSE(decode(encode(binding).view()));
  binding.slot = 0;
  binding.slaves.clear();
  EXPECT_FALSE(decode(encode(binding).view()));
}

TEST(LinkMessage, AHopHasAPadOfItsLengthAndItsKeyOfTheTag) {
  RelayHop hop;
  hop.number = RequestNumber(1);
  hop.source = KmeId("a");
  hop.destination = KmeId("d");
  hop.path = {KmeId("c"), KmeId("d")};
  hop.ciphertext.resize(64);
  hop.pad = {{LeaseId{}, 0, 3}};
  EXPECT_TRUE(decode(encode(hop).view()));
  hop.pad = {{LeaseId{}, 0, 2}};
  EXPECT_FALSE(decode(encode(hop).view()));
  hop.pad = {{LeaseId{}, kMaxLeaseSlots - 2, 3}};
  EXPECT_FALSE(decode(encode(hop).view()));
  hop.pad = {{LeaseId{}, 0, 3}};
  hop.path = {KmeId("d"), KmeId("c")};  // ends elsewhere
  EXPECT_FALSE(decode(encode(hop).view()));
}

TEST(LinkMessage, AHopIsOneOfItsBlocksShares) {
  RelayHop hop;
  hop.number = RequestNumber(1);
  hop.source = KmeId("a");
  hop.destination = KmeId("d");
  hop.ciphertext.resize(32);
  hop.pad = {{LeaseId{}, 0, 2}};
  const auto decodes_as = [&](std::uint8_t share, std::uint8_t shares) {
    hop.share = share;
    hop.shares = shares;
    return decode(encode(hop).view()).has_value();
  };
  EXPECT_TRUE(decodes_as(1, 1));
  EXPECT_TRUE(decodes_as(kMaxRelayPaths, kMaxRelayPaths));
  EXPECT_FALSE(decodes_as(0, 1));
  EXPECT_FALSE(decodes_as(3, 2));
  EXPECT_FALSE(decodes_as(1, kMaxRelayPaths + 1));
}

TEST(LinkMessage, ATransferHasAPadForItsKeysAndItsKeyOfTheTag) {
  KeyTransfer transfer;
  transfer.number = RequestNumber(1);
  transfer.master = SaeId("m");
  transfer.slaves = {SaeId("s")};
  transfer.key_ids.resize(3);
  transfer.size_bits = 88;
  transfer.ciphertext.resize(33);
  transfer.pad = {{LeaseId{}, 0, 3}};
  const auto decodes = [&] { return decode(encode(transfer).view()).has_value(); };
  EXPECT_TRUE(decodes());
  transfer.pad = {{LeaseId{}, 0, 2}};
  EXPECT_FALSE(decodes());
  transfer.pad = {{LeaseId{}, 0, 4}};
  EXPECT_FALSE(decodes());
  transfer.pad = {{LeaseId{}, 0, 3}};
  transfer.size_bits = 84;
  EXPECT_FALSE(decodes());
  transfer.size_bits = 0;
  EXPECT_FALSE(decodes());
  transfer.size_bits = 8 * kSlotSize * kMaxLeaseSlots;  // three of these are more than is ever transferred
  EXPECT_FALSE(decodes());
  transfer.size_bits = 88;
  transfer.slaves.clear();
  EXPECT_FALSE(decodes());
}

TEST(LinkMessage, ABindingIsAsLongAsItsIdsMakeIt) {
  Binding binding{BindingNumber(9), LeaseId(Uuid{{1}}), 3, 4, 1000, SaeId("master"), {}, true};
  for (const char* const slave : {"s", "sae-b", "urn:sae:c"}) {
    binding.slaves.emplace_back(slave);
    EXPECT_EQ(binding_size(binding.master, binding.slaves), encode(binding).size());
  }
}

TEST(LinkMessage, ACountAloneCostsNoMemory) {
  // An offer of 1,024 blocks in 7 octets.
  EXPECT_FALSE(decode(Bytes{0x10, 0, 0, 0, 1, 4, 0}));
  EXPECT_FALSE(decode(Bytes{0x03, 0xff, 0xff}));
}

}  // namespace
}  // namespace quipu::kms::wire
