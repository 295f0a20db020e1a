// SPDX-License-Identifier: Apache-2.0
#include "protocol/allowed_ips.h"

#include <algorithm>
#include <bit>

#include "protocol/inner_packet.h"

namespace quipu::protocol {
namespace {

unsigned bit_at(const IpAddress& address, int index) {
  const std::uint8_t octet = address.octets[static_cast<std::size_t>(index) / 8];
  return (octet >> (7 - index % 8)) & 1U;
}

// How many leading bits two addresses share, `limit` at most.
int common_bits(const IpAddress& a, const IpAddress& b, int limit) {
  for (int i = 0; i * 8 < limit; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto difference = static_cast<std::uint8_t>(a.octets[at] ^ b.octets[at]);
    if (difference != 0) return std::min(limit, i * 8 + std::countl_zero(difference));
  }
  return limit;
}

}  // namespace

std::unique_ptr<AllowedIps::Node> AllowedIps::Node::copy(const Node* node) {
  if (node == nullptr) return nullptr;
  auto out =
      std::make_unique<Node>(Node{.prefix = node->prefix, .peer = node->peer, .local = node->local, .child = {}});
  for (std::size_t side = 0; side < std::size(out->child); ++side)
    out->child[side] = copy(node->child[side].get());
  return out;
}

AllowedIps::AllowedIps(const AllowedIps& other)
    : m_v4(Node::copy(other.m_v4.get())), m_v6(Node::copy(other.m_v6.get())) {}

AllowedIps::Node& AllowedIps::at(const IpPrefix& prefix) {
  std::unique_ptr<Node>* at = &root(prefix.address.family);
  while (*at) {
    Node& node = **at;
    const int shared = common_bits(node.prefix.address, prefix.address, std::min(node.prefix.length, prefix.length));
    if (shared < node.prefix.length) break;  // the new prefix goes above this node, or beside it below a fork
    if (prefix.length == node.prefix.length) return node;
    at = &node.child[bit_at(prefix.address, node.prefix.length)];
  }
  auto added = std::make_unique<Node>(Node{.prefix = prefix, .peer = {}, .local = false, .child = {}});
  Node& out = *added;
  if (!*at) {
    *at = std::move(added);
    return out;
  }
  std::unique_ptr<Node> below = std::move(*at);
  const int shared = common_bits(below->prefix.address, prefix.address, std::min(below->prefix.length, prefix.length));
  if (shared == prefix.length) {
    added->child[bit_at(below->prefix.address, shared)] = std::move(below);
    *at = std::move(added);
    return out;
  }
  const IpPrefix common = IpPrefix{prefix.address, shared}.masked();
  auto fork = std::make_unique<Node>(Node{.prefix = common, .peer = {}, .local = false, .child = {}});
  const unsigned side = bit_at(prefix.address, shared);
  fork->child[side] = std::move(added);
  fork->child[1 - side] = std::move(below);
  *at = std::move(fork);
  return out;
}

Outcome<void> AllowedIps::insert(const IpPrefix& prefix, PeerId peer) {
  Node& node = at(prefix.masked());
  if (node.peer && *node.peer != peer) return std::unexpected(Errc::duplicate);
  node.peer = peer;
  return {};
}

void AllowedIps::set_local(std::span<const IpPrefix> networks) {
  prune([](Node& node) { node.local = false; });
  for (const IpPrefix& network : networks)
    at(network.masked()).local = true;
}

void AllowedIps::remove(PeerId peer) {
  prune([peer](Node& node) {
    if (node.peer == peer) node.peer.reset();
  });
}

void AllowedIps::prune(const std::function<void(Node&)>& forget) {
  prune(m_v4, forget);
  prune(m_v6, forget);
}

void AllowedIps::prune(std::unique_ptr<Node>& node, const std::function<void(Node&)>& forget) {
  if (!node) return;
  prune(node->child[0], forget);
  prune(node->child[1], forget);
  forget(*node);
  if (!node->is_fork()) return;
  // A fork with one branch or none is no fork.
  if (!node->child[0])
    node = std::move(node->child[1]);
  else if (!node->child[1])
    node = std::move(node->child[0]);
}

std::optional<PeerId> AllowedIps::find(const IpAddress& address) const {
  const Node* node = (address.family == IpFamily::v4 ? m_v4 : m_v6).get();
  std::optional<PeerId> best;
  while (node != nullptr) {
    const int length = node->prefix.length;
    if (common_bits(node->prefix.address, address, length) < length) break;
    if (node->local)
      best.reset();
    else if (node->peer)
      best = node->peer;
    if (length == address.bits()) break;
    node = node->child[bit_at(address, length)].get();
  }
  return best;
}

Outcome<void> AllowedIps::check_source(ByteView packet, PeerId peer) const {
  const auto inner = inner_addresses(packet);
  if (!inner) return std::unexpected(Errc::malformed);
  if (find(inner->source) != peer) return std::unexpected(Errc::not_permitted);
  return {};
}

}  // namespace quipu::protocol
