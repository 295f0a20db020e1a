// SPDX-License-Identifier: Apache-2.0
#include "daemon/kms_client.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kKeyBits = 256;
constexpr Duration kFirstRetry = 50ms;  // doubling
constexpr int kRetries = 4;

net::HttpsClientOptions client_options(const config::KmsConfig& config, net::HttpsClientOptions options) {
  options.server = {.host = config.url.server.host, .port = config.url.server.port};
  return options;
}

Result<FetchedKey> only_key(Result<etsi::KeyContainer> container) {
  if (!container) return std::unexpected(container.error());
  etsi::Key& key = container->keys.front();
  return FetchedKey{std::move(key.id), Secret<32>(std::span<const std::uint8_t, 32>(key.bytes.view())),
                    container->simulated};
}

}  // namespace

protocol::KeyFailure classify(Errc code, bool named) {
  // Only a KMS that answered and does not have (or will not give) the very key that was named says something about that
  // key. Anything else, nonsense included, is trouble at the KMS, and another key would fare no better.
  return named && code == Errc::not_found ? protocol::KeyFailure::unknown : protocol::KeyFailure::unavailable;
}

// What a KMS that refuses us does not say: whom it has taken us for, and what it has to know.
template <class T>
Result<T> KmsClient::explained(unsigned http_status, const SaeId& peer, Result<T> result) const {
  if (!result && (http_status == 401 || http_status == 403))
    result.error().text += "; does the KMS know SAE \"" + m_config.sae_id.value() + "\" by the certificate in " +
                           m_config.tls.cert.name + ", and may it share keys with SAE \"" + peer.value() + "\"?";
  return result;
}

KmsClient::KmsClient(net::Loop& loop, const KmsSettings& settings, net::HttpsClientOptions limits)
    : m_config(settings.config),
      m_certificates(settings.certificates),
      m_loop(loop),
      m_client(loop, client_options(settings.config, std::move(limits)), settings.tls),
      m_retry(loop, [this] { retry(); }) {}

void KmsClient::fetch_fresh(const SaeId& peer, Duration timeout, KeyHandler handler) {
  etsi::KeyRequest wanted;
  wanted.number = 1;
  wanted.size_bits = kKeyBits;
  call(etsi::enc_keys_request(m_config.url.path, peer, wanted), timeout,
       [this, peer, handler = std::move(handler)](Result<net::HttpResponse> reply) mutable {
         if (!reply) return handler(std::unexpected(reply.error()));
         handler(explained(reply->status, peer,
                           only_key(etsi::parse_enc_keys_reply(reply->status, reply->body.view(), 1, kKeyBits))));
       });
}

void KmsClient::fetch_named(const SaeId& peer, const KeyId& id, Duration timeout, KeyHandler handler) {
  etsi::KeyIds ids{{id}};
  Result<etsi::ClientRequest> request = etsi::dec_keys_request(m_config.url.path, peer, ids);
  call(std::move(request), timeout,
       [this, peer, ids = std::move(ids), handler = std::move(handler)](Result<net::HttpResponse> reply) mutable {
         if (!reply) return handler(std::unexpected(reply.error()));
         handler(explained(reply->status, peer,
                           only_key(etsi::parse_dec_keys_reply(reply->status, reply->body.view(), ids, kKeyBits))));
       });
}

void KmsClient::fetch_stock(const SaeId& peer, Duration timeout, StockHandler handler) {
  call(etsi::status_request(m_config.url.path, peer), timeout,
       [handler = std::move(handler)](Result<net::HttpResponse> reply) mutable {
         if (!reply) return handler(std::unexpected(reply.error()));
         const auto status = etsi::parse_status_reply(reply->status, reply->body.view());
         if (!status) return handler(std::unexpected(status.error()));
         handler(KeyStock{status->stored_key_count, status->simulated});
       });
}

void KmsClient::call(Result<etsi::ClientRequest> request, Duration timeout, ReplyHandler handler) {
  if (!request) {
    m_loop.post(
        [alive = std::weak_ptr<void>(m_alive), error = request.error(), handler = std::move(handler)]() mutable {
          if (!alive.expired()) handler(std::unexpected(std::move(error)));
        });
    return;
  }
  send(std::make_shared<Call>(std::move(*request), net::Loop::now() + timeout, std::move(handler)));
}

void KmsClient::send(std::shared_ptr<Call> call) {
  net::HttpRequest http;
  http.method = call->request.post ? "POST" : "GET";
  http.target = call->request.target;
  if (call->request.post) http.content_type = "application/json";
  http.body = call->request.body.clone();
  const Duration left = call->give_up - net::Loop::now();
  m_client.send(std::move(http), left,
                [this, call = std::move(call)](std::expected<net::HttpResponse, net::HttpFailure> reply) mutable {
                  if (!reply && !reply.error().maybe_processed && reply.error().retryable)
                    return unreached(std::move(call), std::move(reply.error().error));
                  m_rounds = 0;
                  if (!reply) return call->handler(std::unexpected(std::move(reply.error().error)));
                  call->handler(std::move(*reply));
                });
}

void KmsClient::unreached(std::shared_ptr<Call> call, Error error) {
  const bool hopeless = error.code == Errc::timeout || error.code == Errc::busy;
  const Duration wait = kFirstRetry * (1 << m_rounds);
  if (hopeless || m_rounds >= kRetries || net::Loop::now() + wait >= call->give_up)
    return call->handler(std::unexpected(std::move(error)));
  if (m_unreached.empty()) m_retry.set(net::Loop::now() + wait);
  m_unreached.push_back(std::move(call));
}

void KmsClient::retry() {
  ++m_rounds;
  for (std::shared_ptr<Call>& call : std::exchange(m_unreached, {}))
    send(std::move(call));
}

}  // namespace quipu::daemon
