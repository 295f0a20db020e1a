// SPDX-License-Identifier: Apache-2.0
// The TLS connections of the KM links: listens for peers that dial us, dials those that we have to, again and again
// with a growing delay. Numbers each connection for the core and moves messages; what they say is the core's business.
//
// In TLS 1.3 who dials has done its part of the handshake before the other end has judged its certificate: to us, and
// to the core, a dialled connection stands when the peer's first message has come, which says that it was accepted.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/log.h"
#include "config/kmsd_config.h"
#include "crypto/rng.h"
#include "kms/actions.h"
#include "kmsd/refusal_log.h"
#include "net/tls_stream.h"
#include "service/wall_clock.h"

namespace quipu::kmsd {

class KmLinks {
 public:
  // What the links tell. Called on the loop's thread, never from within open(), send() or close().
  struct Events {
    std::function<void(kms::LinkId, const KmeId& peer)> connected;
    std::function<void(kms::LinkId, ByteView octets)> received;
    std::function<void(kms::LinkId, const Error& reason)> disconnected;
    // There is more room than there was.
    std::function<void()> sent;
  };

  // As the daemon has them, or a test.
  struct Clocks {
    std::function<TimePoint()> now = net::Loop::now;  // for how long there was contact
    std::function<WallTime()> wall_now = service::wall_now;
  };

  // How long a peer that has to call us may be missing before that is logged.
  static constexpr Duration kPatience = std::chrono::seconds(30);
  // Octets that wait for a peer, from which on there is no room for what can wait.
  static constexpr std::size_t kCrowded = std::size_t{64} * 1024;

  // `dials`: whether this end opens the connection with that peer. `log` outlives this.
  static Result<std::unique_ptr<KmLinks>> open(net::Loop& loop, const config::KmLinkConfig& config,
                                               const std::vector<config::PeerKmeConfig>& peers,
                                               std::shared_ptr<const net::TlsContext> context,
                                               const std::function<bool(const KmeId&)>& dials, Events events,
                                               LogSink& log, Duration patience, Clocks clocks);
  KmLinks(const KmLinks&) = delete;
  KmLinks& operator=(const KmLinks&) = delete;
  ~KmLinks();

  // Octets for a connection that has gone meanwhile are dropped: the core hears of its end, or already has.
  void send(kms::LinkId link, ByteView octets);
  void close(kms::LinkId link);
  // What was sent goes out now, and not only when the loop's turn has ended.
  void flush();
  // For messages that are not the core's own, which must neither fill the queue nor keep the core's waiting for long.
  bool has_room(const KmeId& peer) const;
  // The two ends have understood each other: the end of such a connection is no reason to wait long.
  void in_contact(const KmeId& peer);
  // With the port that the kernel chose when 0 was configured.
  Endpoint local() const;
  // For each peer, what this end does while it has no connection with it, and how that went last.
  std::map<KmeId, std::string> attempts() const;

  // Connections to this end that were not taken.
  std::uint64_t refused_connections() const { return m_strangers.total() + m_certified.total(); }

  // For connections made from now on. `distrust`: whoever was accepted before may not be any more, so all connections
  // end and are made anew.
  void set_context(std::shared_ptr<const net::TlsContext> context, bool distrust);

 private:
  struct Dialer;
  struct Awaited;

  KmLinks(net::Loop& loop, const std::vector<config::PeerKmeConfig>& peers, Events events, LogSink& log,
          Duration patience, Clocks clocks);

  void accept(std::unique_ptr<net::TlsStream> stream);
  kms::LinkId keep(std::unique_ptr<net::TlsStream> stream, const KmeId& peer);
  void stands(kms::LinkId link, const KmeId& peer);
  void received(kms::LinkId link, const KmeId& peer, ByteView message);
  void ended(kms::LinkId link, const KmeId& peer, const Error& reason);
  void give_up(kms::LinkId link, const Error& reason);
  void redial();
  void dial(Dialer& dialer);
  void dialed(Dialer& dialer, Result<std::unique_ptr<net::TlsStream>> result);
  void failed(Dialer& dialer, const Error& reason);
  void dial_again(Dialer& dialer);
  void lost(const KmeId& peer);
  bool has_connection(const KmeId& peer) const;
  void miss(const KmeId& peer);

  net::Loop& m_loop;
  LogSink& m_log;
  // Apart, so that strangers do not hide what is an error of configuration.
  RefusalLog m_strangers;
  RefusalLog m_certified;
  Events m_events;
  std::vector<KmeId> m_peers;
  std::shared_ptr<const net::TlsContext> m_context;
  std::unique_ptr<net::TlsListener> m_listener;
  Duration m_patience;
  Clocks m_clocks;
  std::map<KmeId, std::unique_ptr<Dialer>> m_dialers;
  std::map<KmeId, std::unique_ptr<Awaited>> m_awaited;  // all other peers
  std::map<kms::LinkId, std::unique_ptr<net::TlsStream>> m_streams;
  std::map<kms::LinkId, KmeId> m_stream_peers;
  std::set<kms::LinkId> m_unanswered;  // dialled, and the peer has said nothing yet: the core knows nothing of them
  crypto::SystemRng m_rng;
  std::uint64_t m_last_link = 0;
};

}  // namespace quipu::kmsd
