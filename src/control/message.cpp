// SPDX-License-Identifier: Apache-2.0
#include "control/message.h"

#include <boost/json/serialize.hpp>

#include "control/codec.h"

namespace quipu::control {
namespace {

constexpr std::string_view kVerbs = "status, rekey, reload, permit_stamp_jump, audit, relay_routes, void_pool, backup";
constexpr std::string_view kOkPrefix = R"({"ok":true,"result":)";
constexpr std::size_t kMaxPeerName = 255;

std::string_view text_of(const boost::json::value& value) {
  return {value.get_string().data(), value.get_string().size()};
}

// The one member that these verbs may have besides their name.
Result<std::optional<std::string>> parse_peer(std::string_view verb, const boost::json::object& object) {
  std::optional<std::string> peer;
  for (const auto& member : object) {
    if (member.key() == "verb") continue;
    if (member.key() != "peer")
      return fail(Errc::malformed, fmt::format("{} takes no member \"{}\"", verb, std::string_view(member.key())));
    if (!member.value().is_string() || text_of(member.value()).empty() || text_of(member.value()).size() > kMaxPeerName)
      return fail(Errc::malformed, "\"peer\" has to be the name of a peer");
    peer = std::string(text_of(member.value()));
  }
  return peer;
}

Result<Request> parse_rekey(const boost::json::object& object) {
  QUIPU_TRY_ASSIGN(auto peer, parse_peer("rekey", object));
  return RekeyRequest{std::move(peer)};
}

Result<Request> parse_permit_stamp_jump(const boost::json::object& object) {
  QUIPU_TRY_ASSIGN(auto peer, parse_peer("permit_stamp_jump", object));
  if (!peer) return fail(Errc::malformed, "\"peer\" is missing: a jump is permitted to one peer at a time");
  return PermitStampJumpRequest{*std::move(peer)};
}

Result<Request> parse_void_pool(const boost::json::object& object) {
  QUIPU_TRY_ASSIGN(auto peer, parse_peer("void_pool", object));
  if (!peer) return fail(Errc::malformed, "\"peer\" is missing: one pool is voided at a time");
  return VoidPoolRequest{*std::move(peer)};
}

Result<Request> parse_audit(const boost::json::object& object) {
  const auto* const after = object.if_contains("after");
  if (after == nullptr || object.size() != 2)
    return fail(Errc::malformed, "audit takes one member, \"after\": the number of the last page that is known");
  JsonReader reader("after");
  AuditRequest out;
  reader.read(*after, out.after);
  if (reader.error()) return std::unexpected(*reader.error());
  return out;
}

// The members of an error object, each a text.
Result<ReplyError> parse_error(const boost::json::value& json) {
  ReplyError out;
  const auto* const object = json.if_object();
  if (object == nullptr) return fail(Errc::malformed, "reply.error has to be an object");
  for (const auto& [name, target] : {std::pair{"code", &out.code}, {"message", &out.message}, {"hint", &out.hint}}) {
    const auto* const value = object->if_contains(name);
    if (value == nullptr || !value->is_string())
      return fail(Errc::malformed, fmt::format("reply.error.{} has to be a text", name));
    *target = std::string(text_of(*value));
  }
  return out;
}

}  // namespace

bool is_write(const Request& request) {
  return !std::holds_alternative<StatusRequest>(request) && !std::holds_alternative<AuditRequest>(request) &&
         !std::holds_alternative<RelayRoutesRequest>(request);
}

std::string_view verb_of(const Request& request) {
  static constexpr std::string_view kNames[] = {"status", "rekey",        "reload",    "permit_stamp_jump",
                                                "audit",  "relay_routes", "void_pool", "backup"};
  static_assert(std::size(kNames) == std::variant_size_v<Request>);
  return kNames[request.index()];
}

std::string encode(const Request& request) {
  std::string out = R"({"verb":)";
  append_json_string(out, verb_of(request));
  std::optional<std::string> peer;
  if (const auto* rekey = std::get_if<RekeyRequest>(&request)) peer = rekey->peer;
  if (const auto* permit = std::get_if<PermitStampJumpRequest>(&request)) peer = permit->peer;
  if (const auto* pool = std::get_if<VoidPoolRequest>(&request)) peer = pool->peer;
  if (peer) {
    out += R"(,"peer":)";
    append_json_string(out, *peer);
  }
  if (const auto* audit = std::get_if<AuditRequest>(&request)) out += fmt::format(R"(,"after":{})", audit->after);
  return out + "}";
}

Result<Request> parse_request(std::string_view line) {
  QUIPU_TRY_ASSIGN(const boost::json::value json, parse_json(line, kMaxRequestSize));
  const auto* const object = json.if_object();
  if (object == nullptr) return fail(Errc::malformed, R"(a request is an object, as in {"verb":"status"})");
  const auto* const verb = object->if_contains("verb");
  if (verb == nullptr || !verb->is_string())
    return fail(Errc::malformed, fmt::format("\"verb\" is missing; known: {}", kVerbs));
  const std::string_view name = text_of(*verb);
  if (name == "rekey") return parse_rekey(*object);
  if (name == "permit_stamp_jump") return parse_permit_stamp_jump(*object);
  if (name == "void_pool") return parse_void_pool(*object);
  if (name == "audit") return parse_audit(*object);
  if (name != "status" && name != "reload" && name != "relay_routes" && name != "backup")
    return fail(Errc::unsupported, fmt::format("unknown verb; known: {}", kVerbs));
  if (object->size() != 1) return fail(Errc::malformed, fmt::format("{} takes no members", name));
  if (name == "status") return StatusRequest{};
  if (name == "relay_routes") return RelayRoutesRequest{};
  if (name == "backup") return BackupRequest{};
  return ReloadRequest{};
}

std::string encode_ok(std::string_view result_json) {
  std::string out(kOkPrefix);
  out += result_json;
  return out + "}";
}

std::string encode_error(const ReplyError& error) {
  std::string out = R"({"ok":false,"error":{"code":)";
  append_json_string(out, error.code);
  out += R"(,"message":)";
  append_json_string(out, error.message);
  out += R"(,"hint":)";
  append_json_string(out, error.hint);
  return out + "}}";
}

std::string encode_error(const Error& error, std::string_view hint) {
  const std::string_view code = to_string(error.code);
  return encode_error(ReplyError{.code = std::string(code),
                                 .message = error.text.empty() ? std::string(code) : error.text,
                                 .hint = std::string(hint)});
}

Result<Reply> parse_reply(std::string_view line) {
  QUIPU_TRY_ASSIGN(const boost::json::value json, parse_json(line, kMaxReplySize));
  const auto* const object = json.if_object();
  const auto* const ok = object == nullptr ? nullptr : object->if_contains("ok");
  if (ok == nullptr || !ok->is_bool() || object->size() != 2)
    return fail(Errc::malformed, R"(a reply has "ok" and either "result" or "error")");
  if (!ok->get_bool()) {
    const auto* const error = object->if_contains("error");
    if (error == nullptr) return fail(Errc::malformed, R"(a reply that is not ok has an "error")");
    QUIPU_TRY_ASSIGN(ReplyError parsed, parse_error(*error));
    return Reply(std::move(parsed));
  }
  const auto* const result = object->if_contains("result");
  if (result == nullptr) return fail(Errc::malformed, R"(a reply that is ok has a "result")");
  // The daemon's own text where it is framed as encode_ok does: numbers stay as they were written.
  if (line.starts_with(kOkPrefix) && line.ends_with('}'))
    return Reply(std::string(line.substr(kOkPrefix.size(), line.size() - kOkPrefix.size() - 1)));
  return Reply(std::string(boost::json::serialize(*result)));
}

std::string to_json(const ReloadResult& result) {
  return object_to_json(result);
}

Result<ReloadResult> reload_result_from_json(std::string_view json) {
  return object_from_json<ReloadResult>(json, "result");
}

std::string to_json(const VoidResult& result) {
  return object_to_json(result);
}

Result<VoidResult> void_result_from_json(std::string_view json) {
  return object_from_json<VoidResult>(json, "result");
}

std::string to_json(const BackupResult& result) {
  return object_to_json(result);
}

Result<BackupResult> backup_result_from_json(std::string_view json) {
  return object_from_json<BackupResult>(json, "result");
}

std::string to_json(const RekeyResult& result) {
  return object_to_json(result);
}

Result<RekeyResult> rekey_result_from_json(std::string_view json) {
  return object_from_json<RekeyResult>(json, "result");
}

}  // namespace quipu::control
