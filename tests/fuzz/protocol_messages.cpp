// SPDX-License-Identifier: Apache-2.0
// Every parser of the wire on any octets. What a payload decodes to must encode back to the same octets.
#include <algorithm>
#include <cstdlib>

#include "protocol/messages.h"
#include "protocol/payloads.h"
#include "protocol/policy_terms.h"

namespace {

using namespace quipu;
using namespace quipu::protocol;

void must(bool condition) {
  if (!condition) std::abort();
}

void parse(ByteView datagram) {
  const auto type = message_type(datagram);
  must(!parse_initiation(datagram) || type == MessageType::initiation);
  must(!parse_response(datagram) || type == MessageType::response);
  must(!parse_cookie_reply(datagram) || type == MessageType::cookie_reply);
  must(!parse_reject(datagram) || type == MessageType::reject);
  must(!parse_data(datagram) || type == MessageType::data);
  must(!parse_response_header(datagram) || parse_response(datagram));
  must(receiver_index(datagram).has_value() == (type.has_value() && type != MessageType::initiation));
  if (const auto fields = parse_data(datagram)) must(fields->receiver == receiver_index(datagram));
  if (const auto fields = parse_response(datagram)) must(fields->receiver == receiver_index(datagram));
  if (const auto fields = parse_reject(datagram)) must(fields->receiver == receiver_index(datagram));
  must(!check_mac1(datagram, crypto::X25519PublicKey{}) || type.has_value());
}

void decode(ByteView octets) {
  if (const auto payload = decode_initiation_payload(octets)) {
    const auto again = encode_initiation_payload(*payload);
    must(again && std::ranges::equal(*again, octets));
  }
  if (const auto payload = decode_response_payload(octets)) {
    const auto again = encode_response_payload(*payload);
    must(again && std::ranges::equal(*again, octets));
  }
  if (const auto reject = decode_reject(octets)) must(std::ranges::equal(encode_reject(*reject), octets));
}

// What two ends that are not configured alike are told; a line in a log, whatever the peer wrote.
void compare(ByteView octets) {
  const OwnTerms own{
      .terms = {.sources = {{.low = SaeId("sae-a"), .high = SaeId("sae-b")}}}, .tunnel = {}, .is_low = true};
  const auto terms = decode_terms(octets);
  if (!terms) return;
  must(std::ranges::equal(encode_terms(*terms), octets));
  const std::string told = differing_settings(own, *terms);
  must(std::ranges::all_of(told, [](char c) { return c >= ' ' && c <= '~'; }));
}

// The size that the type asks for, so that the fuzzer need not find it: what is missing is filled with zeros.
Bytes resized(ByteView octets, std::size_t size) {
  Bytes out(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(std::min(octets.size(), size)));
  out.resize(size);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  parse(input);
  decode(input);
  compare(input);
  for (const std::size_t n : {kInitiationSize, kResponseSize, kRejectSize, kCookieReplySize})
    parse(resized(input, n));
  for (const std::size_t n : {kInitiationPayloadSize, kResponsePayloadSize, kRejectPayloadSize})
    decode(resized(input, n));
  return 0;
}
