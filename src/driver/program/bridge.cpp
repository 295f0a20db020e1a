// SPDX-License-Identifier: Apache-2.0
#include "driver/program/bridge.h"

#include <sys/random.h>
#include <sys/socket.h>

#include <cstring>

#include "driver/messages.h"

namespace quipu::driver {
namespace {

Bridge& bridge_of(struct quipu_host_context* context) {
  return *reinterpret_cast<Bridge*>(context);
}

int fill_random(struct quipu_host_context* /*context*/, std::uint8_t* out, std::size_t count) {
  while (count > 0) {
    const ssize_t got = ::getrandom(out, count, 0);
    if (got < 0 && errno != EINTR) return QUIPU_E_DEVICE;
    if (got < 0) continue;
    out += got;
    count -= static_cast<std::size_t>(got);
  }
  return QUIPU_OK;
}

void* allocate_secret(struct quipu_host_context* /*context*/, std::size_t size) {
  void* memory = secret_allocate(size);
  std::memset(memory, 0, size);
  return memory;
}

void free_secret(struct quipu_host_context* /*context*/, void* memory, std::size_t size) {
  if (memory != nullptr) secret_free(memory, size);
}

// The role has no taker yet: a driver that declares it is refused before it is opened.
int deliver_entropy(struct quipu_host_context* /*context*/, const std::uint8_t* /*octets*/, std::size_t /*count*/) {
  return QUIPU_E_UNSUPPORTED;
}

std::optional<WallTime> wall_time(std::int64_t nanoseconds) {
  using std::chrono::duration_cast;
  if (nanoseconds <= 0) return std::nullopt;
  return WallTime(duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds(nanoseconds)));
}

}  // namespace

Bridge::Bridge(int socket) : m_socket(socket), m_host{} {
  m_host.abi = QUIPU_DRIVER_ABI;
  m_host.size = sizeof m_host;
  m_host.context = reinterpret_cast<struct quipu_host_context*>(this);
  m_host.log = log_text;
  m_host.deliver_block = deliver_block;
  m_host.deliver_entropy = deliver_entropy;
  m_host.peer_send = peer_send;
  m_host.random = fill_random;
  m_host.secret_alloc = allocate_secret;
  m_host.secret_free = free_secret;
}

void Bridge::begin(const DriverIdentity& identity, std::uint32_t window) {
  m_identity = identity;
  const std::scoped_lock lock(m_credit_mutex);
  m_credit = window;
}

bool Bridge::add_credit(std::uint32_t count) {
  const std::scoped_lock lock(m_credit_mutex);
  m_credit += count;
  return std::exchange(m_refused, false);
}

void Bridge::send(FrameType type, ByteView body, ByteView tail) {
  const std::scoped_lock lock(m_write_mutex);
  const auto header = frame_header(type, body.size() + tail.size());
  m_closed = m_closed || !write_all(header) || !write_all(body) || !write_all(tail);
}

// Key material goes from the driver's memory to the socket without a copy in between.
bool Bridge::write_all(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(m_socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) return false;
    if (sent > 0) bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

void Bridge::log(LogLevel level, std::string_view text) {
  send(FrameType::log, encode(LogMessage{level, std::string(text)}));
}

int Bridge::refuse(std::string_view what) {
  log(LogLevel::error, what);
  return QUIPU_E_ARGUMENT;
}

int Bridge::take_credit() {
  const std::scoped_lock lock(m_credit_mutex);
  m_refused = m_credit == 0;
  if (m_refused) return QUIPU_BUSY;
  --m_credit;
  return QUIPU_OK;
}

int Bridge::deliver_block(struct quipu_host_context* context, const struct quipu_block* block) {
  Bridge& self = bridge_of(context);
  if (block == nullptr || block->size < sizeof *block || block->octets == nullptr)
    return self.refuse("a block without a key, or of another ABI, was refused");
  DriverBlock head;
  Uuid id;
  std::memcpy(id.octets.data(), block->id, id.octets.size());
  head.id = BlockId(id);
  head.simulated = (block->flags & QUIPU_BLOCK_SIMULATED) != 0;
  head.durable_sequence = (block->flags & QUIPU_BLOCK_DURABLE_SEQUENCE) != 0;
  head.created = wall_time(block->created_ns);
  head.sequence = block->sequence;
  if (block->failure_probability >= 0) head.failure_probability = block->failure_probability;
  if (!self.m_identity.key_source || id == Uuid{} || head.simulated != self.m_identity.simulated)
    return self.refuse("a block with a zero id, a wrong simulated flag, or from no key source was refused");
  if (block->octet_count == 0 || block->octet_count > QUIPU_MAX_BLOCK_OCTETS || !(block->failure_probability <= 1))
    return self.refuse("a block of a size or with a failure probability that is not permitted was refused");
  if (const int credit = self.take_credit(); credit != QUIPU_OK) return credit;
  self.send(FrameType::block, encode_block_head(head), {block->octets, block->octet_count});
  return QUIPU_OK;
}

int Bridge::peer_send(struct quipu_host_context* context, const std::uint8_t* octets, std::size_t count) {
  Bridge& self = bridge_of(context);
  if (!self.m_identity.peer_messages) return QUIPU_E_UNSUPPORTED;
  if (octets == nullptr || count == 0 || count > QUIPU_MAX_PEER_MESSAGE_OCTETS)
    return self.refuse("a peer message of a size that is not permitted was refused");
  if (const int credit = self.take_credit(); credit != QUIPU_OK) return credit;
  self.send(FrameType::peer_message_out, {octets, count});
  return QUIPU_OK;
}

void Bridge::log_text(struct quipu_host_context* context, std::uint32_t level, const char* text) {
  if (text == nullptr || level > QUIPU_LOG_DEBUG) return;
  bridge_of(context).log(static_cast<LogLevel>(level), text);
}

}  // namespace quipu::driver
