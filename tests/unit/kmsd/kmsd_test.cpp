// SPDX-License-Identifier: Apache-2.0
// The whole daemon in this process, on loopback: its SAE and its peer KME are played by the test.
#include "kmsd/kmsd.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "crypto/hash.h"
#include "kms/link_message.h"
#include "service/wall_clock.h"
#include "support/recorded_log.h"
#include "support/scratch.h"
#include "unit/net/https_fixture.h"

namespace quipu::kmsd {
namespace {

using net::kLoopback;
using net::RawClient;
using test::RecordedLog;
using test::run_until;
namespace wire = kms::wire;

constexpr std::string_view kEncKeys = "GET /api/v1/keys/sae-a/enc_keys HTTP/1.1\r\nHost: kme\r\n\r\n";
constexpr std::string_view kManyEncKeys =
    "GET /api/v1/keys/sae-a/enc_keys?number=16&size=1024 HTTP/1.1\r\nHost: kme\r\n\r\n";
constexpr std::string_view kStatus = "GET /api/v1/keys/sae-a/status HTTP/1.1\r\nHost: kme\r\n\r\n";

// "kme-a", which dials, as it is told; answers nothing by itself once it is in contact.
class Peer {
 public:
  explicit Peer(std::unique_ptr<net::TlsStream> stream) : m_stream(std::move(stream)) {
    m_stream->start({.on_message = [this](ByteView octets) { hear(octets); },
                     .on_closed = [this](const Error&) { m_closed = true; }});
    say(wire::Hello{1, KmeId("kme-a"), KmeId("kme-b"), kms::InstanceId(Uuid{{1}}), {}});
  }

  void say(const wire::Message& message) { ASSERT_TRUE(m_stream->send(wire::encode(message).view()).has_value()); }

  template <class M>
  std::vector<M> heard() const {
    std::vector<M> out;
    for (const wire::Message& message : m_heard)
      if (const auto* one = std::get_if<M>(&message)) out.push_back(*one);
    return out;
  }

  // Of what a driver there says.
  const std::vector<std::uint32_t>& numbers() const { return m_numbers; }

  bool closed() const { return m_closed; }

 private:
  void hear(ByteView octets) {
    auto message = wire::decode(octets);
    ASSERT_TRUE(message.has_value()) << message.error().text;
    if (const auto* hello = std::get_if<wire::Hello>(&*message)) m_nonce = hello->nonce;
    if (const auto* summary = std::get_if<wire::Contact>(&*message))
      say(wire::Contact{m_nonce, summary->inventory});  // we have the same
    if (const auto* ping = std::get_if<wire::Ping>(&*message)) say(wire::Ack{ping->number});
    if (const auto* from_driver = std::get_if<wire::DriverMessage>(&*message))
      m_numbers.push_back(ByteReader(from_driver->message.view()).u32());
    else
      m_heard.push_back(std::move(*message));
  }

  std::unique_ptr<net::TlsStream> m_stream;
  wire::Nonce m_nonce{};
  std::vector<wire::Message> m_heard;
  std::vector<std::uint32_t> m_numbers;
  bool m_closed = false;
};

class KmsdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    stock_store();
    start(configuration_values());
  }

  void start(config::KmsdConfig values) {
    auto signals = service::SignalSource::create();
    ASSERT_TRUE(signals.has_value());
    auto loaded = load_named_files(scratch.path("kms.toml"), std::move(values));
    ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
    auto started = Kmsd::start(
        loop, *std::move(loaded), std::move(*signals), log, MachineSource{.read = [this] { return machine; }, .fd = -1},
        {.program = QUIPU_BINARY_DIR "/bin/quipu-driver", .plugin_folder = QUIPU_BINARY_DIR "/test-drivers"});
    ASSERT_TRUE(started.has_value()) << started.error().text;
    daemon = std::move(*started);
  }

