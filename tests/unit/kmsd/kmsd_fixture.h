// SPDX-License-Identifier: Apache-2.0
// The whole daemon in this process, on loopback: its SAE and its peer KME are played by the test.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "crypto/hash.h"
#include "kms/link_message.h"
#include "kmsd/kmsd.h"
#include "service/wall_clock.h"
#include "support/recorded_log.h"
#include "support/scratch.h"
#include "unit/net/https_fixture.h"

namespace quipu::kmsd {

using net::kLoopback;
using net::RawClient;
using test::RecordedLog;
using test::run_until;
namespace wire = kms::wire;

inline constexpr std::string_view kEncKeys = "GET /api/v1/keys/sae-a/enc_keys HTTP/1.1\r\nHost: kme\r\n\r\n";
inline constexpr std::string_view kManyEncKeys =
    "GET /api/v1/keys/sae-a/enc_keys?number=16&size=1024 HTTP/1.1\r\nHost: kme\r\n\r\n";
inline constexpr std::string_view kStatus = "GET /api/v1/keys/sae-a/status HTTP/1.1\r\nHost: kme\r\n\r\n";

// "kme-a", which dials, as it is told; answers nothing by itself once it is in contact.
class Peer {
 public:
  explicit Peer(std::unique_ptr<net::TlsStream> stream) : m_stream(std::move(stream)) {
    m_stream->start({.on_message = [this](ByteView octets) { hear(octets); },
                     .on_closed = [this](const Error&) { m_closed = true; }});
    say(wire::Hello{wire::kVersion, KmeId("kme-a"), KmeId("kme-b"), kms::InstanceId(Uuid{{1}}), {}});
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
    MachineSource source{.read = [this] { return machine; }, .fd = -1};
    auto core = open_core(*loaded, source, log);
    ASSERT_TRUE(core.has_value()) << core.error().text;
    auto started = Kmsd::start(
        loop, *std::move(loaded), *std::move(core), std::move(*signals), log, std::move(source),
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

  // Some parts of a change of the store key, from 1 to 2, which a reload will find.
  void stock_many_chunks() {
    daemon.reset();
    kms::Transaction transaction(KmeId("kme-of-old"));
    const Bytes octets(kms::kMaxBlockSize, 7);
    for (std::uint8_t n = 0; n < 200; ++n) {
      kms::BlockRecord record;
      record.id = BlockId(Uuid{{n}});
      record.length = kms::kMaxBlockSize;
      transaction.add(kms::AddBlock{record, octets});
    }
    ASSERT_TRUE(open_store()->commit(transaction).has_value());
    start(configuration_values());
    write_store_key("store.key", 2);
    write_store_key("previous.key", 1);
    write_configuration("kme-b", {}, fmt::format("previous_store_key_file = \"{}\"\n", scratch.path("previous.key")));
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

  void write_configuration(const std::string& id, const std::string& keys, const std::string& kme_keys) {
    const std::string files = fmt::format("ca = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n", pki.ca(), pki.path(id + ".pem"),
                                          pki.path(id + ".key"));
    scratch.write("kms.toml",
                  fmt::format("[kme]\nid = \"{}\"\nstore = \"{}\"\nstore_key_file = \"{}\"\n{}"
                              "[etsi014]\nlisten = \"127.0.0.1:8014\"\n{}{}"
                              "[km_link]\nlisten = \"127.0.0.1:8020\"\n{}"
                              "[[sae]]\nid = \"sae-b\"\n",
                              id, scratch.path(store_name), scratch.path("store.key"), kme_keys, files, keys, files));
  }

  // Why that is refused; empty when it is not.
  std::string refusal_of_reload(const std::string& id, const std::string& keys, const std::string& kme_keys) {
    write_configuration(id, keys, kme_keys);
    const std::size_t reloaded = sink.count("reloaded");
    const std::size_t refused = sink.count("reload_refused");
    EXPECT_EQ(::raise(SIGHUP), 0);
    run_until(loop, [&] { return sink.count("reloaded") + sink.count("reload_refused") > reloaded + refused; });
    return sink.count("reload_refused") > refused ? sink.values("reload_refused", "error").back() : "";
  }

  // Where the daemon's reply line to that will come.
  UniqueFd send_control(const control::Request& request) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un to{.sun_family = AF_UNIX, .sun_path = {}};
    scratch.path("control").copy(to.sun_path, sizeof to.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const std::string line = control::encode(request) + "\n";
    EXPECT_EQ(::write(fd.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    return fd;
  }

  std::string ask_control(const control::Request& request) { return receive_control(send_control(request)); }

  std::string receive_control(UniqueFd fd) {
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
  std::string store_name = "kms.db";  // that a reload names
  std::unique_ptr<Kmsd> daemon;
};

}  // namespace quipu::kmsd
