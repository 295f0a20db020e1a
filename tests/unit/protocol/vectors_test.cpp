// SPDX-License-Identifier: Apache-2.0
// tests/vectors/wire-v1.json holds whole exchanges with every input that decided them, for other implementations and so
// that the wire never changes unnoticed. A change that is meant: run this test once with QUIPU_WRITE_VECTORS=1.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "protocol/cookie.h"
#include "protocol/labels.h"
#include "protocol/payloads.h"
#include "support/handshakes.h"
#include "support/json_text.h"

namespace quipu::protocol {
namespace {

using test::JsonText;
using test::Scenario;
using test::ScriptedRng;
using test::SeededRng;

const std::string kPath = std::string(QUIPU_SOURCE_DIR) + "/tests/vectors/wire-v1.json";

Bytes octets_named(const std::string& name, std::size_t size) {
  Bytes out(size);
  SeededRng(name).fill(out);
  return out;
}

void write_identity(JsonText& json, std::string_view name, const Identity& identity, SessionIndex index) {
  json.begin_object(name);
  json.hex("static_private", identity.private_key.view()).hex("static_public", identity.public_key.value());
  json.number("index", index.value());
}

void write_payload(JsonText& json, const InitiationPayload& payload) {
  json.begin_object("payload_1").number("stamp", payload.stamp.value()).number("tunnel", payload.tunnel.value());
  json.number("lanes", payload.lanes).hex("policy", payload.policy);
  json.begin_array("keys");
  for (const KeyReference& key : payload.keys) {
    json.begin_object().number("slot", key.slot).number("kind", static_cast<std::uint8_t>(key.kind));
    if (key.kind == KeyKind::etsi014)
      json.text("key_ID", key.key_id.value());
    else
      json.text("key_stream_ID", key.key_stream_id.text()).number("index", key.index);
    json.end_object();
  }
  json.end_array().hex("encoded", *encode_initiation_payload(payload)).end_object();
}

void write_accepted_keys(JsonText& json, const Scenario& scenario) {
  json.number("accepted", scenario.accepted.value()).begin_array("accepted_keys");
  for (const QkdKey& key : scenario.initiator_keys) {
    json.begin_object().number("slot", key.reference.slot);
    json.text("master_SAE_ID", key.master.value()).text("slave_SAE_ID", key.slave.value());
    json.hex("key", key.key.view()).end_object();
  }
  json.end_array();
}

void write_inputs(JsonText& json, const std::string& name, const Scenario& scenario, ByteView initiator_random,
                  ByteView responder_random) {
  json.begin_object().text("name", name);
  write_identity(json, "initiator", scenario.initiator, scenario.initiator_index);
  json.hex("ephemeral_private", initiator_random.first(32)).hex("ml_kem_seed", initiator_random.last(64)).end_object();
  write_identity(json, "responder", scenario.responder, scenario.responder_index);
  json.hex("ephemeral_private", responder_random.first(32));
  json.hex("ml_kem_message", responder_random.last(32)).end_object();
  json.hex("pre_shared_key", scenario.initiator_psk.view());
  write_payload(json, scenario.payload);
  write_accepted_keys(json, scenario);
  json.begin_object("payload_2").number("stamp", scenario.answer.stamp.value());
  json.number("lanes", scenario.answer.lanes).number("key_runway_s", scenario.answer.key_runway_s).end_object();
}

// A few packets each way, each opened by the other side.
void write_data(JsonText& json, SessionSecrets initiator_secrets, SessionSecrets responder_secrets) {
  // The vectors fix the keys of lanes beyond those that the exchange agreed on, too.
  initiator_secrets.lanes = responder_secrets.lanes = kMaxLanes;
  Keypair initiator(std::move(initiator_secrets));
  Keypair responder(std::move(responder_secrets));

  struct Packet {
    bool from_initiator;
    Lane lane;
    FrameKind kind;
    std::string_view payload;
  };

  const Packet packets[] = {
      {true, Lane(0), FrameKind::keepalive, ""},   {true, Lane(0), FrameKind::ip, "first data"},
      {false, Lane(0), FrameKind::ip, "answer"},   {true, Lane(1), FrameKind::ip, "second lane"},
      {false, Lane(1), FrameKind::control, "abc"}, {false, Lane(15), FrameKind::ethernet, "last lane"},
  };
  json.begin_array("data");
  for (const Packet& packet : packets) {
    Bytes datagram(packet.payload.size() + kDataOverhead);
    Keypair& from = packet.from_initiator ? initiator : responder;
    ASSERT_TRUE(from.seal(packet.lane, {packet.kind}, as_bytes(packet.payload), datagram));
    json.begin_object().text("from", packet.from_initiator ? "initiator" : "responder");
    json.number("lane", packet.lane.value()).number("kind", static_cast<std::uint8_t>(packet.kind));
    json.hex("payload", as_bytes(packet.payload)).hex("datagram", datagram).end_object();
    const auto opened = test::open(packet.from_initiator ? responder : initiator, datagram);
    ASSERT_TRUE(opened);
    EXPECT_EQ(as_text(opened->payload), packet.payload);
  }
  json.end_array();
}

void write_handshake(JsonText& json, const std::string& name, const Scenario& scenario) {
  const Bytes initiator_random = octets_named(name + ", initiator", 96);
  const Bytes responder_random = octets_named(name + ", responder", 64);
  ScriptedRng initiator_rng(initiator_random);
  ScriptedRng responder_rng(responder_random);
  auto done = test::run(scenario, initiator_rng, responder_rng);
  ASSERT_TRUE(done);
  write_inputs(json, name, scenario, initiator_random, responder_random);
  json.hex("message_1", done->message1).hex("message_2", done->message2);
  json.hex("chaining_key", done->initiator.chaining_key.view()).hex("transcript", done->initiator.transcript);
  write_data(json, std::move(done->initiator), std::move(done->responder));
  json.end_object();
}

// Rejects of each reason to message 1 of the first handshake.
void write_rejects(JsonText& json, const std::string& name, const Scenario& scenario) {
  ScriptedRng rng(octets_named(name + ", initiator", 96));
  const auto initiation = scenario.initiate(rng);
  const auto received = scenario.receive(initiation->message());
  ASSERT_TRUE(received);
  json.begin_array("rejects");
  for (std::uint8_t reason = 1; reason <= 6; ++reason) {
    Reject reject{static_cast<RejectReason>(reason), {}, {}};
    if (reject.reason == RejectReason::stamp_stale) reject.highest_stamp = Stamp(123456789);
    if (reject.reason == RejectReason::policy_mismatch) reject.policy = Bytes{9, 8, 7};
    const Bytes salt = octets_named("salt " + std::to_string(reason), kRejectSaltSize);
    ScriptedRng salts(salt);
    const Bytes message = received->create_reject(reject, salts);
    EXPECT_EQ(initiation->consume_reject(message)->reason, reject.reason);
    json.begin_object().number("reason", reason).number("highest_stamp", reject.highest_stamp.value());
    json.hex("policy", reject.policy).hex("salt", salt).hex("message", message).end_object();
  }
  json.end_array();
}

// A cookie for the sender of message 1 of the first handshake, and that message again with mac2.
void write_cookie(JsonText& json, const std::string& name, const Scenario& scenario) {
  ScriptedRng rng(octets_named(name + ", initiator", 96));
  Bytes message = scenario.initiate(rng)->message();
  const Endpoint from = Endpoint::parse("192.0.2.1:51900").value();
  const Bytes secret = octets_named("cookie secret", 32);
  const Bytes nonce = octets_named("cookie nonce", crypto::kXChaChaNonceSize);
  Bytes random = secret;
  random.insert(random.end(), nonce.begin(), nonce.end());
  ScriptedRng cookie_rng(random);
  CookieChecker checker(scenario.responder.public_key);
  CookieGenerator generator(scenario.responder.public_key);
  generator.add_mac2(message, {});
  const auto reply = checker.create_reply(message, from, {}, cookie_rng);
  ASSERT_TRUE(reply);
  ASSERT_TRUE(generator.consume_reply(*reply, {}));
  generator.add_mac2(message, {});
  EXPECT_TRUE(checker.check_mac2(message, from, {}, cookie_rng));
  json.begin_object("cookie").text("from", from.text()).hex("secret", secret).hex("nonce", nonce);
  json.hex("cookie_reply", *reply).hex("message_1_with_mac2", message).end_object();
}

std::string generate() {
  const Scenario without;
  Scenario one;
  one.with_key("key of slot 0", 0);
  Scenario two;
  two.with_key("key of slot 0", 0).with_key("key that the responder lacks", 1).with_key("key of slot 2", 2);
  two.accepted = AcceptedKeys(0b101);
  for (auto* keys : {&two.initiator_keys, &two.responder_keys}) {
    keys->erase(keys->begin() + 1);
    keys->back().reference.kind = KeyKind::etsi004;
    keys->back().reference.key_id = KeyId();
    keys->back().reference.key_stream_id = Uuid{{0x10, 0x20, 0x30, 0x40}};
    keys->back().reference.index = 5;
  }
  two.payload.keys[0].key_id = KeyId("not-a-uuid");
  for (auto* keys : {&two.initiator_keys, &two.responder_keys})
    keys->front().reference.key_id = KeyId("not-a-uuid");
  two.payload.keys[2] = two.initiator_keys[1].reference;

  JsonText json;
  json.begin_object();
  json.text("specification", "docs/protocol.md, wire version 1");
  json.text("handshake", labels::kNoiseName);
  json.begin_array("handshakes");
  write_handshake(json, "no QKD key", without);
  write_handshake(json, "one QKD key", one);
  write_handshake(json, "two of three QKD keys", two);
  json.end_array();
  write_rejects(json, "no QKD key", without);
  write_cookie(json, "no QKD key", without);
  json.end_object();
  return json.str();
}

TEST(WireVectors, AreThoseOfTheTree) {
  const std::string generated = generate();
  if (std::getenv("QUIPU_WRITE_VECTORS") != nullptr) std::ofstream(kPath) << generated;
  std::ostringstream stored;
  stored << std::ifstream(kPath).rdbuf();
  EXPECT_TRUE(stored.str() == generated) << kPath << " differs from what this version puts on the wire";
}

}  // namespace
}  // namespace quipu::protocol