  config::KmsdConfig configuration_values() {
    const auto files = [this](const std::string& section) {
      const net::TlsFiles made = pki.issue("kme-b");
      return config::TlsFiles{.ca = {made.ca},
                              .cert = {.name = made.certificate, .position = {}, .key = section + ".cert"},
                              .key = {made.key}};
    };
    config::KmsdConfig values;
    values.kme = {.id = KmeId("kme-b"),
                  .store = scratch.path("kms.db"),
                  .store_key_file = {scratch.path("store.key")},
                  .audit_keep_days = 365,
                  .control_socket = scratch.path("control")};
    values.etsi014 = {.listen = kLoopback,
                      .tls = files("etsi014"),
                      .key_size_bit = 256,
                      .min_key_size_bit = 64,
                      .max_key_size_bit = 1024,
                      .max_key_per_request = 16};
    values.km_link = {.listen = kLoopback, .tls = files("km_link")};
    values.saes = {{.id = SaeId("sae-b")}};
    values.peer_kmes = {{.id = KmeId("kme-a"),
                         .address = {.host = "127.0.0.1", .port = 1, .literal = {}},
                         .saes = {SaeId("sae-a")},
                         .position = {}}};
    return values;
  }

  // A pool with 128 slots that both ends have.
  void stock_store() {
    write_store_key("store.key", 1);
    const auto store = open_store();
    ASSERT_TRUE(store != nullptr);
    const Bytes octets(4096, 7);
    kms::BlockRecord record;
    record.id = BlockId(Uuid{{1}});
    record.state = kms::BlockState::usable;
    record.digest = crypto::blake2b_256({octets});
    record.length = 4096;
    record.source = "link";
    kms::Transaction transaction(KmeId("kme-a"));
    transaction.add(kms::AddBlock{record, octets});
    transaction.add(kms::Books{.received = 4096, .stock = 4096});
    ASSERT_TRUE(store->commit(transaction).has_value());
  }

  // While no daemon has it; null when that is not its key.
  std::unique_ptr<store::SqliteStore> open_store(std::uint8_t last_octet = 1) {
    Secret<32> key;
    key.mutable_view()[31] = last_octet;
    auto store = store::SqliteStore::open(scratch.path("kms.db"), std::move(key), store_rng);
    return store ? *std::move(store) : nullptr;
  }

  // As open_store() has it.
  void write_store_key(std::string_view name, std::uint8_t last_octet) const {
    scratch.write(name, fmt::format("{}{}=\n", std::string(42, 'A'), "AEIMQ"[last_octet]), 0600);
  }

  std::uint16_t port_of(std::string_view server) const {
    return Endpoint::parse(sink.values("listening", server).back())->port;
  }

  // The daemon's loop, and a turn of the peer's now and then.
  template <class Done>
  void run_both_until(Done done) {
    run_until(loop, [&] {
      peers_loop.post([this] { peers_loop.stop(); });
      peers_loop.run();
      return done();
    });
  }

  // With the files that were issued for that KME last, `keys` in [etsi014] and `kme_keys` in [kme].
  void reload(const std::string& id, const std::string& keys, const std::string& kme_keys = {}) {
    ASSERT_EQ(refusal_of_reload(id, keys, kme_keys), "");
  }

  // Why that is refused; empty when it is not.
  std::string refusal_of_reload(const std::string& id, const std::string& keys, const std::string& kme_keys) {
    const std::string files = fmt::format("ca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n", pki.ca(), pki.path(id + ".pem"),
                                          pki.path(id + ".key"));
    scratch.write("kms.toml",
                  fmt::format("[kme]\nid = \"{}\"\nstore = \"{}\"\nstore_key_file = \"{}\"\n{}"
                              "[etsi014]\nlisten = \"127.0.0.1:8014\"\n{}{}"
                              "[km_link]\nlisten = \"127.0.0.1:8020\"\n{}"
                              "[[sae]]\nid = \"sae-b\"\n",
                              id, scratch.path("kms.db"), scratch.path("store.key"), kme_keys, files, keys, files));
    const std::size_t reloaded = sink.count("reloaded");
    const std::size_t refused = sink.count("reload_refused");
    EXPECT_EQ(::raise(SIGHUP), 0);
    run_until(loop, [&] { return sink.count("reloaded") + sink.count("reload_refused") > reloaded + refused; });
    return sink.count("reload_refused") > refused ? sink.values("reload_refused", "error").back() : "";
  }

