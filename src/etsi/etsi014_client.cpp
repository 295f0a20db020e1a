// SPDX-License-Identifier: Apache-2.0
#include "etsi/etsi014_client.h"

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "etsi/error_body.h"
#include "etsi/json.h"
#include "etsi/key_container.h"
#include "etsi/percent.h"

namespace quipu::etsi {
namespace {

namespace json = boost::json;

Result<std::string> target_of(std::string_view base, const SaeId& sae, std::string_view method) {
  if (sae.value().empty() || sae.value().size() > kMaxSaeIdSize)
    return fail(Errc::out_of_range, "SAE id: not 1 to 255 octets");
  return std::string(base) + std::string(kBasePath) + percent_encode(sae.value()) + "/" + std::string(method);
}

SecretBytes body_of(const json::object& object) {
  return SecretBytes::copy_of(as_bytes(json::serialize(object)));
}

Result<json::array> extensions_of(const std::vector<Extension>& extensions) {
  if (extensions.size() > kMaxExtensions) return fail(Errc::out_of_range, "too many extensions");
  json::array out;
  for (const Extension& extension : extensions) {
    QUIPU_TRY_ASSIGN(json::value value, read_json(as_bytes(extension.value_json)));
    out.push_back(json::object{{extension.name, std::move(value)}});
  }
  return out;
}

Result<json::object> object_of(const KeyRequest& request) {
  json::object out;
  if (request.number) out["number"] = *request.number;
  if (request.size_bits) out["size"] = *request.size_bits;
  if (request.additional_slave_sae_ids.size() > kMaxAdditionalSaes)
    return fail(Errc::out_of_range, "too many additional slave SAEs");
  if (!request.additional_slave_sae_ids.empty()) {
    json::array saes;
    for (const SaeId& id : request.additional_slave_sae_ids)
      saes.emplace_back(id.value());
    out["additional_slave_SAE_IDs"] = std::move(saes);
  }
  if (!request.extension_mandatory.empty()) {
    QUIPU_TRY_ASSIGN(out["extension_mandatory"], extensions_of(request.extension_mandatory));
  }
  if (!request.extension_optional.empty()) {
    QUIPU_TRY_ASSIGN(out["extension_optional"], extensions_of(request.extension_optional));
  }
  return out;
}

Result<void> check_ids(const KeyIds& ids) {
  if (ids.ids.empty() || ids.ids.size() > kMaxIdsPerRequest) return fail(Errc::out_of_range, "key ids: not 1 to 1024");
  for (const KeyId& id : ids.ids) {
    if (id.value().empty() || id.value().size() > kMaxKeyIdSize)
      return fail(Errc::out_of_range, "key id: not 1 to 64 octets");
  }
  return {};
}

std::string with_query(std::string target, const std::vector<std::string>& query) {
  for (std::size_t i = 0; i < query.size(); ++i)
    target.append(i == 0 ? "?" : "&").append(query[i]);
  return target;
}

enum class Method { status, enc_keys, dec_keys };

Errc code_of(Method method, unsigned http_status, ByteView body) {
  if (method == Method::dec_keys) {
    for (const unsigned status : {400U, 401U, 403U, 404U, 409U, 412U, 504U}) {
      if (http_status == status) return Errc::not_found;
    }
  }
  if (http_status == 401 || http_status == 403) return Errc::not_permitted;
  if (method == Method::enc_keys && http_status == 400 && speaks_of_exhaustion(body)) return Errc::exhausted;
  if (http_status == 429 || (http_status == 503 && method == Method::enc_keys)) return Errc::exhausted;
  if (http_status == 408 || http_status >= 500) return Errc::unavailable;
  return Errc::refused;
}

// A success that we do not know (201, 206) may bring keys: no text is taken from it at all.
Result<void> require_ok(Method method, unsigned http_status, ByteView body) {
  if (http_status == 200) return {};
  const std::string message = http_status < 300 ? std::string() : message_of(body);
  std::string text = "KME answered HTTP " + std::to_string(http_status);
  if (!message.empty()) text += ": " + message;
  return fail(code_of(method, http_status, body), std::move(text));
}

bool is_zero(ByteView bytes) {
  std::uint8_t any = 0;
  for (const std::uint8_t octet : bytes)
    any |= octet;
  return any == 0;
}

// What no honest source delivers: a key of zeros, or one key under two names.
Result<void> check_contents(const std::vector<Key>& keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (is_zero(keys[i].bytes.view())) return fail(Errc::bad_key, "KME delivered a key of zeros");
    for (std::size_t j = 0; j < i; ++j) {
      if (keys[i].bytes == keys[j].bytes) return fail(Errc::bad_key, "KME delivered one key under two ids");
    }
  }
  return {};
}

Result<void> check_sizes(const std::vector<Key>& keys, std::uint32_t size_bits) {
  for (const Key& key : keys) {
    const std::size_t wanted = size_bits == 0 ? keys[0].bytes.size() : (std::size_t{size_bits} + 7) / 8;
    if (key.bytes.size() == wanted) continue;
    return fail(Errc::out_of_range, "KME delivered a key of " + std::to_string(key.bytes.size() * 8) + " bit where " +
                                        std::to_string(wanted * 8) + " were due");
  }
  return {};
}

Result<KeyContainer> read_checked(ByteView body, std::size_t number, std::uint32_t size_bits) {
  auto container = read_container(body);
  if (!container) return fail_at("key container", std::move(container).error());
  if (container->keys.size() != number)
    return fail(Errc::out_of_range, "KME delivered " + std::to_string(container->keys.size()) + " keys where " +
                                        std::to_string(number) + " were due");
  QUIPU_TRY(check_sizes(container->keys, size_bits));
  QUIPU_TRY(check_contents(container->keys));
  return container;
}

// UUIDs are hexadecimal: some servers change the case of what they were asked for.
bool same_id(const KeyId& a, const KeyId& b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a.value(), b.value(), {}, lower, lower);
}

