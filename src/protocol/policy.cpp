// SPDX-License-Identifier: Apache-2.0
#include "protocol/policy.h"

#include "protocol/policy_terms.h"

namespace quipu::protocol {
namespace {

constexpr std::size_t kMaxSaeIdSize = 255;

Result<void> check_source(const KeySource& source) {
  for (const SaeId* id : {&source.own, &source.peer})
    if (id->value().empty() || id->value().size() > kMaxSaeIdSize)
      return fail(Errc::out_of_range, "sources: a SAE id must have 1 to 255 octets");
  if (source.own == source.peer)
    return fail(Errc::out_of_range, "sources: our SAE id and the peer's are both '" + source.own.value() + "'");
  return {};
}

}  // namespace

std::string_view to_string(QkdUse use) {
  switch (use) {
    case QkdUse::off: return "off";
    case QkdUse::preferred: return "preferred";
    case QkdUse::required: return "required";
  }
  return "unknown";
}

std::string_view to_string(QkdState state) {
  switch (state) {
    case QkdState::off: return "off";
    case QkdState::ok: return "ok";
    case QkdState::reduced: return "reduced";
    case QkdState::stretch: return "stretch";
    case QkdState::block: return "block";
  }
  return "unknown";
}

std::string_view to_string(Lack lack) {
  switch (lack) {
    case Lack::keys_here: return "the KMS here gives no key";
    case Lack::keys_there: return "the peer gets no key from its KMS";
    case Lack::unknown_here: return "the KMS here does not know the keys that the peer's KMS gives";
    case Lack::unknown_there: return "the peer's KMS does not know the keys that the KMS here gives";
  }
  return "unknown";
}

std::size_t Policy::keys_needed() const {
  if (qkd != QkdUse::required) return 0;
  return min_sources == 0 ? sources.size() : min_sources;
}

Result<void> Policy::check() const {
  if (qkd == QkdUse::off && !sources.empty())
    return fail(Errc::out_of_range, "qkd = \"off\" and sources are given: remove one of them");
  if (qkd != QkdUse::off && sources.empty())
    return fail(Errc::out_of_range, "qkd = \"" + std::string(to_string(qkd)) +
                                        "\" needs at least one source: add sources, or set qkd = \"off\"");
  if (sources.size() > kMaxSources)
    return fail(Errc::out_of_range, "sources: at most " + std::to_string(kMaxSources) + " per tunnel");
  if (min_sources > sources.size())
    return fail(Errc::out_of_range, "min_sources = " + std::to_string(min_sources) + " is more than the " +
                                        std::to_string(sources.size()) + " sources that are configured");
  if (min_sources != 0 && qkd != QkdUse::required)
    return fail(Errc::out_of_range, "min_sources has a meaning only with qkd = \"required\"");
  for (const KeySource& source : sources)
    QUIPU_TRY(check_source(source));
  return {};
}

Bytes Policy::canonical(const crypto::X25519PublicKey& own, const crypto::X25519PublicKey& peer) const {
  return encode_terms(terms_of(*this, own < peer));
}

Bytes policy_on_wire(ByteView canonical) {
  if (canonical.size() <= kMaxPolicyOnWire - 1) return Bytes(canonical.begin(), canonical.end());
  const auto hash = crypto::blake2b_256({canonical});
  return Bytes(hash.begin(), hash.end());
}

std::string protection_text(std::size_t qkd_keys, bool simulated) {
  std::string text = "x25519+mlkem768+psk";
  if (qkd_keys != 0) text += "+qkd(" + std::to_string(qkd_keys) + ")";
  if (qkd_keys != 0 && simulated) text += "-simulated";
  return text;
}

KeyDecision decide(const Policy& policy, std::size_t keys_at_hand, bool epoch_up) {
  if (keys_at_hand >= policy.keys_needed()) {
    const bool all = keys_at_hand == policy.sources.size();
    return all ? KeyDecision::proceed : KeyDecision::proceed_reduced;
  }
  return epoch_up ? KeyDecision::stretch : KeyDecision::block;
}

}  // namespace quipu::protocol
