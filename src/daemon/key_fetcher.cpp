// SPDX-License-Identifier: Apache-2.0
#include "daemon/key_fetcher.h"

#include <algorithm>

#include "daemon/event_names.h"

namespace quipu::daemon {
namespace {

using namespace std::chrono_literals;

// An answer may come this long after its deadline and still be of use: the KMS has handed the key out.
constexpr Duration kLateAnswer = 3s;
constexpr Duration kStockInterval = 10s;
constexpr Duration kStockTimeout = 5s;

// Keys refused in a row, from which on that is told.
constexpr std::size_t kToldRefusals = 3;

}  // namespace

KeyFetcher::KeyFetcher(net::Loop& loop, LogSink& log, Handlers handlers)
    : m_loop(loop), m_log(log), m_handlers(std::move(handlers)) {}

std::vector<std::string> KeyFetcher::set_sources(std::vector<KmsSettings> settings) {
  std::vector<std::string> renewed;
  std::map<std::string, std::unique_ptr<KmsClient>> clients;
  for (KmsSettings& kms : settings) {
    std::unique_ptr<KmsClient>& client = clients[kms.config.name];
    const auto old = m_clients.find(kms.config.name);
    if (old != m_clients.end() && old->second->config() == kms.config) {
      client = std::move(old->second);
      std::string name = kms.config.name;
      if (client->set_tls(std::move(kms))) renewed.push_back(std::move(name));
    } else {
      client = std::make_unique<KmsClient>(m_loop, kms);
    }
  }
  m_clients.swap(clients);
  for (const auto& [name, gone] : clients) {
    if (!gone) continue;
    std::erase_if(m_sources, [&](const auto& entry) { return entry.first.first == name; });
    orphan_questions_to(name);
  }
  return renewed;
}

// That they come to nothing says nothing about the KMS, neither the old one nor the new. Answered from the loop, so
// that whoever changes the configuration is done with it.
void KeyFetcher::orphan_questions_to(const std::string& kms) {
  for (auto open = m_open.begin(); open != m_open.end();) {
    const auto one = open++;
    if (one->second.request.source.kms != kms) continue;
    m_loop.post(
        [this, request = std::move(m_open.extract(one).mapped().request), alive = std::weak_ptr<void>(m_alive)] {
          if (!alive.expired()) m_handlers.on_answer(request, fail(Errc::closed, "the KMS's configuration changed"));
        });
  }
}

void KeyFetcher::fetch(protocol::RequestKey request) {
  const protocol::KeyRequestId id = request.id;
  const auto client = m_clients.find(request.source.kms);
  const TimePoint late = std::max(request.deadline, net::Loop::now() + kLeastTimeout);
  const auto [open, fresh] = m_open.emplace(id, Question{std::move(request), late});
  QUIPU_ASSERT(fresh);
  if (client != m_clients.end()) return ask(*client->second, open->second);
  m_loop.post([this, id, alive = std::weak_ptr<void>(m_alive)] {
    if (!alive.expired()) answer(id, fail(Errc::not_found, "no such KMS is configured"));
  });
}

void KeyFetcher::ask(KmsClient& client, const Question& question) {
  const protocol::RequestKey& request = question.request;
  const Duration timeout = question.late - net::Loop::now() + kLateAnswer;
  auto on_reply = [this, id = request.id](Result<FetchedKey> result) { answer(id, std::move(result)); };
  if (request.key_id)
    client.fetch_named(request.source.peer, *request.key_id, timeout, std::move(on_reply));
  else
    client.fetch_fresh(request.source.peer, timeout, std::move(on_reply));
}

void KeyFetcher::answer(protocol::KeyRequestId id, Result<FetchedKey> result) {
  auto open = m_open.extract(id);
  if (open.empty()) return;  // answered already, when its KMS went away
  const protocol::RequestKey& request = open.mapped().request;
  const bool named = request.key_id.has_value();
  if (result)
    note_success(request.source, named);
  else if (classify(result.error().code, named) == protocol::KeyFailure::unknown)
    note_refusal(request, result.error());
  else
    note_failure(request, result.error());
  SourceHealth& health = m_sources[{request.source.kms, request.source.peer}].health;
  if (health.reachable) health.answered = net::Loop::now();
  if (result && result->simulated) note_simulated(request.source);
  refresh_stock(request);
  m_handlers.on_answer(request, std::move(result));
}

void KeyFetcher::note_success(const protocol::KeySource& from, bool named) {
  Source& source = m_sources[{from.kms, from.peer}];
  source.health.asked = source.health.reachable = true;
  if (named) source.refused.clear();
  if (source.refused.size() >= kToldRefusals) return;  // fresh keys come, and those that the peer names still do not
  source.health.last_error.clear();
  if (std::exchange(source.logged_failure, false))
    m_log.info(event::kKmsAvailable, "the KMS gives keys again", {{"kms", from.kms}, {"sae", from.peer.value()}});
}

// The KMS answered for itself: it is there, whatever it said about the key.
void KeyFetcher::note_refusal(const protocol::RequestKey& request, const Error& error) {
  const protocol::KeySource& from = request.source;
  Source& source = m_sources[{from.kms, from.peer}];
  source.health.asked = source.health.reachable = true;
  // A key is asked for again and again in one handshake.
  if (source.refused.size() < kToldRefusals) source.refused.insert(*request.key_id);
  if (source.refused.size() < kToldRefusals) {
    source.health.last_error.clear();
    return;
  }
  source.health.last_error = "gives none of the keys that the peer names: " + error.text;
  if (!std::exchange(source.logged_failure, true))
    m_log.warning(event::kKmsUnavailable, "the KMS gives none of the keys that the peer names",
                  {{"kms", from.kms}, {"sae", from.peer.value()}, error_field(error)});
}

void KeyFetcher::note_failure(const protocol::RequestKey& request, const Error& error) {
  const protocol::KeySource& from = request.source;
  Source& source = m_sources[{from.kms, from.peer}];
  source.health.asked = true;
  source.health.reachable =
      error.code == Errc::exhausted || error.code == Errc::refused || error.code == Errc::not_permitted;
  source.health.last_error = error.text.empty() ? std::string(to_string(error.code)) : error.text;
  // What it had before the trouble is shown with its age, and is nothing to count on; asked anew behind the first call
  // that works.
  source.stock_asked.reset();
  m_handlers.on_stock(request.peer, request.slot, std::nullopt);
  if (!std::exchange(source.logged_failure, true))
    m_log.warning(event::kKmsUnavailable, "the KMS gives no key",
                  {{"kms", from.kms}, {"sae", from.peer.value()}, error_field(error)});
}

// Says so once, where the configuration does not: whether the tunnel may run on such keys is the policy's to decide,
// but nobody shall believe that they are quantum keys.
void KeyFetcher::note_simulated(const protocol::KeySource& from) {
  Source& source = m_sources[{from.kms, from.peer}];
  source.health.simulated = true;
  if (from.simulated || std::exchange(source.logged_simulated, true)) return;
  m_log.warning(event::kSourceSimulated,
                "the KMS says that its keys are simulated, and the source is not marked simulated = true",
                {{"kms", from.kms}, {"sae", from.peer.value()}});
}

// Asked behind a call that worked, so that a KMS in trouble is asked for keys only.
void KeyFetcher::refresh_stock(const protocol::RequestKey& request) {
  Source& source = m_sources[{request.source.kms, request.source.peer}];
  const auto client = m_clients.find(request.source.kms);
  const TimePoint now = net::Loop::now();
  if (!source.health.last_error.empty() || client == m_clients.end()) return;
  if (source.stock_asked && now - *source.stock_asked < kStockInterval) return;
  source.stock_asked = now;
  client->second->fetch_stock(
      request.source.peer, kStockTimeout,
      [this, from = request.source, peer = request.peer, slot = request.slot](const Result<KeyStock>& stock) {
        // Where a KMS does not tell, the stock is unknown; its keys are still good.
        const auto keys = stock ? std::optional(stock->keys) : std::nullopt;
        SourceHealth& health = m_sources[{from.kms, from.peer}].health;
        health.stock_keys = keys;
        health.stock_told = stock ? std::optional(net::Loop::now()) : std::nullopt;
        if (stock && stock->simulated) note_simulated(from);
        m_handlers.on_stock(peer, slot, keys);
      });
}

SourceHealth KeyFetcher::health(const std::string& kms, const SaeId& peer) const {
  const auto source = m_sources.find({kms, peer});
  SourceHealth health = source == m_sources.end() ? SourceHealth{} : source->second.health;
  // The Device goes without that key already: status must not call the source well until the last moment.
  const bool is_late = std::ranges::any_of(m_open, [&, now = net::Loop::now()](const auto& open) {
    const auto& [request, late] = open.second;
    return request.source.kms == kms && request.source.peer == peer && late < now;
  });
  if (!is_late || !health.last_error.empty()) return health;
  health.asked = true;
  health.reachable = false;
  health.last_error = "does not answer in time";
  return health;
}

}  // namespace quipu::daemon