template <class Id>
Result<void> read_member(const json::object& object, std::string_view name, Id& out) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return {};
  if (!value->is_string()) return fail(Errc::malformed, "status: " + std::string(name) + " is no string");
  out = Id(std::string(value->get_string()));
  return {};
}

Result<void> read_member(const json::object& object, std::string_view name, std::uint64_t& out) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return {};
  json::error_code ec;
  out = value->to_number<std::uint64_t>(ec);
  if (ec) return fail(Errc::malformed, "status: " + std::string(name) + " is no count");
  return {};
}

// Other members of the extension are for whoever knows them.
Result<void> read_extension(const json::object& object, bool& simulated) {
  const json::value* extension = object.if_contains("status_extension");
  if (extension == nullptr || !extension->is_object()) return {};
  const json::value* member = extension->get_object().if_contains(kSimulatedMember);
  if (member == nullptr) return {};
  if (!member->is_bool()) return fail(Errc::malformed, "status: " + std::string(kSimulatedMember) + " is no boolean");
  simulated = member->get_bool();
  return {};
}

}  // namespace

Result<ClientRequest> status_request(std::string_view base, const SaeId& slave) {
  QUIPU_TRY_ASSIGN(std::string target, target_of(base, slave, "status"));
  return ClientRequest{.post = false, .target = std::move(target), .body = {}};
}

Result<ClientRequest> enc_keys_request(std::string_view base, const SaeId& slave, const KeyRequest& request,
                                       HttpMethod method, const Dialect& dialect) {
  QUIPU_TRY_ASSIGN(std::string target, target_of(base, slave, "enc_keys"));
  QUIPU_TRY_ASSIGN(const json::object body, object_of(request));
  if (method == HttpMethod::post)
    return ClientRequest{.post = true, .target = std::move(target), .body = body_of(body)};
  if (body.size() != std::size_t{request.number.has_value()} + std::size_t{request.size_bits.has_value()})
    return fail(Errc::unsupported, "GET enc_keys takes number and size only");
  std::vector<std::string> query;
  if (request.number) query.push_back("number=" + std::to_string(*request.number));
  if (request.size_bits) query.push_back(dialect.size_parameter + "=" + std::to_string(*request.size_bits));
  return ClientRequest{.post = false, .target = with_query(std::move(target), query), .body = {}};
}