  // The daemon's reply line.
  std::string ask_control(const control::Request& request) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un to{.sun_family = AF_UNIX, .sun_path = {}};
    scratch.path("control").copy(to.sun_path, sizeof to.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const std::string line = control::encode(request) + "\n";
    EXPECT_EQ(::write(fd.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    std::string reply;
    run_until(loop, [&] {
      char part[512];
      const ssize_t size = ::recv(fd.get(), part, sizeof part, MSG_DONTWAIT);
      if (size > 0) reply.append(part, static_cast<std::size_t>(size));
      return reply.ends_with('\n');
    });
    return reply;
  }

  void expect_key(RawClient& client) {
    client.received.clear();
    client.say(kEncKeys);
    run_until(loop, [&] { return client.received.find("key_ID") != std::string::npos; });
  }

  std::unique_ptr<Peer> dial() {
    std::unique_ptr<Peer> peer;
    const net::TlsConnector connector(peers_loop, pki.context("kme-a"), {}, {"127.0.0.1", port_of("km_link")}, "kme-b",
                                      [&](auto stream) { peer = std::make_unique<Peer>(std::move(*stream)); });
    const std::size_t before = sink.count("km_link_up");
    run_both_until([&] { return peer != nullptr && sink.count("km_link_up") > before; });
    return peer;
  }

  // In contact, and the KME has asked for its leases.
  std::unique_ptr<Peer> connect_peer() {
    auto peer = dial();
    run_both_until([&] { return peer->heard<wire::Lease>().size() == 2; });
    return peer;
  }

  std::unique_ptr<RawClient> connect_sae(const std::string& name = "sae-b") {
    std::unique_ptr<RawClient> client;
    const net::TlsConnect connect(loop, pki.context(name), {"127.0.0.1", port_of("etsi014")}, "kme-b",
                                  std::chrono::seconds(30),
                                  [&](auto socket) { client = std::make_unique<RawClient>(std::move(*socket)); });
    run_until(loop, [&] { return client != nullptr; });
    return client;
  }

  // What other clients said and did before has been taken in when this one is answered.
  void answer_another_client() {
    const auto client = connect_sae();
    client->say(kStatus);
    run_until(loop, [&] { return client->received.starts_with("HTTP/1.1 200"); });
  }

  static void acknowledge_leases(Peer& peer) {
    for (const wire::Lease& lease : peer.heard<wire::Lease>())
      peer.say(wire::Ack{lease.number});
  }

  void exchange_ping(Peer& peer) {
    const std::size_t before = peer.heard<wire::Ack>().size();
    peer.say(wire::Ping{wire::RequestNumber(77)});
    run_both_until([&] { return peer.heard<wire::Ack>().size() > before; });
  }

  // In contact, with leases that may be carved.
  std::unique_ptr<Peer> connect_leased_peer() {
    auto peer = connect_peer();
    acknowledge_leases(*peer);
    exchange_ping(*peer);
    return peer;
  }

  test::Scratch scratch;
  crypto::SystemRng store_rng;
  net::TestPki pki;
  net::Loop loop;
  net::Loop peers_loop;  // without which the peer neither reads nor writes
  RecordedLog sink;
  service::FilteringSink log{sink, LogLevel::debug, net::Loop::now};
  Result<service::MachineState> machine = service::MachineState{Uuid{{1}}, 0};
  std::unique_ptr<Kmsd> daemon;
};

TEST_F(KmsdTest, SaysThatNoInterfaceHasTheAddressToListenOn) {
  EXPECT_TRUE(sink.values("listen_address_absent", "address").empty());
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  values.km_link.listen = {*IpAddress::parse("192.0.2.77"), 0};  // RFC 5737: for documentation
  start(std::move(values));
  const auto absent = sink.values("listen_address_absent", "address");
  ASSERT_EQ(absent.size(), 1U);
  EXPECT_TRUE(absent[0].starts_with("192.0.2.77:")) << absent[0];
}

TEST_F(KmsdTest, SaysThatItsCertificateIsOver) {
  EXPECT_EQ(sink.count("certificate_over"), 0U);
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  values.etsi014.tls.cert.name = pki.issue_expired("kme-b-old").certificate;
  values.etsi014.tls.key.name = pki.path("kme-b-old.key");
  start(std::move(values));
  EXPECT_EQ(sink.values("certificate_over", "setting"), std::vector<std::string>{"etsi014.cert"});
}

TEST_F(KmsdTest, SaysThatItsCertificateIsNotValidYet) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  const WallTime now = service::wall_now();
  values.etsi014.tls.cert.name =
      pki.issue("kme-b-new", {now + std::chrono::hours(1), now + std::chrono::hours(2)}).certificate;
  values.etsi014.tls.key.name = pki.path("kme-b-new.key");
  start(std::move(values));
  EXPECT_EQ(sink.values("certificate_not_yet", "setting"), std::vector<std::string>{"etsi014.cert"});
}

TEST_F(KmsdTest, SaysThatItsCertificateIsRevoked) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  pki.write("crl.pem", pki.list_of({"kme-b"}));
  values.km_link.tls.crl.name = pki.path("crl.pem");
  start(std::move(values));
  EXPECT_EQ(sink.values("certificate_revoked", "setting"), std::vector<std::string>{"km_link.cert"});
}

