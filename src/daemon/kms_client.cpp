// SPDX-License-Identifier: Apache-2.0
#include "daemon/kms_client.h"

#include <algorithm>
#include <map>

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kKeyBits = 256;
constexpr Duration kFirstRetry = 50ms;  // doubling
constexpr int kRetries = 4;

Result<FetchedKey> only_key(Result<etsi::KeyContainer> container) {
  if (!container) return std::unexpected(container.error());
  etsi::Key& key = container->keys.front();
  return FetchedKey{std::move(key.id), Secret<32>(std::span<const std::uint8_t, 32>(key.bytes.view())),
                    container->simulated};
}

std::optional<etsi::HttpMethod> fixed_method(config::KmsMethod method) {
  switch (method) {
    case config::KmsMethod::automatic: return std::nullopt;
    case config::KmsMethod::post: return etsi::HttpMethod::post;
    case config::KmsMethod::get: return etsi::HttpMethod::get;
  }
  return std::nullopt;
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

KmsClient::KmsClient(net::Loop& loop, const KmsSettings& settings, const net::HttpsClientOptions& limits)
    : m_config(settings.config),
      m_dialect{.size_parameter = m_config.size_parameter,
                .key_id_parameter = m_config.key_id_parameter,
                .master_in_key_ids = m_config.master_in_key_ids},
      m_tls(settings.tls),
      m_loop(loop),
      m_retry(loop, [this] { retry(); }) {
  std::vector<config::HttpsUrl> urls = m_config.standby_urls;
  urls.insert(urls.begin(), m_config.url);
  const etsi::MethodChoice choice(fixed_method(m_config.method));
  for (config::HttpsUrl& url : urls) {
    net::HttpsClientOptions options = limits;
    options.server = {.host = url.server.host, .port = url.server.port};
    m_kmes.push_back(std::make_unique<Kme>(
        std::move(url), std::make_unique<net::HttpsClient>(loop, std::move(options), m_tls.context), choice, choice));
  }
}

bool KmsClient::set_tls(const KmsSettings& settings) {
  const service::TlsEnd before = std::exchange(m_tls, settings.tls);
  for (const std::unique_ptr<Kme>& kme : m_kmes)
    kme->client->set_context(m_tls.context, m_tls.distrusts(before));
  return m_tls.renewed_since(before);
}

void KmsClient::fetch_fresh(const SaeId& peer, Duration timeout, KeyHandler handler) {
  call<FetchedKey>(
      Method::enc_keys, peer, std::nullopt, timeout,
      [this, peer](const net::HttpResponse& reply) {
        return explained(reply.status, peer,
                         only_key(etsi::parse_enc_keys_reply(reply.status, reply.body.view(), 1, kKeyBits)));
      },
      std::move(handler));
}

void KmsClient::fetch_named(const SaeId& peer, const KeyId& id, Duration timeout, KeyHandler handler) {
  call<FetchedKey>(
      Method::dec_keys, peer, id, timeout,
      [this, peer, ids = etsi::KeyIds{{id}}](const net::HttpResponse& reply) {
        return explained(reply.status, peer,
                         only_key(etsi::parse_dec_keys_reply(reply.status, reply.body.view(), ids, kKeyBits)));
      },
      std::move(handler));
}

void KmsClient::fetch_stock(const SaeId& peer, Duration timeout, StockHandler handler) {
  call<KeyStock>(
      Method::status, peer, std::nullopt, timeout,
      [](const net::HttpResponse& reply) -> Result<KeyStock> {
        QUIPU_TRY_ASSIGN(const etsi::Status status, etsi::parse_status_reply(reply.status, reply.body.view()));
        return KeyStock{status.stored_key_count, status.simulated};
      },
      std::move(handler));
}

template <class T>
void KmsClient::call(Method method, const SaeId& peer, std::optional<KeyId> id, Duration timeout,
                     net::Callback<Result<T>(const net::HttpResponse&)> parse, net::Callback<void(Result<T>)> handler) {
  const auto shared = std::make_shared<net::Callback<void(Result<T>)>>(std::move(handler));
  const auto call = std::make_shared<Call>(method, peer, std::move(id), net::Loop::now() + timeout);
  call->take = [shared, parse = std::move(parse)](const net::HttpResponse& reply) mutable -> Result<void> {
    QUIPU_TRY_ASSIGN(T value, parse(reply));
    (*shared)(std::move(value));
    return {};
  };
  call->fail = [shared](Error error) { (*shared)(std::unexpected(std::move(error))); };
  begin(call);
}

etsi::MethodChoice* KmsClient::choice_of(Kme& kme, Method method) {
  if (method == Method::status) return nullptr;
  return method == Method::enc_keys ? &kme.enc_keys : &kme.dec_keys;
}

Result<etsi::ClientRequest> KmsClient::request_of(const Call& call, const Kme& kme, etsi::HttpMethod method) const {
  if (call.method == Method::status) return etsi::status_request(kme.url.path, call.peer);
  if (call.method == Method::dec_keys)
    return etsi::dec_keys_request(kme.url.path, call.peer, {{*call.key_id}}, method, m_dialect);
  etsi::KeyRequest wanted;
  wanted.number = 1;
  wanted.size_bits = kKeyBits;
  return etsi::enc_keys_request(kme.url.path, call.peer, wanted, method, m_dialect);
}

void KmsClient::begin(const std::shared_ptr<Call>& call) {
  std::multimap<TimePoint, Kme*> by_time;  // those of one time in the order of the configuration
  for (const std::unique_ptr<Kme>& kme : m_kmes)
    by_time.emplace(std::max(net::Loop::now(), kme->left_until), kme.get());
  call->kmes.clear();
  for (const auto& [time, kme] : by_time)
    call->kmes.push_back(kme);
  call->at = 0;
  call->unreached = true;
  call->error.reset();
  ask(call);
}

void KmsClient::ask(const std::shared_ptr<Call>& call) {
  Kme& kme = *call->kmes[call->at];
  const etsi::MethodChoice* choice = choice_of(kme, call->method);
  const etsi::HttpMethod usual = choice == nullptr ? etsi::HttpMethod::get : choice->next();
  const etsi::HttpMethod method = call->refused ? etsi::other(call->refused->method) : usual;
  auto request = request_of(*call, kme, method);
  if (!request) {
    m_loop.post([alive = std::weak_ptr<void>(m_alive), call, error = request.error()]() mutable {
      if (!alive.expired()) call->fail(std::move(error));
    });
    return;
  }
  net::HttpRequest http;
  http.method = request->post ? "POST" : "GET";
  http.target = std::move(request->target);
  if (request->post) http.content_type = "application/json";
  http.body = std::move(request->body);
  const Duration left = call->give_up - net::Loop::now();
  const bool is_last = call->at + 1 == call->kmes.size();
  kme.client->send(std::move(http), is_last ? left : std::min(left, kPatience), [this, call, method](Reply reply) {
    if (reply)
      answered(call, method, *reply);
    else
      lost(call, std::move(reply.error()));
  });
}

void KmsClient::answered(const std::shared_ptr<Call>& call, etsi::HttpMethod asked, const net::HttpResponse& reply) {
  m_rounds = 0;
  call->unreached = false;
  Kme& kme = *call->kmes[call->at];
  etsi::MethodChoice* const choice = choice_of(kme, call->method);
  if (choice != nullptr && reply.status == 200) choice->worked(asked);
  const bool again = choice != nullptr && reply.status != 200 && !call->refused &&
                     choice->may_try_other(asked, reply.status, reply.body.view());
  const std::weak_ptr<void> alive = m_alive;
  auto taken = call->take(reply);
  if (taken) {
    if (!alive.expired()) kme.failures = 0;
    return;
  }
  if (again) {
    call->refused = {asked, std::move(taken.error())};
    return ask(call);
  }
  // Errc::refused says nothing but that it was the wrong method.
  const bool first_tells_more = call->refused && call->refused->error.code != Errc::refused;
  failed(call, first_tells_more ? std::move(call->refused->error) : std::move(taken.error()));
}

void KmsClient::lost(const std::shared_ptr<Call>& call, net::HttpFailure failure) {
  const bool hopeless = !failure.retryable || failure.error.code == Errc::timeout || failure.error.code == Errc::busy;
  if (failure.maybe_processed || !failure.retryable) m_rounds = 0;
  if (failure.maybe_processed || hopeless) call->unreached = false;
  failed(call, std::move(failure.error));
}

// The first failure is told, for it is that of the KME which should have answered. But where one KME does not know the
// key, that is what the asker has to know.
void KmsClient::failed(const std::shared_ptr<Call>& call, Error error) {
  Kme& kme = *call->kmes[call->at];
  const bool unknown_key = call->method == Method::dec_keys && error.code == Errc::not_found;
  if (!unknown_key) leave(kme);
  const bool named = error.text.starts_with(kme.url.server.text());
  if (m_kmes.size() > 1 && !named) error.text = kme.url.text() + ": " + error.text;
  if (!call->error || unknown_key) call->error = std::move(error);
  call->refused.reset();
  ++call->at;
  if (call->at < call->kmes.size() && net::Loop::now() < call->give_up) return ask(call);
  end(call);
}

// Half of the time is random: the sites of a KMS that was away do not all come back to it at once.
void KmsClient::leave(Kme& kme) {
  Duration longest = kFirstLeave;
  for (int i = 0; i < kme.failures && longest < kLongestLeave; ++i)
    longest = std::min(2 * longest, kLongestLeave);
  ++kme.failures;
  std::array<std::uint8_t, 2> random{};
  m_rng.fill(random);
  kme.left_until = net::Loop::now() + longest - longest / 2 * ByteReader(random).u16() / UINT16_MAX;
}

void KmsClient::end(const std::shared_ptr<Call>& call) {
  const Duration wait = kFirstRetry * (1 << m_rounds);
  if (!call->unreached || m_rounds >= kRetries || net::Loop::now() + wait >= call->give_up)
    return call->fail(std::move(*call->error));
  if (m_unreached.empty()) m_retry.set(net::Loop::now() + wait);
  m_unreached.push_back(call);
}

void KmsClient::retry() {
  ++m_rounds;
  for (const std::shared_ptr<Call>& call : std::exchange(m_unreached, {}))
    begin(call);
}

}  // namespace quipu::daemon
