// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "protocol/allowed_ips.h"
#include "protocol/answer_keeper.h"
#include "protocol/attempt.h"
#include "protocol/control_frame.h"
#include "protocol/cookie.h"
#include "protocol/device.h"
#include "protocol/epochs.h"
#include "protocol/key_supply.h"
#include "protocol/packet_queue.h"
#include "protocol/path_mtu.h"
#include "protocol/policy_terms.h"
#include "protocol/rate.h"

namespace quipu::protocol {

// Everything between us and one peer. Composes the parts, each of which has one job: Attempt (our message 1),
// AnswerKeeper (the peer's), Epochs (keypair slots), KeySupply (QKD keys outside of a handshake). The rules that join
// them are in peer_initiate.cpp, peer_respond.cpp, peer_keys.cpp, peer_session.cpp, peer_path.cpp
// and peer_lanes.cpp. docs/protocol.md,
// "State machine".
class PeerMachine {
 public:
  // As in DeviceConfig.
  struct Carriage {
    std::size_t mtu = 0;
    std::uint8_t lanes = 1;
  };

  PeerMachine(PeerConfig config, const crypto::X25519PublicKey& own, const Carriage& carriage);

  const PeerConfig& config() const { return m_config; }

  const std::optional<Endpoint>& endpoint() const { return m_endpoint; }

  // Under load: whether one more handshake message from its endpoint is opened.
  bool may_open(TimePoint now) { return m_openings.take(now); }

  // When the endpoint that it was followed to lies inside a protected prefix now.
  void leave_protected_endpoint(const AllowedIps& allowed);

  const PreSharedKey& psk() const { return m_config.psk; }

  // The largest packet that gets through the path to it, in octets, as far as is known.
  std::size_t packet_limit() const { return m_path.limit(); }

  // --- data path: no action, no allocation but for a packet that has to wait ---
  Outcome<Sealed> seal(const InnerPacket& packet, MutableBytes out, TimePoint now);
  Outcome<Opened> open(SessionIndex index, MutableBytes datagram, const Endpoint& from, Shared& shared,
                       const AllowedIps& allowed, TimePoint now);

  void discard(std::size_t size, DropReason reason);

  void count_drop(DropReason reason) { ++m_statistics.drops[static_cast<std::size_t>(reason)]; }

  void lane_was_used(const SideLane::Used& used, const AllowedIps& allowed, TimePoint now);

  // --- handshake datagrams ---
  bool holds(const MessageDigest& digest) const { return m_answer.holds(digest); }

  void repeat_answer(const Endpoint& from, const Context& context);
  void handle_initiation(ReceivedInitiation initiation, const MessageDigest& digest, const Endpoint& from,
                         const Context& context);
  void handle_response(ByteView message, const Context& context);
  void handle_reject(ByteView message, const Context& context);
  void handle_cookie_reply(ByteView message, TimePoint now);

  // --- answers ---
  void key_fetched(KeyRequestId id, const KeyRequest& request, const KeyId& key_id, Secret<32> key,
                   const Context& context);
  void key_failed(KeyRequestId id, KeyFailure failure, const Context& context);
  void endpoint_resolved(const Endpoint& endpoint);

  // --- the operator ---
  Result<void> rekey_now(TimePoint now);
  void permit_stamp_jump();
  void key_stock(std::uint8_t slot, std::optional<std::uint32_t> keys);
  // Ends sessions, attempt and answer; burns keys.
  void reset(const Context& context);
  // A change that leaves the session in place.
  void reconfigure(PeerConfig config);

  void advance(const Context& context);
  std::optional<TimePoint> next_deadline(TimePoint now) const;
  PeerStatus status(TimePoint now) const;

 private:
  enum class KeysGo : std::uint8_t { burn, keep };

  // peer_machine.cpp
  void report(const Context& context, LogLevel level, std::string_view event, std::string_view message,
              std::vector<LogField> fields = {}) const;
  void apply_intervals();
  void ask_rekey(TimePoint now);
  void report_mismatch(const Context& context) const;
  OwnTerms own_terms() const;
  void set_qkd_state(QkdState state, std::string_view why, const Context& context);
  QkdState qkd_state_of(const Epoch& epoch) const;
  void no_epoch_left(std::string_view why, const Context& context);
  std::optional<TimePoint> stretch_ends() const;
  void forget_stretch(const Context& context);
  bool is_silent(TimePoint now) const;
  void note_kms_latency(Duration latency);
  void raise_alarm(const Context& context);
  void kms_failed(Lack lack, const Context& context);
  void keys_unknown(Lack lack, const Context& context);
  void lack_is_over(const Context& context);
  void block(std::string_view why, const Context& context);
  bool session_up(TimePoint now) const;
  Duration interval() const;  // effective N
  Duration max_key_age() const;
  Duration previous_grace() const;
  Duration dead_after() const;
  std::optional<std::uint32_t> key_runway() const;
  TimePoint next_dies(TimePoint made, TimePoint now) const;

