// SPDX-License-Identifier: Apache-2.0
#include "protocol/policy_terms.h"

#include <algorithm>

namespace quipu::protocol {
namespace {

constexpr std::uint8_t kEncodingVersion = 1;
constexpr std::size_t kMaxSaeIdSize = 255;
constexpr auto kMalformed = std::unexpected(Errc::malformed);

Outcome<PolicyTerms::Source> read_source(ByteReader& reader) {
  PolicyTerms::Source out;
  out.kind = static_cast<KeyKind>(reader.u8());
  const std::uint8_t simulated = reader.u8();
  out.simulated = simulated == 1;
  out.low = SaeId(std::string(as_text(reader.prefixed8())));
  out.high = SaeId(std::string(as_text(reader.prefixed8())));
  const bool known = out.kind == KeyKind::etsi014 || out.kind == KeyKind::etsi004;
  if (!reader.ok() || !known || simulated > 1) return kMalformed;
  return out;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text)
    out += c >= ' ' && c <= '~' && c != '"' ? c : '?';
  return out + "\"";
}

std::string_view mode_word(TunnelMode mode) {
  return mode == TunnelMode::tun ? "tun" : "tap";
}

std::string_view bool_word(bool value) {
  return value ? "true" : "false";
}

class Differences {
 public:
  template <class T>
  void add(const std::string& setting, const T& here, const T& there) {
    if (here == there) return;
    if (!m_text.empty()) m_text += "; ";
    m_text += setting + " is " + text(here) + " here and " + text(there) + " at the peer";
  }

  std::string take() { return std::move(m_text); }

 private:
  static std::string text(std::size_t number) { return std::to_string(number); }

  static std::string text(std::string_view word) { return std::string(word); }

  static std::string text(const SaeId& id) { return in_quotes(id.value()); }

  std::string m_text;
};

// The names that the file here has for the two ids of a source.
void compare_source(std::size_t number, const OwnTerms& own, const PolicyTerms::Source& here,
                    const PolicyTerms::Source& there, Differences& out) {
  const std::string source = "sources[" + std::to_string(number) + "]";
  out.add("the kind of " + source, static_cast<std::size_t>(here.kind), static_cast<std::size_t>(there.kind));
  out.add(source + ".simulated", bool_word(here.simulated), bool_word(there.simulated));
  const std::string ours = "our SAE id (sae_id of the KMS of " + source + " here, its peer_sae_id at the peer)";
  const std::string theirs = "the peer's SAE id (" + source + ".peer_sae_id here, sae_id of its KMS at the peer)";
  out.add(own.is_low ? ours : theirs, here.low, there.low);
  out.add(own.is_low ? theirs : ours, here.high, there.high);
}

// What we have, for an admin to compare with the other site's file.
std::string own_settings(const OwnTerms& own) {
  const PolicyTerms& terms = own.terms;
  std::string out = "tunnel_id " + std::to_string(own.tunnel.value()) + ", qkd " + std::string(to_string(terms.qkd));
  if (terms.qkd == QkdUse::required) out += " (" + std::to_string(terms.keys_needed) + " needed)";
  for (const PolicyTerms::Source& source : terms.sources)
    out += ", source of " + in_quotes((own.is_low ? source.low : source.high).value()) + " with " +
           in_quotes((own.is_low ? source.high : source.low).value()) + (source.simulated ? " simulated" : "");
  return out;
}

std::string candidates(const OwnTerms& own) {
  return "qkd, min_sources or the sources (their order, SAE ids and simulated) differ: compare them at both sites; "
         "here: " +
         own_settings(own);
}

std::string difference_from(const OwnTerms& own, ByteView peer) {
  const auto terms = decode_terms(peer);
  if (!terms) return "the peer's policy cannot be read: do both sites run the same version?";
  return differing_settings(own, *terms);
}

}  // namespace

PolicyTerms terms_of(const Policy& policy, bool own_is_low) {
  PolicyTerms out{.qkd = policy.qkd,
                  .keys_needed = static_cast<std::uint8_t>(policy.keys_needed()),
                  .mode = policy.mode,
                  .cipher = policy.cipher,
                  .sources = {}};
  for (const KeySource& source : policy.sources)
    out.sources.push_back({.kind = source.kind,
                           .simulated = source.simulated,
                           .low = own_is_low ? source.own : source.peer,
                           .high = own_is_low ? source.peer : source.own});
  return out;
}

