// SPDX-License-Identifier: Apache-2.0
// One KMS as a SAE sees it: ETSI GS QKD 014 calls to its KMEs, in the dialect of the configuration, over one HTTPS
// client each. A call goes to one KME after the other, none twice, until one gives what was asked for or the time is
// over. One that does not answer is given up early where there is another. So no KME is asked again for a key whose
// reply was lost, and what the next one gives is another key under another key_ID. A KME that failed is asked last for
// a while, a random part of it less, for what it has not it will hardly have a moment later. What reached none of them
// (nobody listens there, or the connection broke before it stood) is tried again a few times within a second, once per
// outage: daemons that start together find each other at once, and a KMS that stays away is not pressed. What hung
// until its time was over is not tried again, nor what our own queue had no room for: another try would only keep the
// caller waiting.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "crypto/rng.h"
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
  // For how long a KME that failed is asked last: the first time, doubling with each failure up to the longest.
  static constexpr Duration kFirstLeave = std::chrono::seconds(5);
  static constexpr Duration kLongestLeave = std::chrono::seconds(60);

  // How long a KME has to answer, where there is another one to ask. The protocol waits for a KMS a little longer than
  // for two such KMEs.
  static constexpr Duration kPatience = std::chrono::milliseconds(700);

  // Called once, from the loop; never after the client's end.
  using KeyHandler = net::Callback<void(Result<FetchedKey>)>;
  using StockHandler = net::Callback<void(Result<KeyStock>)>;

  // `limits`: its server is set for each KME of `settings`.
  KmsClient(net::Loop& loop, const KmsSettings& settings, const net::HttpsClientOptions& limits = {});

  const config::KmsConfig& config() const { return m_config; }

  // For connections made from now on; where other authorities or revocations count than before, those that stand end
  // with the questions on them. Returns whether the certificates are others than before.
  bool set_tls(const KmsSettings& settings);

  // A fresh key shared with `peer` (enc_keys).
  void fetch_fresh(const SaeId& peer, Duration timeout, KeyHandler handler);
  // The key that `peer` named (dec_keys). Errc::not_found where one KME says so, and none has it.
  void fetch_named(const SaeId& peer, const KeyId& id, Duration timeout, KeyHandler handler);
  // How many keys the KMS could hand out now (status).
  void fetch_stock(const SaeId& peer, Duration timeout, StockHandler handler);

 private:
  struct Kme {
    config::HttpsUrl url;
    std::unique_ptr<net::HttpsClient> client;
    etsi::MethodChoice enc_keys;
    etsi::MethodChoice dec_keys;
    int failures = 0;  // in a row
    TimePoint left_until{};
  };

  enum class Method { status, enc_keys, dec_keys };
  using Reply = std::expected<net::HttpResponse, net::HttpFailure>;

  struct Refused {
    etsi::HttpMethod method;
    Error error;
  };

  // From a fetch_ to its handler.
  struct Call {
    Method method;
    SaeId peer;
    std::optional<KeyId> key_id;
    TimePoint give_up;
    // Hands on what a reply of 200 or another status says. An error: nothing was handed on.
    net::Callback<Result<void>(const net::HttpResponse&)> take;
    net::Callback<void(Error)> fail;
    std::vector<Kme*> kmes{};  // in the order of asking
    std::size_t at = 0;
    std::optional<Refused> refused{};  // this KME is asked by the other method now
    bool unreached = true;             // by any KME, so that the call is as good as new
    std::optional<Error> error = {};   // the one to tell
  };

  template <class T>
  void call(Method method, const SaeId& peer, std::optional<KeyId> id, Duration timeout,
            net::Callback<Result<T>(const net::HttpResponse&)> parse, net::Callback<void(Result<T>)> handler);
  template <class T>
  Result<T> explained(unsigned http_status, const SaeId& peer, Result<T> result) const;
  static etsi::MethodChoice* choice_of(Kme& kme, Method method);
  Result<etsi::ClientRequest> request_of(const Call& call, const Kme& kme, etsi::HttpMethod method) const;
  void begin(const std::shared_ptr<Call>& call);
  void ask(const std::shared_ptr<Call>& call);
  void answered(const std::shared_ptr<Call>& call, etsi::HttpMethod asked, const net::HttpResponse& reply);
  void lost(const std::shared_ptr<Call>& call, net::HttpFailure failure);
  void failed(const std::shared_ptr<Call>& call, Error error);
  void leave(Kme& kme);
  void end(const std::shared_ptr<Call>& call);
  void retry();

  config::KmsConfig m_config;
  etsi::Dialect m_dialect;
  service::TlsEnd m_tls;
  net::Loop& m_loop;
  crypto::SystemRng m_rng;
  std::vector<std::unique_ptr<Kme>> m_kmes;
  std::vector<std::shared_ptr<Call>> m_unreached;  // they wait for m_retry
  int m_rounds = 0;                                // of retries in this outage
  net::Timer m_retry;
  std::shared_ptr<void> m_alive = std::make_shared<int>();
};

}  // namespace quipu::daemon
