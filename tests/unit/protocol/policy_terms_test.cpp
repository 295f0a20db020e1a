// SPDX-License-Identifier: Apache-2.0
#include "protocol/policy_terms.h"

#include <gtest/gtest.h>

namespace quipu::protocol {
namespace {

// At the end with the lower static public key.
OwnTerms terms_at_low(const std::string& low, const std::string& high) {
  Policy policy;
  policy.sources = {{"local", SaeId(low), SaeId(high), KeyKind::etsi014, false}};
  return {.terms = terms_of(policy, true), .tunnel = {}, .is_low = true};
}

InitiationPayload told_by(const OwnTerms& peer) {
  return {.stamp = {}, .tunnel = peer.tunnel, .policy = policy_on_wire(encode_terms(peer.terms)), .keys = {}};
}

Reject rejected_by(const OwnTerms& peer) {
  return {.reason = RejectReason::policy_mismatch, .highest_stamp = {}, .policy = encode_terms(peer.terms)};
}

struct PolicyTermsTest : testing::Test {
  OwnTerms here = terms_at_low("sae-a", "sae-b");
  OwnTerms there = terms_at_low("sae-a", "sae-b");
};

TEST_F(PolicyTermsTest, AreReadBackFromTheirEncoding) {
  here.terms.sources.push_back({.kind = KeyKind::etsi004, .simulated = true, .low = SaeId("x"), .high = SaeId("")});
  here.terms.qkd = QkdUse::preferred;
  here.terms.mode = TunnelMode::tap;
  const Bytes encoded = encode_terms(here.terms);
  const auto again = decode_terms(encoded);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(*again, here.terms);
  for (std::size_t size = 0; size < encoded.size(); ++size)
    EXPECT_FALSE(decode_terms(ByteView(encoded).first(size))) << size;
}

TEST_F(PolicyTermsTest, NothingElseIsRead) {
  const Bytes good = encode_terms(here.terms);
  ASSERT_TRUE(decode_terms(good));
  // version, qkd, mode, cipher, number of sources, kind, simulated
  for (const std::size_t at : {0U, 1U, 3U, 4U, 5U, 6U, 7U}) {
    Bytes bad = good;
    bad[at] = 9;
    EXPECT_FALSE(decode_terms(bad)) << at;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(decode_terms(longer));
}

TEST_F(PolicyTermsTest, AlikeIsNoDifference) {
  EXPECT_EQ(differing_settings(here, there.terms), "");
}

TEST_F(PolicyTermsTest, NamesEverySettingThatDiffers) {
  there.terms.sources[0].simulated = true;
  EXPECT_EQ(mismatch_told(here, told_by(there)), "sources[1].simulated is false here and true at the peer");
  there.terms.qkd = QkdUse::preferred;
  there.tunnel = TunnelId(7);
  EXPECT_EQ(mismatch_told(here, told_by(there)),
            "tunnel_id is 0 here and 7 at the peer; qkd is required here and preferred at the peer; "
            "sources[1].simulated is false here and true at the peer");
  // A reject does not tell the tunnel id.
  EXPECT_EQ(mismatch_told(here, rejected_by(there)),
            "qkd is required here and preferred at the peer; sources[1].simulated is false here and true at the peer");
}

TEST_F(PolicyTermsTest, AnotherNumberOfSourcesIsOneDifference) {
  there.terms.sources.push_back(there.terms.sources[0]);
  there.terms.keys_needed = 2;
  EXPECT_EQ(differing_settings(here, there.terms), "the number of sources is 1 here and 2 at the peer");
  here = there;
  here.terms.keys_needed = 1;
  EXPECT_EQ(differing_settings(here, there.terms), "min_sources is 1 here and 2 at the peer");
}

TEST_F(PolicyTermsTest, SaysWhoseIdDiffersFromWhereItStands) {
  there.terms.sources[0].low = SaeId("sae-\x07\"");
  EXPECT_EQ(differing_settings(here, there.terms),
            "our SAE id (sae_id of the KMS of sources[1] here, its peer_sae_id at the peer) is \"sae-a\" here and "
            "\"sae-??\" at the peer");
  here.is_low = false;
  EXPECT_EQ(differing_settings(here, there.terms),
            "the peer's SAE id (sources[1].peer_sae_id here, sae_id of its KMS at the peer) is \"sae-a\" here and "
            "\"sae-??\" at the peer");
}

TEST_F(PolicyTermsTest, ARejectWithOurOwnPolicyMeansTheTunnel) {
  here.tunnel = TunnelId(3);
  EXPECT_EQ(mismatch_told(here, rejected_by(there)), "tunnel_id is 3 here and another number at the peer");
}

// Where only a hash was told, the settings to compare are named, with our own.
TEST_F(PolicyTermsTest, AHashLeavesCandidates) {
  here = terms_at_low("a-rather-long-sae-id", "another-rather-long-sae-id");
  there = here;
  there.terms.sources[0].simulated = true;
  const std::string told = mismatch_told(here, told_by(there));
  for (const char* part : {"compare them at both sites", "tunnel_id 0", "qkd required (1 needed)",
                           "source of \"a-rather-long-sae-id\" with \"another-rather-long-sae-id\""})
    EXPECT_NE(told.find(part), std::string::npos) << told;
  // The reject has room for the policy itself.
  EXPECT_EQ(mismatch_told(here, rejected_by(there)), "sources[1].simulated is false here and true at the peer");
  EXPECT_EQ(mismatch_told(here, Reject{RejectReason::policy_mismatch, {}, {}}), told);
}

TEST_F(PolicyTermsTest, AnUnreadablePolicyIsAnotherVersions) {
  InitiationPayload payload = told_by(there);
  payload.policy[0] = 2;
  EXPECT_EQ(mismatch_told(here, payload), "the peer's policy cannot be read: do both sites run the same version?");
}

}  // namespace
}  // namespace quipu::protocol
