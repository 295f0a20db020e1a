// SPDX-License-Identifier: Apache-2.0
// What nobody can do with a secret by accident.
#include "base/secret.h"

#include <fmt/format.h>

#include <ostream>
#include <string>
#include <type_traits>

namespace {

template <class T>
constexpr bool kStaysPut = !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
                           !fmt::is_formattable<T>::value && !std::is_convertible_v<T, std::string> &&
                           !std::is_constructible_v<std::string, T> && !requires(const T& a) { a < a; };
static_assert(kStaysPut<quipu::SecretBytes> && kStaysPut<quipu::Secret<32>>);
static_assert(!kStaysPut<std::string>);

const quipu::SecretBytes kBytes(32);
const quipu::Secret<32> kFixed;

// What is allowed, so that the cases below fail for their own reason.
[[maybe_unused]] std::string allowed(std::ostream& out) {
  out << kBytes.size();
  return fmt::format("{}", kFixed.clone().view().size());
}

#ifdef CASE_STREAM_BYTES  // deleted
void stream_bytes(std::ostream& out) {
  out << kBytes;
}
#endif

#ifdef CASE_STREAM_FIXED  // deleted
void stream_fixed(std::ostream& out) {
  out << kFixed;
}
#endif

#ifdef CASE_FORMAT  // formattable|formatter
std::string format() {
  return fmt::format("{}", kFixed);
}
#endif

#ifdef CASE_COPY  // deleted
quipu::Secret<32> copy() {
  return kFixed;
}
#endif

}  // namespace
