// SPDX-License-Identifier: Apache-2.0
// A KMS in this process: the real HTTPS server and the real ETSI 014 codec over a table of keys, serving every SAE of a
// test. What it does wrong, it is told to do.
#pragma once

#include <map>

#include "base/unique_fd.h"
#include "crypto/rng.h"
#include "daemon/settings.h"
#include "etsi/etsi014_server.h"
#include "net/https_server.h"
#include "support/run_until.h"
#include "support/scratch.h"

namespace quipu::daemon {

using test::run_until;

class TestKms {
 public:
  explicit TestKms(net::Loop& loop);
  // Another one with a certificate of the same authority.
  TestKms(net::Loop& loop, const TestKms& sibling);

  // How SAE `own` reaches this KMS.
  KmsSettings settings_for(const std::string& own, const std::string& name = "local");
  // A file with a list of its authority that names nobody.
  std::string empty_revocation_list();
  // A listener in the same place as the one that stop() closed, with the same keys.
  void start(const net::HttpsServerLimits& limits = {});
  void stop();

  std::size_t enc_calls = 0;
  std::size_t dec_calls = 0;
  std::size_t status_calls = 0;
  std::size_t refused_connections = 0;

  // Keys handed out to their master and not yet fetched by their slave.
  std::size_t keys_waiting() const { return m_keys.size(); }

  // Answers an error instead, while set.
  std::optional<etsi::ApiError> refusal;
  // The same, for questions about the stock alone.
  std::optional<etsi::ApiError> status_refusal;
  // Answers these octets with 200, while set.
  std::optional<std::string> nonsense;
  // Takes no other method, while set: answers this instead.
  std::optional<std::string> only_method;
  etsi::ApiError method_refusal = {405, "", {}};
  // Says that its keys are simulated.
  bool simulated = false;
  // Keeps requests unanswered until release(), while set.
  bool hold = false;
  void release();

  std::uint16_t port() const { return m_port; }

  std::size_t held() const { return m_held.size(); }

 private:
  struct Held {
    net::HttpRequest request;
    net::Responder responder;
  };

  void open();
  void serve(net::HttpRequest request, net::Responder responder);
  net::HttpResponse answer(const net::HttpRequest& request);
  SecretBytes give(const etsi::EncKeysCall& call);
  std::expected<SecretBytes, etsi::ApiError> fetch(const etsi::DecKeysCall& call);
  std::string certificate_of(const std::string& name);

  net::Loop& m_loop;
  test::Scratch m_folder;
  crypto::SystemRng m_rng;
  std::string m_ca_pem;
  SecretBytes m_ca_key;
  std::shared_ptr<const net::TlsContext> m_tls;
  std::uint16_t m_port = 0;
  std::unique_ptr<net::HttpsServer> m_server;
  UniqueFd m_port_held;  // while stopped, so that nobody else comes to listen there
  std::map<KeyId, SecretBytes> m_keys;
  std::vector<Held> m_held;
};

}  // namespace quipu::daemon
