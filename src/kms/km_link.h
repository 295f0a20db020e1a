// SPDX-License-Identifier: Apache-2.0
// The connection with one peer KME: which one is current, what was asked on it and not answered yet, and whether the
// peer is alive. Knows nothing of what messages mean.
#pragma once

#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "kms/link_message.h"
#include "kms/site.h"

namespace quipu::kms {

inline constexpr Duration kAnswerTimeout = std::chrono::seconds(10);
inline constexpr Duration kContactTimeout = std::chrono::seconds(30);
inline constexpr Duration kPingInterval = std::chrono::seconds(5);

// What a request was about, to know what its answer means.
struct OfferSent {
  std::vector<BlockId> blocks;
};

struct VoidRequestSent {
  std::vector<BlockId> blocks;
};

struct LeaseSent {
  LeaseId lease;
};

struct OpenSent {
  LeaseId lease;
};

struct CloseSent {
  LeaseId lease;
};

struct PingSent {};

struct RelayHopSent {
  BlockId relay;
};

struct KeyTransferSent {
  wire::TransferId transfer;
};

using RequestSent =
    std::variant<OfferSent, VoidRequestSent, LeaseSent, OpenSent, CloseSent, PingSent, RelayHopSent, KeyTransferSent>;

class KmLink {
 public:
  KmLink(Site& site, KmeId peer) : m_site(site), m_peer(std::move(peer)) {}

  // Replaces the current connection, if there is one, by a newer one.
  void connect(LinkId link);
  // The connection has gone. What was asked on it stays unanswered.
  void drop();

  bool connected() const { return m_link.has_value(); }

  bool is_current(LinkId link) const { return m_link == link; }

  // In contact: inventories agree, so requests may be made and answered.
  bool up() const { return m_link && m_up; }

  void set_up();

  void send(const wire::Message& message);

  // Numbers and sends a request: `message` is any request, its number is set here.
  template <class Request>
  void request(Request message, RequestSent what) {
    message.number = next_number();
    remember(message.number, std::move(what));
    send(std::move(message));
  }

  // What the answer of that number is for; empty when nothing of that number was asked.
  std::optional<RequestSent> take(wire::RequestNumber number);

  // Says goodbye, then closes.
  void close(wire::GoodbyeReason reason, std::string why);
  // Closes without a word: the peer has said goodbye.
  void hang_up(std::string why);

  // Asks for an answer behind all that was sent before.
  void ping() { request(wire::Ping{}, PingSent{}); }

  // A Ping has not been answered yet.
  bool is_pinging() const;

  void note_received() { m_received_at = m_site.now; }

  void handle_timeout();
  std::optional<TimePoint> next_deadline() const;

  // In this run: requests of the peer that were refused, and connections that it broke a rule on.
  std::uint64_t refused_requests() const { return m_refused_requests; }

  std::uint64_t violations() const { return m_violations; }

  const std::string& reason_down() const { return m_reason; }

  void set_reason_down(std::string reason) { m_reason = std::move(reason); }

 private:
  struct Unanswered {
    RequestSent what;
    TimePoint sent;
  };

  wire::RequestNumber next_number() { return wire::RequestNumber(++m_last_number); }

  void remember(wire::RequestNumber number, RequestSent what);

  Site& m_site;
  KmeId m_peer;
  std::optional<LinkId> m_link;
  bool m_up = false;
  TimePoint m_connected_at;
  TimePoint m_received_at;
  std::uint32_t m_last_number = 0;
  std::map<wire::RequestNumber, Unanswered> m_unanswered;  // in order of sending
  std::string m_reason;
  std::uint64_t m_refused_requests = 0;
  std::uint64_t m_violations = 0;
};

}  // namespace quipu::kms
