// SPDX-License-Identifier: Apache-2.0
// One KMS as a SAE sees it: ETSI GS QKD 014 calls over one HTTPS client. Nothing that may have reached the KMS is sent
// twice by itself. What certainly did not (nobody listens there, or the connection broke before it stood) is tried
// again a few times within a second, once per outage: daemons that start together find each other at once, and a KMS
// that stays away is not pressed. What hung until its time was over is not tried again, nor what our own queue had no
// room for: another try would only keep the caller waiting.
#pragma once

#include <memory>
#include <utility>

#include "daemon/settings.h"
#include "etsi/etsi014_client.h"
#include "net/https_client.h"
#include "protocol/device.h"

namespace quipu::daemon {

struct FetchedKey {
  KeyId id;
  Secret<32> key;
  bool simulated = false;  // the KMS says so
};

// What a KMS has for one SAE.
struct KeyStock {
  std::uint64_t keys = 0;
  bool simulated = false;  // the KMS says that some of it is
};

// What a failed call means to the protocol. `named`: a key was asked for by its id (dec_keys).
protocol::KeyFailure classify(Errc code, bool named);

class KmsClient {
 public:
  // Called once, from the loop; never after the client's end.
  using KeyHandler = net::Callback<void(Result<FetchedKey>)>;
  using StockHandler = net::Callback<void(Result<KeyStock>)>;

  // `limits`: its server is the one of `settings`.
  KmsClient(net::Loop& loop, const KmsSettings& settings, net::HttpsClientOptions limits = {});

  const config::KmsConfig& config() const { return m_config; }

  // For connections made from now on.
  // Whether they are others than before.
  bool set_tls(KmsSettings settings) {
    m_client.set_context(std::move(settings.tls));
    return std::exchange(m_certificates, settings.certificates) != settings.certificates;
  }

  // A fresh key shared with `peer` (enc_keys).
  void fetch_fresh(const SaeId& peer, Duration timeout, KeyHandler handler);
  // The key that `peer` named (dec_keys).
  void fetch_named(const SaeId& peer, const KeyId& id, Duration timeout, KeyHandler handler);
  // How many keys the KMS could hand out now (status).
  void fetch_stock(const SaeId& peer, Duration timeout, StockHandler handler);

 private:
  using ReplyHandler = net::Callback<void(Result<net::HttpResponse>)>;

  struct Call {
    etsi::ClientRequest request;
    TimePoint give_up;
    ReplyHandler handler;
  };

  void call(Result<etsi::ClientRequest> request, Duration timeout, ReplyHandler handler);
  template <class T>
  Result<T> explained(unsigned http_status, const SaeId& peer, Result<T> result) const;
  void send(std::shared_ptr<Call> call);
  void unreached(std::shared_ptr<Call> call, Error error);
  void retry();

  config::KmsConfig m_config;
  std::array<std::uint8_t, 32> m_certificates;
  net::Loop& m_loop;
  net::HttpsClient m_client;
  std::vector<std::shared_ptr<Call>> m_unreached;  // they wait for m_retry
  int m_rounds = 0;                                // of retries in this outage
  net::Timer m_retry;
  std::shared_ptr<void> m_alive = std::make_shared<int>();
};

}  // namespace quipu::daemon