TEST_F(KmsdTest, AnSaeGetsAKeyAndThePeerItsBinding) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys);
  run_until(loop, [&] { return client->received.find("key_ID") != std::string::npos; });
  exchange_ping(*peer);
  ASSERT_EQ(peer->heard<wire::Binding>().size(), 1U);
  EXPECT_EQ(peer->heard<wire::Binding>()[0].master, SaeId("sae-b"));
}

TEST_F(KmsdTest, WhatWasHandedOutIsInTheAuditLogWhenTheDaemonHasEnded) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys);
  run_until(loop, [&] { return client->received.find("key_ID") != std::string::npos; });
  const std::string key_id = client->received.substr(client->received.find("key_ID\":\"") + 9, 36);
  daemon.reset();
  const auto pages = open_store()->audit().read(0, SIZE_MAX);
  ASSERT_TRUE(pages.has_value());
  std::string text;
  for (const store::AuditPage& page : *pages)
    text += page.text;
  EXPECT_THAT(text, testing::MatchesRegex(".*\"started\".*\"enc_keys\".*" + key_id + ".*\"stopped\".*"));
}

TEST_F(KmsdTest, ADriversMessagesWaitForAPeerThatDoesNotRead) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  config::LinkConfig& link = values.links.emplace_back();
  link.name = "a-b";
  link.peer_kme = KmeId("kme-a");
  link.driver = "test";
  link.allow_simulated = true;
  link.options = {{"mode", "answer"}, {"messages", "4000000000"}};
  start(std::move(values));
  run_until(loop, [&] { return sink.count("driver_running") == 1; });
  const auto peer = connect_leased_peer();
  peer->say(wire::DriverMessage{"a-b", net::secret("?")});
  run_both_until([&] { return !peer->numbers().empty(); });
  // Now only the daemon runs. From its last word on, nothing but the KM link moves what the driver had to say.
  const auto said = [&] { return sink.values("driver_log", "text"); };
  run_until(loop, [&] { return !said().empty() || sink.count("km_link_down") > 0; });
  ASSERT_EQ(sink.count("km_link_down"), 0U);
  const std::size_t all = std::stoul(said().at(0).substr(std::string_view("said ").size()));
  run_both_until([&] { return peer->numbers().size() == all || peer->closed() || sink.count("driver_ended") > 0; });
  ASSERT_EQ(peer->numbers().size(), all);
  for (std::size_t i = 0; i < all; ++i)
    EXPECT_EQ(peer->numbers()[i], i);
}

TEST_F(KmsdTest, NoKeyIsSpentOnAClientThatHasGone) {
  const auto peer = connect_peer();
  auto client = connect_sae();
  client->say(kEncKeys);
  answer_another_client();
  client.reset();
  answer_another_client();
  acknowledge_leases(*peer);
  exchange_ping(*peer);
  EXPECT_TRUE(peer->heard<wire::Binding>().empty());
}

