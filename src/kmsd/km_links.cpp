// SPDX-License-Identifier: Apache-2.0
#include "kmsd/km_links.h"

#include <algorithm>
#include <utility>

#include "kms/link_message.h"
#include "kmsd/backoff.h"
#include "kmsd/event_names.h"

namespace quipu::kmsd {
namespace {

net::TlsStreamLimits limits() {
  return {.max_message = kms::wire::kMaxMessageSize};
}

std::string delay_text(Duration delay) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(delay).count());
}

}  // namespace

struct KmLinks::Dialer {
  Dialer(KmLinks& owner, const config::PeerKmeConfig& config)
      : peer(config.id),
        to{config.address.host, config.address.port},
        retry(owner.m_loop, [&owner, this] { owner.dial(*this); }) {}

  KmeId peer;
  net::HostPort to;
  Backoff backoff;
  std::string failure;                           // of the last call; empty after a success
  std::unique_ptr<net::TlsConnector> connector;  // while a call is being made
  net::Timer retry;
};

struct KmLinks::Awaited {
  Awaited(KmLinks& owner, const KmeId& peer) : patience(owner.m_loop, [&owner, peer] { owner.miss(peer); }) {}

  net::Timer patience;
};

Result<std::unique_ptr<KmLinks>> KmLinks::open(net::Loop& loop, const config::KmLinkConfig& config,
                                               const std::vector<config::PeerKmeConfig>& peers,
                                               std::shared_ptr<const net::TlsContext> context,
                                               const std::function<bool(const KmeId&)>& dials, Events events,
                                               LogSink& log, Duration patience, Clocks clocks) {
  std::unique_ptr<KmLinks> links(new KmLinks(loop, peers, std::move(events), log, patience, std::move(clocks)));
  KmLinks* const self = links.get();
  links->m_context = std::move(context);
  auto listener = net::TlsListener::open(
      loop, config.listen, links->m_context, limits(),
      [self](std::unique_ptr<net::TlsStream> stream) { self->accept(std::move(stream)); },
      [self](const Endpoint& from, const Error& reason) { self->m_strangers.note(from, reason); });
  if (!listener) return fail_at("KM link at " + config.listen.text(), listener.error());
  links->m_listener = *std::move(listener);
  for (const config::PeerKmeConfig& peer : peers) {
    if (dials(peer.id)) {
      auto& dialer = links->m_dialers[peer.id] = std::make_unique<Dialer>(*links, peer);
      dialer->retry.set(net::Loop::now());
    } else {
      links->m_awaited[peer.id] = std::make_unique<Awaited>(*links, peer.id);
      links->lost(peer.id);
    }
  }
  return links;
}

KmLinks::KmLinks(net::Loop& loop, const std::vector<config::PeerKmeConfig>& peers, Events events, LogSink& log,
                 Duration patience, Clocks clocks)
    : m_loop(loop),
      m_log(log),
      m_strangers(loop, log, event::kKmLinkRefused, "a KM link was refused"),
      m_certified(loop, log, event::kKmLinkRefused, "a KM link was refused whose certificate is of our authority"),
      m_events(std::move(events)),
      m_patience(patience),
      m_clocks(std::move(clocks)) {
  for (const config::PeerKmeConfig& peer : peers)
    m_peers.push_back(peer.id);
}

KmLinks::~KmLinks() = default;

void KmLinks::accept(std::unique_ptr<net::TlsStream> stream) {
  const auto names = stream->peer().names();
  for (const std::string& name : names) {
    const KmeId peer(name);
    if (std::ranges::find(m_peers, peer) == m_peers.end()) continue;
    if (!m_dialers.contains(peer)) return stands(keep(std::move(stream), peer), peer);
    // Were both ends to dial, each new connection would replace the other's.
    return m_certified.note(stream->remote(), {Errc::conflict, "it is of " + name +
                                                                   ", but the KME with the lower id dials, which is "
                                                                   "this one: look at the ids in both configurations"});
  }
  m_certified.note(stream->remote(), {Errc::not_permitted, "it is of " + (names.empty() ? "nobody" : names.front()) +
                                                               ", for whom there is no [[peer_kme]]"});
}

kms::LinkId KmLinks::keep(std::unique_ptr<net::TlsStream> stream, const KmeId& peer) {
  const kms::LinkId link(++m_last_link);
  net::TlsStream& kept = *(m_streams[link] = std::move(stream));
  m_stream_peers.emplace(link, peer);
  kept.start({.on_message = [this, link, peer](ByteView message) { received(link, peer, message); },
              .on_closed = [this, link, peer](const Error& reason) { ended(link, peer, reason); },
              .on_sent = [this] { m_events.sent(); }});
  return link;
}

void KmLinks::stands(kms::LinkId link, const KmeId& peer) {
  if (const auto found = m_dialers.find(peer); found != m_dialers.end()) found->second->failure.clear();
  m_log.info(event::kKmLinkConnected, "a KM link stands",
             {{"peer", peer.value()}, {"from", m_streams.at(link)->remote().text()}});
  m_events.connected(link, peer);
}

void KmLinks::received(kms::LinkId link, const KmeId& peer, ByteView message) {
  const auto found = m_streams.find(link);
  if (found == m_streams.end()) return;  // given up, and about to end
  // Peers are heard every few seconds for as long as a link stands.
  if (found->second->peer().not_after < m_clocks.wall_now())
    return give_up(link, {Errc::authentication, "the peer's certificate has ended since it connected"});
  if (m_unanswered.erase(link) > 0) stands(link, peer);
  m_events.received(link, message);
}

