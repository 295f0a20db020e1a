// SPDX-License-Identifier: Apache-2.0
#include "etsi/etsi014_server.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <limits>
#include <set>

#include "etsi/json.h"
#include "etsi/percent.h"

namespace quipu::etsi {
namespace {

namespace json = boost::json;

template <class T>
using Parsed = std::expected<T, ApiError>;

std::unexpected<ApiError> bad_request(std::string message) {
  return std::unexpected(ApiError{.http_status = 400, .message = std::move(message), .details = {}});
}

std::unexpected<ApiError> answer(unsigned http_status, std::string message) {
  return std::unexpected(ApiError{.http_status = http_status, .message = std::move(message), .details = {}});
}

Parsed<SaeId> read_sae_id(std::string_view text, std::string_view where) {
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  if (text.empty() || text.size() > kMaxSaeIdSize || !std::ranges::all_of(text, printable))
    return bad_request(std::string(where) + " shall be an SAE ID of 1 to 255 printable octets");
  return SaeId(std::string(text));
}

Parsed<KeyId> read_key_id(std::string_view text) {
  const auto printable = [](char c) { return c > ' ' && c <= '~'; };
  if (text.empty() || text.size() > kMaxKeyIdSize || !std::ranges::all_of(text, printable))
    return bad_request("key_ID shall be 1 to 64 printable characters");
  return KeyId(std::string(text));
}

Parsed<std::uint32_t> positive(std::uint64_t value, std::string_view name) {
  if (value == 0 || value > std::numeric_limits<std::uint32_t>::max())
    return bad_request(std::string(name) + " shall be a positive integer below 4294967296");
  return static_cast<std::uint32_t>(value);
}

Parsed<std::optional<std::uint32_t>> read_positive(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return std::nullopt;
  json::error_code ec;
  const auto number = value->to_number<std::uint64_t>(ec);
  const auto checked = positive(ec || value->is_double() ? 0 : number, name);
  if (!checked) return std::unexpected(checked.error());
  return *checked;
}

Parsed<std::vector<SaeId>> read_saes(const json::object& object) {
  constexpr std::string_view kName = "additional_slave_SAE_IDs";
  const json::value* value = object.if_contains(kName);
  if (value == nullptr) return {};
  if (!value->is_array()) return bad_request("additional_slave_SAE_IDs shall be an array of strings");
  if (value->get_array().size() > kMaxAdditionalSaes)
    return bad_request("additional_slave_SAE_IDs holds too many SAE IDs");
  std::vector<SaeId> out;
  for (const json::value& entry : value->get_array()) {
    if (!entry.is_string()) return bad_request("additional_slave_SAE_IDs shall be an array of strings");
    auto id = read_sae_id(std::string_view(entry.get_string()), kName);
    if (!id) return std::unexpected(id.error());
    if (std::ranges::find(out, *id) != out.end()) return bad_request("additional_slave_SAE_IDs names an SAE twice");
    out.push_back(std::move(*id));
  }
  return out;
}

Parsed<std::vector<Extension>> read_extensions(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return {};
  const auto malformed = bad_request(std::string(name) + " shall be an array of objects with one name and value each");
  if (!value->is_array()) return malformed;
  if (value->get_array().size() > kMaxExtensions) return bad_request(std::string(name) + " holds too many entries");
  std::vector<Extension> out;
  for (const json::value& entry : value->get_array()) {
    if (!entry.is_object() || entry.get_object().size() != 1) return malformed;
    const json::key_value_pair& only = *entry.get_object().begin();
    out.push_back({std::string(only.key()), json::serialize(only.value())});
  }
  return out;
}

Parsed<json::object> read_object(ByteView body, std::string_view what) {
  auto value = read_json(body);
  if (!value) return bad_request(std::string(what) + ": " + value.error().text);
  if (!value->is_object()) return bad_request(std::string(what) + " shall be a JSON object");
  return std::move(value->get_object());
}

// An empty body asks for the defaults (6.2).
Parsed<KeyRequest> read_key_request(ByteView body) {
  if (body.empty()) return KeyRequest{};
  const auto object = read_object(body, "Key request");
  if (!object) return std::unexpected(object.error());
  auto number = read_positive(*object, "number");
  if (!number) return std::unexpected(number.error());
  auto size = read_positive(*object, "size");
  if (!size) return std::unexpected(size.error());
  auto saes = read_saes(*object);
  if (!saes) return std::unexpected(saes.error());
  auto mandatory = read_extensions(*object, "extension_mandatory");
  if (!mandatory) return std::unexpected(mandatory.error());
  auto optional = read_extensions(*object, "extension_optional");
  if (!optional) return std::unexpected(optional.error());
  return KeyRequest{*number, *size, std::move(*saes), std::move(*mandatory), std::move(*optional)};
}

Parsed<KeyIds> read_key_ids(ByteView body) {
  const auto object = read_object(body, "Key IDs");
  if (!object) return std::unexpected(object.error());
  const json::value* list = object->if_contains("key_IDs");
  if (list == nullptr || !list->is_array() || list->get_array().empty())
    return bad_request("key_IDs shall be an array of at least one object with key_ID");
  if (list->get_array().size() > kMaxIdsPerRequest) return bad_request("key_IDs holds too many IDs");
  KeyIds out;
  std::set<KeyId> seen;
  for (const json::value& entry : list->get_array()) {
    const json::value* id = entry.is_object() ? entry.get_object().if_contains("key_ID") : nullptr;
    if (id == nullptr || !id->is_string()) return bad_request("key_IDs shall hold objects with a string key_ID");
    auto key_id = read_key_id(std::string_view(id->get_string()));
    if (!key_id) return std::unexpected(key_id.error());
    if (!seen.insert(*key_id).second) return bad_request("key_IDs names a key twice");
    out.ids.push_back(std::move(*key_id));
  }
  return out;
}

struct Parameter {
  std::string name;
  std::string value;
};

Parsed<std::vector<Parameter>> read_query(std::string_view query) {
  std::vector<Parameter> out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals));
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) return bad_request("query shall be percent-encoded");
    out.push_back({std::move(*name), std::move(*value)});
  }
  return out;
}