  // peer_initiate.cpp
  std::optional<TimePoint> attempt_due() const;
  std::optional<TimePoint> attempt_reason() const;
  void begin_attempt(const Context& context);
  void progress_attempt(const Context& context);
  bool gather_keys(const Context& context);
  bool make_initiation(const Context& context);
  void transmit_initiation(const Context& context);
  void attempt_timed_out(const Context& context);
  void end_attempt(KeysGo keys, const Context& context);
  void forget_decision(TimePoint now);
  void back_off(TimePoint now);
  void retry_at_once_or_back_off(TimePoint now);
  void abandon_attempt(const Context& context);
  void tell_reject(RejectReason reason, const Context& context);
  void obey_reject(const Reject& reject, const Context& context);
  void keys_were_unknown(const Context& context);
  void policies_differ(const Reject& reject, const Context& context);
  void stamp_was_stale(const Reject& reject, const Context& context);
  void install(SessionSecrets secrets, AcceptedKeys accepted, const Context& context);
  bool accepted_suffices(AcceptedKeys accepted) const;

  // peer_respond.cpp
  bool crossing_ignores(TimePoint now) const;
  void accept_initiation(const ReceivedInitiation& initiation, const MessageDigest& digest, const Endpoint& from,
                         const Context& context);
  void reject(const ReceivedInitiation& initiation, RejectReason reason, const Context& context);
  void reject_unkept(const ReceivedInitiation& initiation, RejectReason reason, const Endpoint& from,
                     const Context& context);
  void ask_for_named_keys(ReceivedInitiation initiation, const Context& context);
  void progress_answer(const Context& context);
  void respond(AnswerKeeper::Asking asking, std::vector<HeldKey> held, const Context& context);
  void shelve_asking(const Context& context);
  void send_handshake(Bytes message, const Endpoint& to, const Context& context);

  // peer_keys.cpp
  enum class KeysOf : std::uint8_t { us, peer };

  QkdKey qkd_key(HeldKey held, bool we_are_master) const;
  void burn(const KeyReference& reference, const Context& context);
  void burn(const KeyReference& reference, const KeySource& source, const Context& context);
  void burn_expired(const Context& context);
  void put_named(HeldKey key, Duration kept, const Context& context);
  void put_own(HeldKey key, const Context& context);
  Duration late_key_kept() const;
  void ask(KeyFetch& fetch, std::uint8_t slot, const std::optional<KeyId>& key_id, const Context& context);
  void progress(KeyFetch& fetch, const Context& context);
  void shelve(KeyFetch& fetch, KeysOf whose, const Context& context);
  void shelve_ahead(const Context& context);
  void shelve_named_ahead(const Context& context);
  KeyFetch* round_of(KeyRequestId id);
  bool is_right(const KeyFetch::Late& asked, const KeyId& key_id, const Secret<32>& key, const Context& context);
  bool note_fresh(std::uint8_t slot, const KeyId& key_id, const Context& context);
  void late_key(const KeyFetch::Late& late, const KeyId& key_id, Secret<32> key, const Context& context);
  std::size_t keys_held() const;
  bool fetch_ahead_wanted(TimePoint now) const;
  void progress_fetch_ahead(const Context& context);
  bool announcement_wanted(TimePoint now) const;
  void announce_next_keys(const Context& context);
  void fetch_named_ahead(const NextKeys& frame, const Context& context);
  void note_peer_runway(std::uint32_t seconds);
  void read_control_inbox(const Context& context);
  bool usable_reference(const KeyReference& reference) const;

  // peer_session.cpp
  bool opened_under(Epoch& epoch, bool newest, Shared& shared, TimePoint now);
  void follow(const Endpoint& from, const AllowedIps& allowed);
  std::unexpected<Errc> queue(const InnerPacket& packet, TimePoint now);
  void note_sent(TimePoint now);
  void note_sent_data(Epoch& epoch, std::size_t size, TimePoint now);
  Outcome<Opened> deliver(const OpenedFrame& frame, const AllowedIps& allowed);
  bool first_packet_under_next(const Epoch& epoch, Shared& shared, TimePoint now);
  void current_confirmed(TimePoint now);
  void confirmation_answered(TimePoint now);
  void handle_control_frame(ByteView payload, SessionIndex under, TimePoint now);
  void session_ended(bool in_use, const Context& context);
  void session_began(const Epoch& epoch, const Context& context);
  bool send_frame(FrameHeader header, ByteView payload, const Context& context);
  bool transmit(FrameHeader header, ByteView payload, const Context& context);
  void flush_queue(const Context& context);
  void drop_queue(DropReason reason);
  void keep_alive(const Context& context);
  std::optional<TimePoint> keepalive_due() const;

  // peer_path.cpp
  std::optional<TimePoint> path_due(TimePoint now) const;
  void progress_path(const Context& context);
  void answer_probe(const MtuProbe& probe, const Context& context);

  // peer_lanes.cpp
  void read_tallies(TimePoint now);
  void lanes_opened(TimePoint at);
  void lanes_sent(TimePoint at);
  void look_elsewhere();
  PeerView view() const;
  void progress_lanes(const Context& context);
  PeerStatistics statistics_of_all_lanes() const;
  std::size_t lanes_in_use() const;

