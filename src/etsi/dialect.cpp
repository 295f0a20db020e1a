// SPDX-License-Identifier: Apache-2.0
#include "etsi/dialect.h"

#include "etsi/error_body.h"

namespace quipu::etsi {
namespace {

bool names_the_method(unsigned http_status) {
  return http_status == 405 || http_status == 501;
}

// Servers that do not know a method's body or path in that form answer so, but also servers that know neither the key
// nor the SAE.
bool may_mean_the_method(unsigned http_status, ByteView body) {
  return http_status == 404 || http_status == 415 || (http_status == 400 && !speaks_of_exhaustion(body));
}

}  // namespace

HttpMethod MethodChoice::next() const {
  return known().value_or(HttpMethod::post);
}

bool MethodChoice::may_try_other(HttpMethod asked, unsigned http_status, ByteView body) {
  if (m_fixed) return false;
  if (!names_the_method(http_status)) return m_found != asked && may_mean_the_method(http_status, body);
  if (m_found == asked) m_found.reset();  // it took this once: another server stands there now
  return true;
}

void MethodChoice::worked(HttpMethod asked) {
  m_found = asked;
}

}  // namespace quipu::etsi