Result<ClientRequest> dec_keys_request(std::string_view base, const SaeId& master, const KeyIds& ids, HttpMethod method,
                                       const Dialect& dialect) {
  QUIPU_TRY_ASSIGN(std::string target, target_of(base, master, "dec_keys"));
  QUIPU_TRY(check_ids(ids));
  if (method == HttpMethod::get) {
    if (ids.ids.size() != 1) return fail(Errc::unsupported, "GET dec_keys takes one key id only");
    target = with_query(std::move(target), {dialect.key_id_parameter + "=" + percent_encode(ids.ids[0].value())});
    return ClientRequest{.post = false, .target = std::move(target), .body = {}};
  }
  json::array list;
  for (const KeyId& id : ids.ids) {
    json::object entry{{"key_ID", id.value()}};
    if (dialect.master_in_key_ids) entry["master_SAE_ID"] = master.value();
    list.push_back(std::move(entry));
  }
  return ClientRequest{.post = true, .target = std::move(target), .body = body_of({{"key_IDs", std::move(list)}})};
}

Result<Status> parse_status_reply(unsigned http_status, ByteView body) {
  QUIPU_TRY(require_ok(Method::status, http_status, body));
  auto value = read_json(body);
  if (!value) return fail_at("status", std::move(value).error());
  if (!value->is_object()) return fail(Errc::malformed, "status: no JSON object");
  const json::object& object = value->get_object();
  Status out;
  QUIPU_TRY(read_member(object, "source_KME_ID", out.source_kme_id));
  QUIPU_TRY(read_member(object, "target_KME_ID", out.target_kme_id));
  QUIPU_TRY(read_member(object, "master_SAE_ID", out.master_sae_id));
  QUIPU_TRY(read_member(object, "slave_SAE_ID", out.slave_sae_id));
  QUIPU_TRY(read_member(object, "key_size", out.key_size));
  QUIPU_TRY(read_member(object, "stored_key_count", out.stored_key_count));
  QUIPU_TRY(read_member(object, "max_key_count", out.max_key_count));
  QUIPU_TRY(read_member(object, "max_key_per_request", out.max_key_per_request));
  QUIPU_TRY(read_member(object, "max_key_size", out.max_key_size));
  QUIPU_TRY(read_member(object, "min_key_size", out.min_key_size));
  QUIPU_TRY(read_member(object, "max_SAE_ID_count", out.max_sae_id_count));
  QUIPU_TRY(read_extension(object, out.simulated));
  return out;
}

Result<KeyContainer> parse_enc_keys_reply(unsigned http_status, ByteView body, std::uint32_t number,
                                          std::uint32_t size_bits) {
  QUIPU_TRY(require_ok(Method::enc_keys, http_status, body));
  return read_checked(body, number, size_bits);
}

Result<KeyContainer> parse_dec_keys_reply(unsigned http_status, ByteView body, const KeyIds& ids,
                                          std::uint32_t size_bits) {
  QUIPU_TRY(require_ok(Method::dec_keys, http_status, body));
  QUIPU_TRY_ASSIGN(KeyContainer container, read_checked(body, ids.ids.size(), size_bits));
  KeyContainer ordered{.keys = {}, .simulated = container.simulated};
  for (const KeyId& id : ids.ids) {
    const auto found = std::ranges::find_if(container.keys, [&](const Key& key) { return same_id(key.id, id); });
    if (found == container.keys.end()) return fail(Errc::malformed, "KME delivered keys of other ids than asked for");
    ordered.keys.push_back({id, std::move(found->bytes)});
    container.keys.erase(found);
  }
  return ordered;
}

}  // namespace quipu::etsi
