// SPDX-License-Identifier: Apache-2.0
#include "base/errc.h"

#include "base/result.h"

namespace quipu {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::malformed: return "malformed";
    case Errc::out_of_range: return "out_of_range";
    case Errc::too_large: return "too_large";
    case Errc::unsupported: return "unsupported";
    case Errc::duplicate: return "duplicate";
    case Errc::bad_key: return "bad_key";
    case Errc::authentication: return "authentication";
    case Errc::crypto_failure: return "crypto_failure";
    case Errc::limit_reached: return "limit_reached";
    case Errc::not_found: return "not_found";
    case Errc::already_used: return "already_used";
    case Errc::expired: return "expired";
    case Errc::conflict: return "conflict";
    case Errc::unavailable: return "unavailable";
    case Errc::exhausted: return "exhausted";
    case Errc::refused: return "refused";
    case Errc::not_permitted: return "not_permitted";
    case Errc::busy: return "busy";
    case Errc::policy: return "policy";
    case Errc::io: return "io";
    case Errc::timeout: return "timeout";
    case Errc::closed: return "closed";
    case Errc::storage: return "storage";
  }
  return "unknown";
}

Error system_error(std::string_view what, int error_number) {
  // strerrordesc_np is thread-safe and does not depend on the locale.
  const char* reason = strerrordesc_np(error_number);
  std::string text(what);
  text += ": ";
  text += reason != nullptr ? reason : "unknown error";
  return Error{Errc::io, std::move(text)};
}

}  // namespace quipu
