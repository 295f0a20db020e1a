// SPDX-License-Identifier: Apache-2.0
// Whatever an SAE asks: no crash, and what is accepted means the same when our client asks for it.
#include <cstdlib>

#include "etsi/etsi014_client.h"
#include "etsi/etsi014_server.h"

namespace {

using namespace quipu;

struct Ask {
  Result<etsi::ClientRequest> operator()(const etsi::StatusCall& call) const {
    return etsi::status_request("", call.slave);
  }

  Result<etsi::ClientRequest> operator()(const etsi::EncKeysCall& call) const {
    return etsi::enc_keys_request("", call.slave, call.request);
  }

  Result<etsi::ClientRequest> operator()(const etsi::DecKeysCall& call) const {
    return etsi::dec_keys_request("", call.master, call.key_ids);
  }
};

}  // namespace

// Input: "GET" or "POST" by the first octet's parity, then the target up to a line feed, then the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = as_text({data + 1, size - 1});
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view body = text.substr(std::min(end + 1, text.size()));
  const auto call = etsi::parse_call(data[0] % 2 == 0 ? "POST" : "GET", text.substr(0, end), as_bytes(body));
  if (!call) {
    if (call.error().http_status < 400 || call.error().http_status > 499) std::abort();
    return 0;
  }
  const auto request = std::visit(Ask{}, *call);
  if (!request) std::abort();
  const auto again = etsi::parse_call(request->post ? "POST" : "GET", request->target, request->body.view());
  if (!again || *again != *call) std::abort();
  return 0;
}
