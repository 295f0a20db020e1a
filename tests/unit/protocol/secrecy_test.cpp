// SPDX-License-Identifier: Apache-2.0
// Each secret reaches the session keys. The key schedule is written here a second time, straight from docs/protocol.md,
// so that one secret can be changed while all that an eavesdropper sees stays as it was.
#include <gtest/gtest.h>

#include "base/encoding.h"

#include "protocol/messages.h"
#include "support/handshakes.h"

namespace quipu::protocol {
namespace {

using Key = std::array<std::uint8_t, 32>;

Key array_of(ByteView octets) {
  Key out{};
  std::ranges::copy(octets, out.begin());
  return out;
}

struct Secrets {
  Key es{}, ss{}, ee{}, se{}, kem{}, pre_shared{}, qkd0{}, qkd1{};
};

Bytes joined(std::initializer_list<ByteView> parts) {
  Bytes out;
  for (const ByteView part : parts)
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

class Schedule {
 public:
  Schedule() {
    std::ranges::copy(as_bytes("Noise_IKhfs+psk1+psk2_25519+MLKEM768_AESGCM_SHA512"), m_hash.begin());
    m_chaining_key.assign(m_hash.begin(), m_hash.end());
  }

  void hash(ByteView data) { m_hash = crypto::sha512({m_hash, data}); }

  void key(ByteView input) { outputs(input, 128); }

  void key_and_hash(ByteView input) { hash(ByteView(outputs(input, 192)).subspan(64, 64)); }

  Bytes chaining_key() const { return m_chaining_key; }

  const crypto::Hash& transcript() const { return m_hash; }

 private:
  Bytes outputs(ByteView input, std::size_t size) {
    Bytes out(size);
    crypto::hkdf_expand(crypto::hkdf_extract(m_chaining_key, input).view(), {}, out);
    m_chaining_key.assign(out.begin(), out.begin() + 64);
    return out;
  }

  Bytes m_chaining_key;
  crypto::Hash m_hash{};
};

Key psk(std::string_view label, ByteView input, ByteView info) {
  Key out{};
  crypto::hkdf_expand(crypto::hkdf_extract(as_bytes(label), input).view(), {info}, out);
  return out;
}

struct Keys {
  Bytes chaining_key;
  crypto::Hash transcript;

  bool operator==(const Keys&) const = default;
};

class Secrecy : public testing::Test {
 protected:
  void SetUp() override {
    m_scenario.with_key("first", 0).with_key("second", 2);
    const auto octets = [](std::string name, std::size_t n) {
      Bytes out(n);
      test::SeededRng(std::move(name)).fill(out);
      return out;
    };
    const Bytes i = octets("initiator's", 96);  // ephemeral, then d || z
    const Bytes r = octets("responder's", 64);  // ephemeral, then m
    test::ScriptedRng initiator_rng(i);
    test::ScriptedRng responder_rng(r);
    auto done = test::run(m_scenario, initiator_rng, responder_rng);
    ASSERT_TRUE(done);
    m_done = std::move(*done);

    const crypto::X25519PrivateKey e_i(array_of(ByteView(i).first(32)));
    const crypto::X25519PrivateKey e_r(array_of(ByteView(r).first(32)));
    const auto& s_i = m_scenario.initiator;
    const auto& s_r = m_scenario.responder;
    const auto dh = [](const auto& a, const auto& b) { return array_of(crypto::x25519(a, b)->view()); };
    m_secrets.es = dh(e_i, s_r.public_key);
    m_secrets.ss = dh(s_i.private_key, s_r.public_key);
    m_secrets.ee = dh(e_i, crypto::x25519_public_key(e_r));
    m_secrets.se = dh(s_i.private_key, crypto::x25519_public_key(e_r));
    test::ScriptedRng kem_seed(Bytes(i.begin() + 32, i.end()));
    test::ScriptedRng kem_message(Bytes(r.begin() + 32, r.end()));
    const auto kem = crypto::encapsulate(crypto::generate_kem(kem_seed).encapsulation_key, kem_message);
    m_secrets.kem = array_of(kem->shared_secret.view());
    m_secrets.pre_shared = array_of(m_scenario.initiator_psk.view());
    m_secrets.qkd0 = array_of(m_scenario.initiator_keys[0].key.view());
    m_secrets.qkd1 = array_of(m_scenario.initiator_keys[1].key.view());
  }

  // The schedule over the messages as they were on the wire.
  Keys derive(const Secrets& secrets) const {
    const auto m1 = parse_initiation(m_done.message1);
    const auto m2 = parse_response(m_done.message2);
    Schedule s;
    s.hash(as_bytes(std::string_view("Quipu wire 1\x01")));
    s.hash(m_scenario.responder.public_key.value());
    s.hash(m1->header);
    s.hash(m1->ephemeral.value());
    s.key(m1->ephemeral.value());
    s.key(secrets.es);
    s.hash(m1->sealed_encapsulation_key);
    s.hash(m1->sealed_static_key);
    s.key(secrets.ss);
    s.key_and_hash(psk("quipu v1 psk1", secrets.pre_shared, {}));
    s.hash(m1->sealed_payload);
    s.hash(m2->header);
    s.hash(m2->ephemeral.value());
    s.key(m2->ephemeral.value());
    s.key(secrets.ee);
    s.hash(m2->sealed_ciphertext);
    s.key(secrets.kem);
    s.key(secrets.se);
    s.key_and_hash(psk2(secrets));
    s.hash(m2->sealed_payload);
    return {s.chaining_key(), s.transcript()};
  }

  // Changing one secret alone must change the keys.
  void expect_decisive(Key Secrets::* member) {
    const Keys before = derive(m_secrets);
    for (const std::size_t octet : {0U, 31U}) {
      Secrets changed = m_secrets;
      (changed.*member)[octet] ^= 1U;
      EXPECT_NE(derive(changed).chaining_key, before.chaining_key);
    }
    // Alone among zeros, too: no other secret is needed for it to count.
    Secrets alone{};
    const Keys zeros = derive(alone);
    alone.*member = m_secrets.*member;
    EXPECT_NE(derive(alone).chaining_key, zeros.chaining_key);
  }

  Key psk2(const Secrets& secrets) const {
    const std::array<std::uint8_t, 2> length{0, 32};
    Bytes info(512);
    ByteWriter writer(info);
    writer.u16(0b11).prefixed16(m_scenario.payload.policy).u8(2);
    for (const QkdKey& key : m_scenario.initiator_keys) {
      writer.u8(1).u8(key.reference.slot).prefixed16(as_bytes("sae-a")).prefixed16(as_bytes("sae-b"));
      writer.prefixed16(as_bytes(key.reference.key_id.value()));
    }
    return psk("quipu v1 psk2", joined({length, secrets.qkd0, length, secrets.qkd1}), writer.written());
  }

  test::Scenario m_scenario;
  test::Finished m_done;
  Secrets m_secrets;
};

TEST_F(Secrecy, ScheduleIsTheOneInUse) {
  const Keys derived = derive(m_secrets);
  EXPECT_EQ(to_hex(derived.chaining_key), to_hex(m_done.initiator.chaining_key.view()));
  EXPECT_EQ(derived.transcript, m_done.initiator.transcript);
  EXPECT_TRUE(test::agree(m_done.initiator, m_done.responder));
}

TEST_F(Secrecy, X25519EphemeralStaticCounts) {
  expect_decisive(&Secrets::es);
}

TEST_F(Secrecy, X25519StaticStaticCounts) {
  expect_decisive(&Secrets::ss);
}

TEST_F(Secrecy, X25519EphemeralEphemeralCounts) {
  expect_decisive(&Secrets::ee);
}

TEST_F(Secrecy, X25519StaticEphemeralCounts) {
  expect_decisive(&Secrets::se);
}

TEST_F(Secrecy, MlKemCounts) {
  expect_decisive(&Secrets::kem);
}

TEST_F(Secrecy, PreSharedKeyCounts) {
  expect_decisive(&Secrets::pre_shared);
}

TEST_F(Secrecy, FirstQkdKeyCounts) {
  expect_decisive(&Secrets::qkd0);
}

TEST_F(Secrecy, SecondQkdKeyCounts) {
  expect_decisive(&Secrets::qkd1);
}

}  // namespace
}  // namespace quipu::protocol