TEST_F(KmsdTest, AfterARollbackOfTheMachineNoKeyIsHandedOut) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys.substr(0, 20));
  answer_another_client();
  machine->vm_generation = 1;
  client->say(kEncKeys.substr(20));
  run_until(loop, [&] { return daemon->failure().has_value(); });
  ASSERT_TRUE(daemon->failure());
  EXPECT_EQ(daemon->failure()->code, Errc::conflict);
  daemon.reset();
  run_until(loop, [&] { return client->closed.has_value(); });
  EXPECT_EQ(client->received.find("key"), std::string::npos) << "an answer with a key";
}

// With the KM link go the hopes of a large request, and the small one behind it is next.
TEST_F(KmsdTest, AfterARollbackOfTheMachineTheEndOfTheKmLinkHandsOutNoKey) {
  auto peer = connect_leased_peer();
  std::unique_ptr<RawClient> large;
  std::unique_ptr<RawClient> small;
  do {  // again where this machine was so slow that the large one has waited long enough
    large = connect_sae();
    small = connect_sae();
    large->say(kManyEncKeys);
    answer_another_client();
    small->say(kEncKeys);
    answer_another_client();
  } while (!large->received.empty());
  machine->vm_generation = 1;
  peer.reset();
  run_until(loop, [&] { return daemon->failure().has_value(); });
  daemon.reset();
  run_until(loop, [&] { return small->closed.has_value(); });
  EXPECT_EQ(small->received.find("key"), std::string::npos) << "an answer with a key";
}

TEST_F(KmsdTest, WithoutKnowingTheMachineNoKeyIsHandedOut) {
  const auto peer = connect_leased_peer();
  const auto client = connect_sae();
  client->say(kEncKeys.substr(0, 20));
  answer_another_client();
  machine = fail(Errc::io, "no boot id");
  client->say(kEncKeys.substr(20));
  run_until(loop, [&] { return daemon->failure().has_value(); });
  ASSERT_TRUE(daemon->failure());
  EXPECT_NE(daemon->failure()->text.find("no boot id"), std::string::npos);
  daemon.reset();
  run_until(loop, [&] { return client->closed.has_value(); });
  EXPECT_EQ(client->received.find("key"), std::string::npos) << "an answer with a key";
}

// A body is announced that would fill memory, and none of it sent: the answer is there at once.
TEST_F(KmsdTest, AStrangersBodyIsNotWaitedFor) {
  constexpr std::string_view kHead =
      "POST /api/v1/keys/sae-a/enc_keys HTTP/1.1\r\nHost: kme\r\nContent-Type: application/json\r\n"
      "Content-Length: 200000\r\n\r\n";
  const auto stranger = connect_sae("sae-x");
  stranger->say(kHead);
  run_until(loop, [&] { return stranger->closed.has_value(); });
  EXPECT_TRUE(stranger->received.starts_with("HTTP/1.1 401")) << stranger->received;
  const auto known = connect_sae();
  known->say(kHead);
  answer_another_client();
  EXPECT_EQ(known->received, "");
  EXPECT_EQ(sink.values("sae_unknown", "error").size(), 1U);
}

// Whoever has a certificate of ours and is no SAE of this KME may ask as often as he likes: there is one line.
TEST_F(KmsdTest, AnUnknownSaeDoesNotFillTheLog) {
  for (int i = 0; i < 3; ++i) {
    const auto stranger = connect_sae("sae-x");
    stranger->say(kStatus);
    run_until(loop, [&] { return stranger->received.starts_with("HTTP/1.1 401"); });
  }
  ASSERT_EQ(sink.values("sae_unknown", "error").size(), 1U);
  EXPECT_THAT(sink.values("sae_unknown", "error")[0], testing::HasSubstr("of quipu:sae-x"));
}

