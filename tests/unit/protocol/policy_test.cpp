// SPDX-License-Identifier: Apache-2.0
#include "protocol/policy.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace quipu::protocol {
namespace {

crypto::X25519PublicKey key(std::uint8_t first) {
  std::array<std::uint8_t, 32> octets{};
  octets[0] = first;
  return crypto::X25519PublicKey(octets);
}

Policy policy_at(const char* own, const char* peer) {
  Policy policy;
  policy.sources = {{"local", SaeId(own), SaeId(peer), KeyKind::etsi014, false}};
  return policy;
}

TEST(Policy, BothEndsEncodeAlike) {
  const Bytes at_a = policy_at("sae-a", "sae-b").canonical(key(1), key(2));
  const Bytes at_b = policy_at("sae-b", "sae-a").canonical(key(2), key(1));
  EXPECT_EQ(at_a, at_b);
  // version, required, 1 needed, tun, aes-256-gcm, 1 source: etsi014, not simulated, "sae-a", "sae-b"
  EXPECT_EQ(to_hex(at_a),
            "010201010101"
            "0100"
            "057361652d61"
            "057361652d62");
}

TEST(Policy, EveryDifferenceShows) {
  const Bytes plain = policy_at("sae-a", "sae-b").canonical(key(1), key(2));
  const auto differs = [&](auto change) {
    Policy policy = policy_at("sae-a", "sae-b");
    change(policy);
    return policy.canonical(key(1), key(2)) != plain;
  };
  EXPECT_TRUE(differs([](Policy& p) { p.qkd = QkdUse::preferred; }));
  EXPECT_TRUE(differs([](Policy& p) { p.mode = TunnelMode::tap; }));
  EXPECT_TRUE(differs([](Policy& p) { p.sources[0].simulated = true; }));
  EXPECT_TRUE(differs([](Policy& p) { p.sources[0].kind = KeyKind::etsi004; }));
  EXPECT_TRUE(differs([](Policy& p) { p.sources[0].own = SaeId("sae-c"); }));
  EXPECT_TRUE(differs([](Policy& p) { p.sources.push_back(p.sources[0]); }));
  EXPECT_TRUE(differs([](Policy& p) { std::swap(p.sources[0].own, p.sources[0].peer); }));
  // The local name of the KMS is nobody else's business.
  EXPECT_FALSE(differs([](Policy& p) { p.sources[0].kms = "other"; }));
  // Naming the default is no difference.
  EXPECT_FALSE(differs([](Policy& p) { p.min_sources = 1; }));
}

TEST(Policy, LongOnesTravelAsTheirHash) {
  const Bytes small = policy_at("sae-a", "sae-b").canonical(key(1), key(2));
  EXPECT_EQ(policy_on_wire(small), small);
  const Bytes large = policy_at("a-rather-long-sae-id", "another-rather-long-sae-id").canonical(key(1), key(2));
  EXPECT_EQ(policy_on_wire(large).size(), kMaxPolicyOnWire);
  EXPECT_LT(policy_on_wire(small).size(), kMaxPolicyOnWire);
}

TEST(Policy, RefusesWhatMakesNoSense) {
  const auto refused = [](auto change) {
    Policy policy = policy_at("sae-a", "sae-b");
    change(policy);
    return !policy.check();
  };
  EXPECT_FALSE(refused([](Policy&) {}));
  EXPECT_TRUE(refused([](Policy& p) { p.sources.clear(); }));
  EXPECT_TRUE(refused([](Policy& p) { p.qkd = QkdUse::off; }));
  EXPECT_TRUE(refused([](Policy& p) { p.min_sources = 2; }));
  EXPECT_TRUE(refused([](Policy& p) { p.sources[0].own = p.sources[0].peer; }));
  EXPECT_TRUE(refused([](Policy& p) { p.sources[0].own = SaeId(std::string(256, 'a')); }));
  EXPECT_TRUE(refused([](Policy& p) { p.sources.resize(kMaxSources + 1, p.sources[0]); }));
  EXPECT_TRUE(refused([](Policy& p) {
    p.qkd = QkdUse::preferred;
    p.min_sources = 1;
  }));
}

TEST(Policy, OneFunctionSaysWhatALackOfKeysMeans) {
  Policy policy = policy_at("a", "b");
  policy.sources.push_back({"second", SaeId("c"), SaeId("d"), KeyKind::etsi014, false});
  EXPECT_EQ(decide(policy, 2, true), KeyDecision::proceed);
  EXPECT_EQ(decide(policy, 1, true), KeyDecision::stretch);
  EXPECT_EQ(decide(policy, 1, false), KeyDecision::block);
  policy.min_sources = 1;
  EXPECT_EQ(decide(policy, 1, false), KeyDecision::proceed_reduced);
  EXPECT_EQ(decide(policy, 0, false), KeyDecision::block);
  policy.qkd = QkdUse::preferred;
  EXPECT_EQ(decide(policy, 0, false), KeyDecision::proceed_reduced);
  EXPECT_EQ(decide(Policy{QkdUse::off, 0, {}, TunnelMode::tun, Cipher::aes_256_gcm}, 0, false), KeyDecision::proceed);
}

TEST(Policy, ProtectionIsNamedByWhatWentIn) {
  EXPECT_EQ(protection_text(0, false), "x25519+mlkem768+psk");
  EXPECT_EQ(protection_text(2, false), "x25519+mlkem768+psk+qkd(2)");
  EXPECT_EQ(protection_text(1, true), "x25519+mlkem768+psk+qkd(1)-simulated");
}

}  // namespace
}  // namespace quipu::protocol