void KmLinks::ended(kms::LinkId link, const KmeId& peer, const Error& reason) {
  m_streams.erase(link);
  m_stream_peers.erase(link);
  if (m_unanswered.erase(link) > 0) {
    Dialer& dialer = *m_dialers.at(peer);
    return failed(dialer, {reason.code, dialer.to.text() + ": " + reason.text});
  }
  m_events.disconnected(link, reason);
  lost(peer);
}

void KmLinks::send(kms::LinkId link, ByteView octets) {
  const auto found = m_streams.find(link);
  if (found == m_streams.end()) return;
  const auto sent = found->second->send(octets);
  // A peer that takes nothing for so long that its queue is full is as good as gone: the core resynchronises on
  // contact. Nothing may follow on the connection that a message is missing from.
  if (!sent) give_up(link, sent.error());
}

// It is out of reach at once, and ends later, because it may be the caller of the caller.
void KmLinks::give_up(kms::LinkId link, const Error& reason) {
  const auto found = m_streams.find(link);
  m_loop.post([this, link, reason, stream = std::move(found->second)]() mutable {
    stream.reset();
    if (const auto peer = m_stream_peers.find(link); peer != m_stream_peers.end())
      ended(link, KmeId(peer->second), reason);
  });
  m_streams.erase(found);
}

void KmLinks::flush() {
  for (const auto& [link, stream] : m_streams)
    stream->flush();
}

void KmLinks::close(kms::LinkId link) {
  const auto found = m_streams.find(link);
  if (found == m_streams.end()) return;
  found->second->close();
  const KmeId peer = m_stream_peers.at(link);
  // The stream may be the caller of the caller.
  m_loop.post([stream = std::shared_ptr<net::TlsStream>(std::move(found->second))] {});
  m_streams.erase(found);
  m_stream_peers.erase(link);
  lost(peer);
}

bool KmLinks::has_room(const KmeId& peer) const {
  return std::ranges::none_of(m_streams, [&](const auto& each) {
    return each.second->queued() >= kCrowded && m_stream_peers.at(each.first) == peer;
  });
}

void KmLinks::set_context(std::shared_ptr<const net::TlsContext> context, bool distrust) {
  m_context = std::move(context);
  m_listener->set_context(m_context, distrust);
  if (!distrust) return;
  redial();
  while (!m_streams.empty())
    give_up(m_streams.begin()->first, {Errc::closed, "whom we accept has changed"});
}

// What was dialled and does not stand yet begins anew: the core knows nothing of it, and it is no fault of the peer.
void KmLinks::redial() {
  for (const auto& [peer, dialer] : m_dialers)
    if (dialer->connector != nullptr) dial(*dialer);
  for (const kms::LinkId link : std::exchange(m_unanswered, {})) {
    const auto peer = m_stream_peers.extract(link);
    m_streams.erase(link);
    dial(*m_dialers.at(peer.mapped()));
  }
}

void KmLinks::dial(Dialer& dialer) {
  dialer.connector = std::make_unique<net::TlsConnector>(
      m_loop, m_context, limits(), dialer.to, dialer.peer.value(),
      [this, &dialer](Result<std::unique_ptr<net::TlsStream>> result) { dialed(dialer, std::move(result)); });
}

void KmLinks::dialed(Dialer& dialer, Result<std::unique_ptr<net::TlsStream>> result) {
  dialer.connector.reset();
  if (!result) return failed(dialer, result.error());
  m_unanswered.insert(keep(*std::move(result), dialer.peer));
}

// Logged once, until a call succeeds.
void KmLinks::failed(Dialer& dialer, const Error& reason) {
  if (dialer.failure.empty())
    m_log.warning(event::kKmLinkUnreachable, "a peer KME does not answer, or refuses us; trying on",
                  {{"peer", dialer.peer.value()}, {"to", dialer.to.text()}, error_field(reason)});
  dialer.failure = error_field(reason).value;
  dial_again(dialer);
}

// A connection has ended.
void KmLinks::lost(const KmeId& peer) {
  if (const auto found = m_dialers.find(peer); found != m_dialers.end()) return dial_again(*found->second);
  m_awaited.at(peer)->patience.set(net::Loop::now() + m_patience);
}

bool KmLinks::has_connection(const KmeId& peer) const {
  return std::ranges::any_of(m_stream_peers, [&](const auto& each) { return each.second == peer; });
}

void KmLinks::miss(const KmeId& peer) {
  if (has_connection(peer)) return;
  m_log.warning(event::kKmLinkAwaited,
                "a peer KME does not call us, which the one with the lower id has to do: does it run, and does its "
                "[[peer_kme]] have this address?",
                {{"peer", peer.value()}, {"address", local().text()}});
}

std::map<KmeId, std::string> KmLinks::attempts() const {
  std::map<KmeId, std::string> out;
  for (const auto& [peer, dialer] : m_dialers)
    out[peer] = dialer->failure.empty()
                    ? "calling " + peer.value() + " at " + dialer->to.text()
                    : "calling " + peer.value() + " again and again, which failed last: " + dialer->failure;
  for (const auto& [peer, awaited] : m_awaited)
    out[peer] = "waiting for " + peer.value() + " to call us on " + local().text();
  return out;
}

void KmLinks::dial_again(Dialer& dialer) {
  const Duration delay = dialer.backoff.next(m_clocks.now(), m_rng);
  m_log.debug(event::kKmLinkDialsAgain, "a peer KME will be dialled again",
              {{"peer", dialer.peer.value()}, {"delay_ms", delay_text(delay)}});
  dialer.retry.set(net::Loop::now() + delay);
}

void KmLinks::in_contact(const KmeId& peer) {
  if (const auto found = m_dialers.find(peer); found != m_dialers.end())
    found->second->backoff.contact_made(m_clocks.now());
}

Endpoint KmLinks::local() const {
  return m_listener->local();
}

}  // namespace quipu::kmsd
