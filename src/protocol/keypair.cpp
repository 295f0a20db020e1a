// SPDX-License-Identifier: Apache-2.0
#include "protocol/keypair.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "crypto/hash.h"
#include "protocol/labels.h"

namespace quipu::protocol {
namespace {

constexpr std::uint8_t kCipherAes256Gcm = 1;

enum class Direction : std::uint8_t { from_initiator = 1, from_responder = 2 };

// One direction of one lane. The nonce of a packet is the key's own IV xor the counter, so that two keys never share a
// sequence of nonces either.
class LaneKey {
 public:
  LaneKey(const SessionSecrets& secrets, Direction direction, Lane lane) : LaneKey(derive(secrets, direction, lane)) {}

  crypto::Aead& aead() { return m_aead; }

  crypto::AeadNonce nonce(Counter counter) const {
    crypto::AeadNonce out{};
    std::ranges::copy(m_iv.view(), out.begin());
    constexpr bool kSwap = std::endian::native == std::endian::little;
    const std::uint64_t big_endian = kSwap ? std::byteswap(counter.value()) : counter.value();
    const MutableBytes low = MutableBytes(out).last(sizeof big_endian);
    std::uint64_t masked = 0;
    std::memcpy(&masked, low.data(), low.size());
    masked ^= big_endian;
    std::memcpy(low.data(), &masked, low.size());
    return out;
  }

 private:
  using KeyAndIv = Secret<crypto::kAeadKeySize + crypto::kAeadNonceSize>;

  explicit LaneKey(const KeyAndIv& key_and_iv)
      : m_aead(key_and_iv.view().first<crypto::kAeadKeySize>()),
        m_iv(key_and_iv.view().last<crypto::kAeadNonceSize>()) {}

  static KeyAndIv derive(const SessionSecrets& secrets, Direction direction, Lane lane) {
    const std::array<std::uint8_t, 3> selector{static_cast<std::uint8_t>(direction), lane.value(), kCipherAes256Gcm};
    KeyAndIv out;
    crypto::hkdf_expand(secrets.chaining_key.view(), {as_bytes(labels::kData), selector, secrets.transcript},
                        out.mutable_view());
    return out;
  }

  crypto::Aead m_aead;
  Secret<crypto::kAeadNonceSize> m_iv;
};

// What one key has carried.
struct Usage {
  std::uint64_t packets = 0;
  std::uint64_t octets = 0;

  bool soft(const KeyLimits& limits) const { return packets >= limits.soft_packets || octets >= limits.soft_octets; }

  bool permits(const KeyLimits& limits, std::size_t size) const {
    return packets < limits.hard_packets && octets <= limits.hard_octets && size <= limits.hard_octets - octets;
  }

