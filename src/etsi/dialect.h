// SPDX-License-Identifier: Apache-2.0
// What KMEs take differently of ETSI GS QKD 014, and how a client finds out. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"

namespace quipu::etsi {

enum class HttpMethod : std::uint8_t { post, get };

// How one KME wants to be asked. The defaults are the standard's (clauses 5.3, 5.4 and 6.4).
struct Dialect {
  std::string size_parameter = "size";      // of GET enc_keys; "key_size" has been seen
  std::string key_id_parameter = "key_ID";  // of GET dec_keys; "key_IDs" has been seen
  bool master_in_key_ids = false;           // POST dec_keys names the master SAE in each entry of key_IDs, too

  bool operator==(const Dialect&) const = default;
};

// Which HTTP method a KME takes for enc_keys, or for dec_keys: an object for each. POST, which the standard asks of
// every KME, comes first. GET is tried where POST was refused in a way that may mean the method, and only then: what
// was refused has handed out nothing, so nothing is burnt and nothing is asked for twice. What worked is remembered.
class MethodChoice {
 public:
  // `fixed`: the configuration says it, and nothing is tried.
  explicit MethodChoice(std::optional<HttpMethod> fixed = std::nullopt) : m_fixed(fixed) {}

  HttpMethod next() const;

  // The KME refused a question put by `asked`. True: the same question may be put by the other method at once, once.
  bool may_try_other(HttpMethod asked, unsigned http_status, ByteView body);
  // A question put by `asked` was answered by 200.
  void worked(HttpMethod asked);

  // What the KME was found to take, or was said to.
  std::optional<HttpMethod> known() const { return m_fixed ? m_fixed : m_found; }

 private:
  std::optional<HttpMethod> m_fixed;
  std::optional<HttpMethod> m_found;
};

constexpr HttpMethod other(HttpMethod method) {
  return method == HttpMethod::post ? HttpMethod::get : HttpMethod::post;
}

}  // namespace quipu::etsi
