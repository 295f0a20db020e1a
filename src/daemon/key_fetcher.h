// SPDX-License-Identifier: Apache-2.0
// Answers the Device's questions for keys from the configured KMSs, one answer per question, matched by its id. Keeps
// what `status` says about each source, and logs a source only when it fails and when it works again.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/log.h"
#include "daemon/kms_client.h"
#include "net/loop.h"
#include "protocol/action.h"

namespace quipu::daemon {

// What is known about one source: a KMS and the SAE at the other end.
struct SourceHealth {
  bool asked = false;
  bool reachable = false;
  bool simulated = false;             // its KMS said so of a key or of its stock, since this KMS was configured
  std::optional<TimePoint> answered;  // whatever it was
  std::optional<std::uint64_t> stock_keys;
  std::optional<TimePoint> stock_told;
  std::string last_error;  // empty when the last call succeeded, and none is late
};

class KeyFetcher {
 public:
  struct Handlers {
    net::Callback<void(const protocol::RequestKey&, Result<FetchedKey>)> on_answer;
    // The stock of a source of that peer; nothing when it is no longer known.
    net::Callback<void(protocol::PeerId, std::uint8_t slot, std::optional<std::uint64_t> keys)> on_stock;
  };

  // What a KMS has to answer in at least, though the question be put just before its deadline.
  static constexpr Duration kLeastTimeout = std::chrono::milliseconds(100);

  // `loop` and `log` outlive this.
  KeyFetcher(net::Loop& loop, LogSink& log, Handlers handlers);

  // The KMSs that there are from now on. One with the same configuration keeps its requests and gets the new
  // certificates; questions to one that changed or went are answered Errc::closed, from the loop. The names of those of
  // which nothing but the certificates is new.
  std::vector<std::string> set_sources(std::vector<KmsSettings> settings);

  // Answers from the loop, at the latest some seconds after the request's deadline: a key that comes late is still the
  // Device's to keep or burn. Errc::not_found without such a KMS.
  void fetch(protocol::RequestKey request);

  SourceHealth health(const std::string& kms, const SaeId& peer) const;

 private:
  struct Source {
    SourceHealth health;
    bool logged_failure = false;
    // Keys that the peer named and that this KMS would not give, one after the other. One or two are the peer's doing,
    // or a key that has not come here yet; more say that these two KMSs do not work together.
    std::set<KeyId> refused;
    bool logged_simulated = false;
    std::optional<TimePoint> stock_asked;
  };

  struct Question {
    protocol::RequestKey request;
    TimePoint late;  // from when on status says that the KMS does not answer in time
  };

  using SourceName = std::pair<std::string, SaeId>;

  void orphan_questions_to(const std::string& kms);
  void ask(KmsClient& client, const Question& question);
  void answer(protocol::KeyRequestId id, Result<FetchedKey> result);
  void note_success(const protocol::KeySource& source, bool named);
  void note_refusal(const protocol::RequestKey& request, const Error& error);
  void note_failure(const protocol::RequestKey& request, const Error& error);
  void note_simulated(const protocol::KeySource& source);
  void refresh_stock(const protocol::RequestKey& request);

  net::Loop& m_loop;
  LogSink& m_log;
  Handlers m_handlers;
  std::map<std::string, std::unique_ptr<KmsClient>> m_clients;
  std::map<SourceName, Source> m_sources;
  std::map<protocol::KeyRequestId, Question> m_open;
  std::shared_ptr<void> m_alive = std::make_shared<int>();
};

}  // namespace quipu::daemon