// GET stands for a Key request of number and size only (5.2); what else a caller wants would be lost silently.
Parsed<KeyRequest> key_request_of_query(const std::vector<Parameter>& query) {
  KeyRequest out;
  for (const Parameter& parameter : query) {
    const bool is_size = parameter.name == "size" || parameter.name == "key_size";  // the latter from clients in use
    if (!is_size && parameter.name != "number")
      return bad_request("GET takes number and size only, other parameters need POST");
    std::optional<std::uint32_t>& field = is_size ? out.size_bits : out.number;
    if (field) return bad_request(parameter.name + " is given twice");
    std::uint64_t value = 0;
    const char* end = parameter.value.data() + parameter.value.size();
    const auto [stop, error] = std::from_chars(parameter.value.data(), end, value);
    const auto checked = positive(error == std::errc() && stop == end ? value : 0, is_size ? "size" : "number");
    if (!checked) return std::unexpected(checked.error());
    field = *checked;
  }
  return out;
}

Parsed<KeyIds> key_ids_of_query(const std::vector<Parameter>& query) {
  // "key_IDs" is how some clients spell it.
  if (query.size() != 1 || (query[0].name != "key_ID" && query[0].name != "key_IDs"))
    return bad_request("GET takes exactly one key_ID, more need POST");
  auto id = read_key_id(query[0].value);
  if (!id) return std::unexpected(id.error());
  return KeyIds{{std::move(*id)}};
}

// Where one of the standard's methods takes its parameters from.
struct Source {
  bool post = false;
  std::vector<Parameter> query;
  ByteView body;
};

Parsed<Call> parse_method(std::string_view method, SaeId sae, const Source& source) {
  if (method == "status") {
    if (source.post) return answer(405, "status is asked for with GET");
    return Call(StatusCall{std::move(sae)});
  }
  if (method == "enc_keys") {
    auto request = source.post ? read_key_request(source.body) : key_request_of_query(source.query);
    if (!request) return std::unexpected(request.error());
    return Call(EncKeysCall{std::move(sae), std::move(*request)});
  }
  auto ids = source.post ? read_key_ids(source.body) : key_ids_of_query(source.query);
  if (!ids) return std::unexpected(ids.error());
  return Call(DecKeysCall{std::move(sae), std::move(*ids)});
}

}  // namespace

std::expected<Call, ApiError> parse_call(std::string_view method, std::string_view target, ByteView body) {
  const std::size_t query_at = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, query_at);
  if (!path.starts_with(kBasePath)) return answer(404, "no such resource");
  path.remove_prefix(kBasePath.size());
  const std::size_t slash = path.find('/');
  const std::string_view name = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  if (name != "status" && name != "enc_keys" && name != "dec_keys") return answer(404, "no such resource");
  if (method != "GET" && method != "POST") return answer(405, "only GET and POST are answered");

  const auto segment = percent_decode(path.substr(0, slash));
  if (!segment) return bad_request("SAE ID in the path shall be percent-encoded");
  auto sae = read_sae_id(*segment, "the path");
  if (!sae) return std::unexpected(sae.error());
  auto query = read_query(target.substr(std::min(query_at + 1, target.size())));
  if (!query) return std::unexpected(query.error());
  const bool post = method == "POST";
  if (post && !query->empty()) return bad_request("parameters of POST belong into the body");
  if (!post && !body.empty()) return bad_request("GET takes no body");
  return parse_method(name, std::move(*sae), {post, std::move(*query), body});
}

SecretBytes write_status(const Status& status) {
  json::object object{
      {"source_KME_ID", status.source_kme_id.value()},
      {"target_KME_ID", status.target_kme_id.value()},
      {"master_SAE_ID", status.master_sae_id.value()},
      {"slave_SAE_ID", status.slave_sae_id.value()},
      {"key_size", status.key_size},
      {"stored_key_count", status.stored_key_count},
      {"max_key_count", status.max_key_count},
      {"max_key_per_request", status.max_key_per_request},
      {"max_key_size", status.max_key_size},
      {"min_key_size", status.min_key_size},
      {"max_SAE_ID_count", status.max_sae_id_count},
  };
  if (status.simulated) object["status_extension"] = json::object{{kSimulatedMember, true}};
  return SecretBytes::copy_of(as_bytes(json::serialize(object)));
}

SecretBytes write_error(const ApiError& error) {
  if (error.http_status == 401) return {};
  json::object object{{"message", error.message}};
  if (!error.details.empty()) {
    json::array details;
    for (const ErrorDetail& detail : error.details)
      details.push_back(json::object{{detail.name, detail.value}});
    object["details"] = std::move(details);
  }
  return SecretBytes::copy_of(as_bytes(json::serialize(object)));
}

}  // namespace quipu::etsi