// Of the new identity nothing is shown before the restart that makes it ours: the other KME knows the old one.
TEST_F(KmsdTest, AReloadWithAnotherIdKeepsTheCertificateOfTheOldOne) {
  pki.issue("kme-c");
  reload("kme-c", "");
  EXPECT_THAT(sink.values("reloaded", "changed").at(0), testing::Not(testing::HasSubstr("km_link certificates")));
  EXPECT_THAT(sink.values("reloaded", "needs_restart").at(0),
              testing::AllOf(testing::HasSubstr("kme.id"), testing::HasSubstr("km_link certificates")));
  ASSERT_FALSE(testing::Test::HasFailure());
  connect_peer();  // which expects "kme-b"
}

// Whoever is revoked, or came by an old TLS, is cut off at once; nobody is by a reload that changes nothing of it.
TEST_F(KmsdTest, AReloadThatTrustsOthersEndsConnections) {
  daemon.reset();
  config::KmsdConfig values = configuration_values();
  values.etsi014.allow_tls12 = true;
  start(std::move(values));
  const auto client = connect_sae();
  reload("kme-b", "min_tls_version = \"1.2\"\n");
  answer_another_client();
  EXPECT_FALSE(client->closed.has_value());
  reload("kme-b", "");
  EXPECT_EQ(sink.values("reloaded", "changed").back(), "etsi014.min_tls_version (connections ended)");
  run_until(loop, [&] { return client->closed.has_value(); });
  const auto revoked = connect_sae("sae-b");
  pki.write("crl.pem", pki.list_of({"sae-b"}));
  reload("kme-b", fmt::format("crl = \"{}\"\n", pki.path("crl.pem")));
  EXPECT_EQ(sink.values("reloaded", "changed").back(), "etsi014 certificates (connections ended)");
  run_until(loop, [&] { return revoked->closed.has_value(); });
}

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
  EXPECT_THAT(store->audit().read(0, SIZE_MAX)->back().text, testing::HasSubstr("kme-a: 32768 bit"));
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

TEST_F(KmsdTest, AConfigurationThatCannotBeReadIsRefused) {
  scratch.write("kms.toml", "[kme]\nid = 7\n");
  ASSERT_EQ(::raise(SIGHUP), 0);
  run_until(loop, [&] { return sink.count("reload_refused") == 1; });
  EXPECT_THAT(sink.values("reload_refused", "error").at(0), testing::HasSubstr("kms.toml:2:"));
}

TEST_F(KmsdTest, EveryFileThatIsWrongIsToldAtItsKey) {
  const net::TlsFiles good = pki.issue("kme-c");
  const std::string file = scratch.write(
      "wrong.toml", fmt::format("[kme]\nid = \"kme-b\"\nstore_key_file = \"/none/store.key\"\n"
                                "[etsi014]\nca = \"{0}\"\ncert = \"{1}\"\nkey = \"/none/etsi.key\"\n"
                                "[km_link]\nlisten = \"127.0.0.1:8020\"\nca = \"{0}\"\ncert = \"{1}\"\nkey = \"{2}\"\n",
                                good.ca, good.certificate, good.key));
  const auto refused = load_configuration(file);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::malformed);
  EXPECT_THAT(refused.error().text,
              testing::MatchesRegex(file + ":2:1: kme.id: \"kme-b\" is not named by the certificate of km_link .*\n" +
                                    file + ":3:1: kme.store_key_file: /none/store.key: No such file or directory\n" +
                                    file + ":7:1: etsi014.key: /none/etsi.key: No such file or directory"));
}

// The other KME would refuse us, and only its log would tell.
TEST_F(KmsdTest, AnOwnIdThatTheCertificateDoesNotNameIsRefused) {
  config::KmsdConfig values = configuration_values();
  values.kme.id = KmeId("kme-c");
  values.kme.id_position = {2, 1};
  const auto refused = load_named_files("kms.toml", std::move(values));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::malformed);
  EXPECT_THAT(refused.error().text,
              testing::AllOf(testing::StartsWith("kms.toml:2:1: kme.id: \"kme-c\" is not named by"),
                             testing::HasSubstr("kme-b.pem"), testing::HasSubstr("\"kme-b\""),
                             testing::HasSubstr("quipu pki issue")));
}

}  // namespace
}  // namespace quipu::kmsd