Bytes encode_terms(const PolicyTerms& terms) {
  Bytes out(8 + terms.sources.size() * (4 + 2 * kMaxSaeIdSize));
  ByteWriter writer(out);
  writer.u8(kEncodingVersion).u8(static_cast<std::uint8_t>(terms.qkd)).u8(terms.keys_needed);
  writer.u8(static_cast<std::uint8_t>(terms.mode)).u8(static_cast<std::uint8_t>(terms.cipher));
  writer.u8(static_cast<std::uint8_t>(terms.sources.size()));
  for (const PolicyTerms::Source& source : terms.sources) {
    writer.u8(static_cast<std::uint8_t>(source.kind)).u8(source.simulated ? 1 : 0);
    writer.prefixed8(as_bytes(source.low.value())).prefixed8(as_bytes(source.high.value()));
  }
  QUIPU_ASSERT(writer.ok());
  out.resize(writer.size());
  return out;
}

Outcome<PolicyTerms> decode_terms(ByteView octets) {
  ByteReader reader(octets);
  const std::uint8_t version = reader.u8();
  PolicyTerms out;
  out.qkd = static_cast<QkdUse>(reader.u8());
  out.keys_needed = reader.u8();
  out.mode = static_cast<TunnelMode>(reader.u8());
  out.cipher = static_cast<Cipher>(reader.u8());
  const std::uint8_t count = reader.u8();
  const bool known = version == kEncodingVersion && out.qkd <= QkdUse::required &&
                     (out.mode == TunnelMode::tun || out.mode == TunnelMode::tap) && out.cipher == Cipher::aes_256_gcm;
  if (!reader.ok() || !known || count > kMaxSources) return kMalformed;
  for (std::uint8_t i = 0; i < count; ++i) {
    QUIPU_TRY_ASSIGN(PolicyTerms::Source source, read_source(reader));
    out.sources.push_back(std::move(source));
  }
  if (!reader.rest().empty()) return kMalformed;
  return out;
}

std::string differing_settings(const OwnTerms& own, const PolicyTerms& peer) {
  const PolicyTerms& here = own.terms;
  Differences out;
  out.add("qkd", to_string(here.qkd), to_string(peer.qkd));
  out.add("the number of sources", here.sources.size(), peer.sources.size());
  // Where all are needed, another number of them is one difference and not two.
  const auto needs_all = [](const PolicyTerms& terms) { return terms.keys_needed == terms.sources.size(); };
  if (here.qkd == peer.qkd && !(needs_all(here) && needs_all(peer)))
    out.add("min_sources", std::size_t{here.keys_needed}, std::size_t{peer.keys_needed});
  out.add("the mode", mode_word(here.mode), mode_word(peer.mode));
  for (std::size_t i = 0; i < std::min(here.sources.size(), peer.sources.size()); ++i)
    compare_source(i + 1, own, here.sources[i], peer.sources[i], out);
  return out.take();
}

// A policy that is too long for message 1 travels as its hash, of which only the peer can say more.
std::string mismatch_told(const OwnTerms& own, const InitiationPayload& payload) {
  Differences tunnel;
  tunnel.add("tunnel_id", std::size_t{own.tunnel.value()}, std::size_t{payload.tunnel.value()});
  std::string out = tunnel.take();
  const Bytes canonical = encode_terms(own.terms);
  if (payload.policy == policy_on_wire(canonical)) return out;
  if (!out.empty()) out += "; ";
  return out + (payload.policy.size() < kMaxPolicyOnWire ? difference_from(own, payload.policy) : candidates(own));
}

// The peer compares two things and tells one: when that is alike, the other is not.
std::string mismatch_told(const OwnTerms& own, const Reject& reject) {
  const Bytes canonical = encode_terms(own.terms);
  if (reject.policy == canonical)
    return "tunnel_id is " + std::to_string(own.tunnel.value()) + " here and another number at the peer";
  return reject.policy.empty() ? candidates(own) : difference_from(own, reject.policy);
}

}  // namespace quipu::protocol
