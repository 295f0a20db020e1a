// SPDX-License-Identifier: Apache-2.0
// What reads must write back to the same, for every document of the control socket.
#include <cstdlib>

#include "control/audit.h"
#include "control/json.h"
#include "control/message.h"
#include "control/status.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quipu::control;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto request = parse_request(text)) require(parse_request(encode(*request)) == request);
  if (const auto reply = parse_reply(text)) {
    if (const auto* json = std::get_if<std::string>(&*reply))
      require(check_json(*json, kMaxReplySize).has_value());
    else
      require(parse_reply(encode_error(std::get<ReplyError>(*reply))) == reply);
  }
  if (const auto status = device_status_from_json(text)) require(device_status_from_json(to_json(*status)).has_value());
  if (const auto status = kms_status_from_json(text)) require(kms_status_from_json(to_json(*status)).has_value());
  if (const auto status = relay_status_from_json(text)) require(relay_status_from_json(to_json(*status)).has_value());
  if (const auto result = rekey_result_from_json(text)) require(rekey_result_from_json(to_json(*result)).has_value());
  if (const auto pages = audit_pages_from_json(text)) require(audit_pages_from_json(to_json(*pages)) == pages);
  if (const auto entry = audit_entry_from_json(text)) require(audit_entry_from_json(to_json(*entry)) == entry);
  std::string quoted;
  append_json_string(quoted, text);
  require(check_json(quoted, 6 * size + 2).has_value());
  return 0;
}
