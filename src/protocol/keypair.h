// SPDX-License-Identifier: Apache-2.0
// The keys of one epoch: seals and opens data packets (type 4). docs/protocol.md, "Data packets".
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>

#include "crypto/aead.h"
#include "protocol/handshake.h"
#include "protocol/messages.h"
#include "protocol/replay_filter.h"

namespace quipu::protocol {

enum class FrameKind : std::uint8_t { ip = 1, ethernet = 2, control = 3, keepalive = 4, padding = 5 };

// What the first two octets of a frame say of its payload.
struct FrameHeader {
  FrameKind kind = FrameKind::padding;
  // IP only: the checksum of the TCP or UDP packet is the sum of its pseudo header, to be completed by whoever needs
  // it.
  bool checksum_partial = false;
};

// Limits of one key, that is of one direction of one lane. NIST SP 800-38D would allow more; these keep an attacker's
// advantage below 2^-60 for packets of 1500 octets.
struct KeyLimits {
  std::uint64_t soft_packets = std::uint64_t{1} << 26;  // from here on a rekey is asked for
  std::uint64_t soft_octets = std::uint64_t{1} << 36;
  std::uint64_t hard_packets = std::uint64_t{1} << 28;  // from here on nothing is sealed or opened
  std::uint64_t hard_octets = std::uint64_t{1} << 38;
  std::uint64_t failed_opens = std::uint64_t{1} << 20;  // from here on an alarm is due
};

struct OpenedFrame {
  FrameHeader header;
  MutableBytes payload;  // inside the datagram's own buffer
  bool newest = false;   // no packet of this lane with a higher counter was opened before: the endpoint may follow
};

// Both directions of every lane that both ends have. The key of a lane and direction is derived when it is first used;
// two lanes, and the two directions of one lane, share no state that changes on the way of a packet, so that each may
// have its own thread. seal and open allocate nothing but for that first use.
class Keypair {
 public:
  explicit Keypair(SessionSecrets secrets, const KeyLimits& limits = {});
  Keypair(const Keypair&) = delete;
  Keypair& operator=(const Keypair&) = delete;
  ~Keypair();

  SessionIndex local() const { return m_secrets.local; }

  SessionIndex remote() const { return m_secrets.remote; }

  // That both ends have, from lane 0 up.
  std::uint8_t lanes() const { return m_secrets.lanes; }

  // Writes a datagram of payload.size() + kDataOverhead octets to the start of `out` and returns its size. The payload
  // may already stand where it goes, kDataHeaderSize + kFrameHeaderSize octets into `out`, and is then not copied;
  // otherwise it does not overlap. Errc::out_of_range: `out` too small, no such lane. Errc::limit_reached: the key is
  // used up.
  Outcome<std::size_t> seal(Lane lane, FrameHeader header, ByteView payload, MutableBytes out);

  // Opens in place. Errc::malformed: not a data packet of this version; not_found: for another keypair, another lane
  // than this, or one that was not agreed; already_used: replayed, or older than the window; limit_reached;
  // authentication: counted. After these the datagram holds no plaintext, and window and limits are as before.
  // Errc::unsupported: genuine, and counted as received, but of a kind or with flags that this version does not know.
  Outcome<OpenedFrame> open(Lane lane, MutableBytes datagram);

  // From any thread. Something opened on some lane: the peer holds these keys, too.
  bool has_opened() const { return m_opened.load(std::memory_order_relaxed); }

  // From any thread. A soft limit is reached in either direction of any lane.
  bool wants_rekey() const { return m_wants_rekey.load(std::memory_order_relaxed); }

  // From any thread. Some lane has reached KeyLimits::failed_opens.
  bool under_attack() const { return m_under_attack.load(std::memory_order_relaxed); }

 private:
  struct Sender;
  struct Receiver;

  Sender& sender(Lane lane);
  Receiver& receiver(Lane lane);

  SessionSecrets m_secrets;
  KeyLimits m_limits;
  static void raise(std::atomic<bool>& flag);

  std::atomic<bool> m_opened = false;
  std::atomic<bool> m_wants_rekey = false;
  std::atomic<bool> m_under_attack = false;
  std::array<std::unique_ptr<Sender>, kMaxLanes> m_senders;
  std::array<std::unique_ptr<Receiver>, kMaxLanes> m_receivers;
};

}  // namespace quipu::protocol