  PeerConfig m_config;
  bool m_regular;  // we are the regular initiator
  Bytes m_canonical_policy;
  Bytes m_wire_policy;
  std::optional<Endpoint> m_endpoint;
  CookieGenerator m_cookies;

  std::optional<Attempt> m_attempt;
  AnswerKeeper m_answer;
  Epochs m_epochs;
  KeySupply m_supply;
  UsedKeys m_used;
  std::optional<KeyFetch> m_ahead;  // fresh keys for our next attempt
  TimePoint m_ahead_not_before{};
  std::optional<KeyFetch> m_named_ahead;  // keys that the peer announced
  PacketQueue m_queue;
  StampGuard m_peer_stamps;
  PathMtu m_path;
  std::optional<Endpoint> m_path_to;  // where it leads; none: to be probed anew

  // What the lanes after the first have done, and what they know. None of it without such lanes.
  std::shared_ptr<LaneTallies> m_tallies;
  std::optional<TimePoint> m_tallies_due;
  PeerView m_told;

  // When any of them last did what LaneTally has.
  struct LanesLast {
    TimePoint sent;
    TimePoint opened;
    TimePoint received;
  };

  LanesLast m_lanes_last{};
  std::optional<Endpoint> m_elsewhere;  // where they last saw the peer, since the first lane did

  // Retries of our attempts.
  TimePoint m_not_before{};
  Duration m_backoff{kFirstBackoff};
  int m_immediate_retries = 0;  // since the last epoch
  TimePoint m_next_resolve{};
  bool m_attempt_failed = false;              // nothing opened since an attempt of ours timed out
  bool m_unanswered = false;                  // the last attempt timed out though the peer was heard
  std::optional<RejectReason> m_last_reject;  // since the last epoch: told once, then only at debug level
  std::string m_mismatch;  // how the peer is configured differently, as either end's last message 1 told

  // Why an attempt is wanted.
  std::optional<TimePoint> m_traffic_waits;
  std::optional<TimePoint> m_rekey_asked;
  std::optional<TimePoint> m_without_session;
  Duration m_rekey_jitter{};

  struct Decision {
    TimePoint at;
    bool warm = true;  // no KMS had to be asked since
  };

  // When the first attempt began for what is wanted since, whatever it came to; but for what no attempt could change: a
  // peer that left messages 1 without a sign of life, or is configured differently.
  std::optional<Decision> m_decision;

  std::optional<TimePoint> m_crossing_head;  // first transmission of our last attempt

  // Limits on what the peer may make us do.
  TokenBucket m_initiation_rate;
  TokenBucket m_announcement_rate;
  TokenBucket m_pace;  // all messages 1 of our own count, so that of those on request the peer refuses none as too many
  TokenBucket m_openings{kSenderInterval, kSenderBurst};
  TokenBucket m_stale_rejects{kStaleRejectInterval, 1};
  TokenBucket m_probe_answers{kPathAnswerInterval, kPathAnswerBurst};
  TokenBucket m_path_begins{kPathBeginInterval, kPathBeginBurst};
  TokenBucket m_jump_reports{std::chrono::seconds(10), 1};
  TimePoint m_requests_until{};  // requests of a shelved answer are out until then

  // Liveness of the session.
  std::optional<TimePoint> m_last_received;
  std::optional<TimePoint> m_last_kms_failure;
  std::optional<TimePoint> m_last_word;  // a message of a handshake that is proven to be the peer's
  TimePoint m_last_sent{};
  std::optional<TimePoint> m_unanswered_since;  // data sent, nothing opened since
  std::optional<TimePoint> m_reply_since;       // data opened, nothing sent since

  struct Confirmation {
    TimePoint first_sent;
    TimePoint next;
    Duration wait{kFirstConfirmation};
  };

  std::optional<Confirmation> m_confirmation;
  std::optional<TimePoint> m_wish_due;
  std::array<Duration, 8> m_round_trips{};
  std::size_t m_round_trip_count = 0;
  Duration m_rtt{};
  Duration m_kms_p99{};

  // What open() leaves for advance().
  ControlInbox m_control_inbox;
  bool m_session_began = false;
  bool m_abandon = false;  // a packet opened under the keypair of the peer's own handshake

  bool m_renamed = false;             // configured by another name: where that leads is believed whatever we know
  bool m_unannounced = false;         // the peer was not told of all of our fresh keys
  bool m_reply_now = false;           // the initiator waits for a first packet under its new keys
  bool m_own_jump_permitted = false;  // the operator's word, good for one jump, if any is needed

  QkdState m_qkd = QkdState::off;
  Lack m_lack = Lack::keys_here;  // the last one
  int m_unknown_keys = 0;         // handshakes since the last epoch that one end's KMS did not know the keys of
  std::uint64_t m_order = 0;      // a sequence for crossing rule (b)
  std::uint64_t m_epoch_number = 0;
  std::array<std::optional<std::uint32_t>, kMaxSources> m_stock{};
  std::optional<std::uint32_t> m_peer_runway;
  PeerStatistics m_statistics;
};

}  // namespace quipu::protocol
