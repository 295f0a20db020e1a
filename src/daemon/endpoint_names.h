// SPDX-License-Identifier: Apache-2.0
// Host names of peers to endpoints. One question per peer at a time: while one is under way, another for the same peer
// is not asked, unless the first was forgotten.
#pragma once

#include <map>

#include "base/log.h"
#include "net/resolver.h"
#include "protocol/ids.h"

namespace quipu::daemon {

class EndpointNames {
 public:
  struct Handlers {
    net::Callback<void(protocol::PeerId, const Endpoint&)> on_resolved;
    // Whether datagrams may go there: an endpoint inside a protected prefix would route the tunnel into itself.
    net::Callback<Result<void>(const IpAddress&)> permitted;
  };

  EndpointNames(net::Loop& loop, LogSink& log, Handlers handlers);

  // `name` is HOST:PORT. Failures are logged, once until the name resolves; it is for the Device to ask again.
  void resolve(protocol::PeerId peer, const std::string& name);
  // Answers for this peer that are still under way come to nothing.
  void forget(protocol::PeerId peer);

 private:
  struct Question {
    std::uint64_t number = 0;  // 0: none under way
    bool logged_failure = false;
  };

  void answer(protocol::PeerId peer, std::uint64_t number, const std::string& name,
              Result<std::vector<Endpoint>> endpoints);
  Result<Endpoint> choose(Result<std::vector<Endpoint>> endpoints);

  LogSink& m_log;
  Handlers m_handlers;
  std::map<protocol::PeerId, Question> m_questions;
  std::uint64_t m_last_number = 0;
  net::Resolver m_resolver;
};

}  // namespace quipu::daemon
