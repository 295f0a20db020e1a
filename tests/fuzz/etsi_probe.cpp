// SPDX-License-Identifier: Apache-2.0
// Whatever two KMEs answer to `quipu kms test`: it comes to an end, and says what it found.
#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "etsi/kme_probe.h"

namespace {

constexpr int kMaxQuestions = 200;

// Answers one after the other: u8 HTTP status, u8 size in octets of 4, body. None left: no answer.
quipu::Result<quipu::etsi::ProbeReply> next_reply(quipu::ByteReader& reader) {
  using namespace quipu;
  const unsigned code = reader.u8();
  const std::size_t size = reader.u8() * std::size_t{4};
  const ByteView body = reader.take(std::min(size, reader.remaining()));
  if (!reader.ok()) return fail(Errc::timeout);
  return etsi::ProbeReply{.http_status = code < 128 ? 200 : 100 + (code - 128) * 4,
                          .content_type = code % 2 == 0 ? "application/json" : "",
                          .body = SecretBytes::copy_of(body),
                          .took = Duration(code)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quipu;
  ByteReader reader({data, size});
  const bool peer = reader.u8() % 2 == 0;
  etsi::KmeProbe probe({.base = "",
                        .peer_base = peer ? std::optional<std::string>("") : std::nullopt,
                        .master = SaeId("a"),
                        .slave = SaeId("b"),
                        .unknown_id = KeyId("unknown")});
  for (int asked = 0; auto question = probe.next(); ++asked) {
    if (asked == kMaxQuestions || (question->kme == etsi::ProbedKme::peer && !peer)) std::abort();
    probe.answered(next_reply(reader));
  }
  if (probe.report().findings.empty() || probe.next()) std::abort();
  if (probe.report().usable && probe.report().keys_used == 0) std::abort();
  return 0;
}