  void add(std::size_t size) {
    ++packets;
    octets += size;
  }
};

constexpr std::uint8_t kChecksumPartial = 1;

void write_frame_header(const FrameHeader& header, MutableBytes out) {
  out[0] = static_cast<std::uint8_t>(header.kind);
  out[1] = header.checksum_partial ? kChecksumPartial : 0;
}

// Nothing for what this version does not know.
std::optional<FrameHeader> read_frame_header(ByteView frame) {
  constexpr auto kFirst = static_cast<std::uint8_t>(FrameKind::ip);
  constexpr auto kLast = static_cast<std::uint8_t>(FrameKind::padding);
  if (frame[0] < kFirst || frame[0] > kLast) return std::nullopt;
  const auto kind = static_cast<FrameKind>(frame[0]);
  if (frame[1] > (kind == FrameKind::ip ? kChecksumPartial : 0)) return std::nullopt;
  return FrameHeader{kind, frame[1] == kChecksumPartial};
}

}  // namespace

struct Keypair::Sender {
  LaneKey key;
  Usage usage{};  // the number of packets is the next counter
};

struct Keypair::Receiver {
  LaneKey key;
  ReplayFilter replay{};
  Usage usage{};
  std::uint64_t failed_opens = 0;
};

Keypair::Keypair(SessionSecrets secrets, const KeyLimits& limits) : m_secrets(std::move(secrets)), m_limits(limits) {}

Keypair::~Keypair() = default;

// Once: all lanes read what lies beside it with each packet.
void Keypair::raise(std::atomic<bool>& flag) {
  if (!flag.load(std::memory_order_relaxed)) flag.store(true, std::memory_order_relaxed);
}

Keypair::Sender& Keypair::sender(Lane lane) {
  auto& slot = m_senders[lane.value()];
  if (slot == nullptr) {
    const Direction direction = m_secrets.initiator ? Direction::from_initiator : Direction::from_responder;
    slot = std::make_unique<Sender>(LaneKey(m_secrets, direction, lane));
  }
  return *slot;
}

Keypair::Receiver& Keypair::receiver(Lane lane) {
  auto& slot = m_receivers[lane.value()];
  if (slot == nullptr) {
    const Direction direction = m_secrets.initiator ? Direction::from_responder : Direction::from_initiator;
    slot = std::make_unique<Receiver>(LaneKey(m_secrets, direction, lane));
  }
  return *slot;
}

Outcome<std::size_t> Keypair::seal(Lane lane, FrameHeader header, ByteView payload, MutableBytes out) {
  if (lane.value() >= m_secrets.lanes || out.size() < kDataOverhead || payload.size() > out.size() - kDataOverhead)
    return std::unexpected(Errc::out_of_range);
  Sender& from = sender(lane);
  const std::size_t frame_size = kFrameHeaderSize + payload.size();
  if (!from.usage.permits(m_limits, frame_size)) return std::unexpected(Errc::limit_reached);
  const Counter counter(from.usage.packets);
  from.usage.add(frame_size);  // before sealing: a counter is never tried twice
  if (from.usage.soft(m_limits)) raise(m_wants_rekey);

  const MutableBytes data_header = out.first(kDataHeaderSize);
  const MutableBytes frame = out.subspan(kDataHeaderSize, frame_size);
  if (!payload.empty() && payload.data() != frame.data() + kFrameHeaderSize)
    std::memcpy(frame.data() + kFrameHeaderSize, payload.data(), payload.size());
  write_frame_header(header, frame);
  write_data_header(data_header, lane, m_secrets.remote, counter);
  QUIPU_TRY(from.key.aead().seal(from.key.nonce(counter), data_header, frame,
                                 out.subspan(kDataHeaderSize, frame_size + crypto::kAeadTagSize)));
  return kDataHeaderSize + frame_size + crypto::kAeadTagSize;
}

Outcome<OpenedFrame> Keypair::open(Lane lane, MutableBytes datagram) {
  QUIPU_TRY_ASSIGN(const DataFields fields, parse_data(datagram));
  // Before a key is derived: whoever knows the index could have one made for each lane.
  if (fields.receiver != m_secrets.local || fields.lane != lane || lane.value() >= m_secrets.lanes)
    return std::unexpected(Errc::not_found);
  Receiver& to = receiver(lane);
  const MutableBytes sealed = datagram.subspan(kDataHeaderSize);
  const MutableBytes frame = sealed.first(sealed.size() - crypto::kAeadTagSize);
  // An honest sender stops at the limit, so that no counter beyond it can be genuine.
  if (fields.counter.value() >= m_limits.hard_packets || !to.usage.permits(m_limits, frame.size()))
    return std::unexpected(Errc::limit_reached);
  if (!to.replay.check(fields.counter)) return std::unexpected(Errc::already_used);
  if (const auto opened = to.key.aead().open(to.key.nonce(fields.counter), fields.header, sealed, frame); !opened) {
    if (++to.failed_opens >= m_limits.failed_opens) raise(m_under_attack);
    return std::unexpected(opened.error());
  }
  const bool newest = fields.counter.value() >= to.replay.next().value();
  to.replay.commit(fields.counter);
  to.usage.add(frame.size());
  raise(m_opened);
  // Lost packets count for the sender alone: the highest counter tells the receiver how far the sender is.
  if (to.usage.soft(m_limits) || to.replay.next().value() >= m_limits.soft_packets) raise(m_wants_rekey);
  const auto header = read_frame_header(frame);
  if (!header) return std::unexpected(Errc::unsupported);
  return OpenedFrame{*header, frame.subspan(kFrameHeaderSize), newest};
}

}  // namespace quipu::protocol
