// SPDX-License-Identifier: Apache-2.0
// The SAE's side of ETSI GS QKD 014: typed calls become HTTP requests, replies become keys. Tolerant in what servers
// differ in (codes, error bodies, unknown members), strict in everything that keys depend on.
#pragma once

#include <string>

#include "base/result.h"
#include "etsi/dialect.h"
#include "etsi/etsi014.h"

namespace quipu::etsi {

struct ClientRequest {
  bool post = false;
  std::string target;     // path and query
  SecretBytes body = {};  // application/json; empty with GET
};

// `base` is the path part of the KME's URL, usually empty. Errc::out_of_range when an id is empty or too long or a
// count exceeds the caps of etsi014.h. By GET only number and size, or one key id, can be asked for (clauses 5.3 and
// 5.4): Errc::unsupported for more.
Result<ClientRequest> status_request(std::string_view base, const SaeId& slave);
Result<ClientRequest> enc_keys_request(std::string_view base, const SaeId& slave, const KeyRequest& request,
                                       HttpMethod method = HttpMethod::post, const Dialect& dialect = {});
Result<ClientRequest> dec_keys_request(std::string_view base, const SaeId& master, const KeyIds& ids,
                                       HttpMethod method = HttpMethod::post, const Dialect& dialect = {});

// What a reply with `http_status` means when it is not a usable 200:
//   exhausted      no key now: back off (503, 429, or 400 whose text speaks of too little key material)
//   unavailable    trouble at the KME (other 5xx, 408): back off
//   not_permitted  401 and 403 on status and enc_keys: wrong certificate or pair, tell the operator
//   not_found      dec_keys refused by 400, 401, 403, 404, 409, 412 or 504: perhaps not yet there; ask again until
//                  the deadline, then choose another key
//   refused        any other answer
//   malformed, duplicate, too_large, out_of_range, bad_key   a 200 that breaks the rules: nothing of it was kept
// The text names the HTTP status and, above 2xx, the message of a JSON body, cut, in printable ASCII: nothing else of
// the body, which may be a container that broke off.
Result<Status> parse_status_reply(unsigned http_status, ByteView body);

// Checks: number of keys as asked, every key of `size_bits` (0: any, but all alike and not empty), ids of 1 to
// kMaxKeyIdSize printable octets, none twice, base64 strict.
Result<KeyContainer> parse_enc_keys_reply(unsigned http_status, ByteView body, std::uint32_t number,
                                          std::uint32_t size_bits);
// As above, and the ids are those asked for; the keys come back in the order of `ids`.
Result<KeyContainer> parse_dec_keys_reply(unsigned http_status, ByteView body, const KeyIds& ids,
                                          std::uint32_t size_bits);

}  // namespace quipu::etsi
