// SPDX-License-Identifier: Apache-2.0
#include "daemon/endpoint_names.h"

#include "daemon/event_names.h"

namespace quipu::daemon {
namespace {

constexpr Duration kResolveTimeout = std::chrono::seconds(10);

}  // namespace

EndpointNames::EndpointNames(net::Loop& loop, LogSink& log, Handlers handlers)
    : m_log(log), m_handlers(std::move(handlers)), m_resolver(loop) {}

void EndpointNames::resolve(protocol::PeerId peer, const std::string& name) {
  Question& question = m_questions[peer];
  if (question.number != 0) return;
  const auto parsed = net::HostPort::parse(name);
  QUIPU_ASSERT(parsed);  // the configuration was validated
  const std::uint64_t number = question.number = ++m_last_number;
  m_resolver.resolve(*parsed, kResolveTimeout, [this, peer, number, name](Result<std::vector<Endpoint>> endpoints) {
    answer(peer, number, name, std::move(endpoints));
  });
}

void EndpointNames::forget(protocol::PeerId peer) {
  m_questions.erase(peer);
}

void EndpointNames::answer(protocol::PeerId peer, std::uint64_t number, const std::string& name,
                           Result<std::vector<Endpoint>> endpoints) {
  const auto question = m_questions.find(peer);
  if (question == m_questions.end() || question->second.number != number) return;
  question->second.number = 0;
  const auto endpoint = choose(std::move(endpoints));
  if (!endpoint) {
    if (!std::exchange(question->second.logged_failure, true))
      m_log.warning(event::kEndpointUnresolved, "the peer's host name gives no usable address",
                    {{"endpoint", name}, error_field(endpoint.error())});
    return;
  }
  question->second.logged_failure = false;
  m_log.debug(event::kEndpointResolved, "host name resolved", {{"endpoint", name}, {"address", endpoint->text()}});
  m_handlers.on_resolved(peer, *endpoint);
}

Result<Endpoint> EndpointNames::choose(Result<std::vector<Endpoint>> endpoints) {
  if (!endpoints) return std::unexpected(endpoints.error());
  Result<void> last;
  for (const Endpoint& endpoint : *endpoints)
    if (last = m_handlers.permitted(endpoint.address); last) return endpoint;
  return std::unexpected(last.error());
}

}  // namespace quipu::daemon
