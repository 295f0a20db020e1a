// SPDX-License-Identifier: Apache-2.0
// One request and one reply per line of JSON on the control socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quipu::control {

// Longest request line, without its line feed. A longer one closes the connection.
inline constexpr std::size_t kMaxRequestSize = 4096;
inline constexpr std::size_t kMaxReplySize = std::size_t{4} * 1024 * 1024;

struct StatusRequest {
  bool operator==(const StatusRequest&) const = default;
};

struct RekeyRequest {
  std::optional<std::string> peer{};  // absent: every peer

  bool operator==(const RekeyRequest&) const = default;
};

struct ReloadRequest {
  bool operator==(const ReloadRequest&) const = default;
};

// The operator's word that one jump of this peer's stamps, or of ours towards it, beyond what is plausible is no
// attack: one of the two machines was restored.
struct PermitStampJumpRequest {
  std::string peer{};

  bool operator==(const PermitStampJumpRequest&) const = default;
};

// Pages of the KMS's audit log (audit.h): those behind page `after`, as many as fit into a reply.
struct AuditRequest {
  std::uint64_t after = 0;

  bool operator==(const AuditRequest&) const = default;
};

// Of quipu-kmsd: paths and figures of relayed key.
struct RelayRoutesRequest {
  bool operator==(const RelayRoutesRequest&) const = default;
};

// Of quipu-kmsd: burns all key material of the pool with that KME.
struct VoidPoolRequest {
  std::string peer{};

  bool operator==(const VoidPoolRequest&) const = default;
};

// Of quipu-kmsd: writes a copy of its store without key material beside it.
struct BackupRequest {
  bool operator==(const BackupRequest&) const = default;
};

using Request = std::variant<StatusRequest, RekeyRequest, ReloadRequest, PermitStampJumpRequest, AuditRequest,
                             RelayRoutesRequest, VoidPoolRequest, BackupRequest>;

// Read verbs are for the socket's group, write verbs for root and the daemon's own user.
bool is_write(const Request& request);
std::string_view verb_of(const Request& request);

std::string encode(const Request& request);  // without the line feed
// Unknown verbs, unknown or repeated members, wrong types: an error that says so.
Result<Request> parse_request(std::string_view line);

// What went wrong, as the CLI shows it. `code` is an Errc's name; `hint` says what to do, or is empty.
struct ReplyError {
  std::string code{};
  std::string message{};
  std::string hint{};

  bool operator==(const ReplyError&) const = default;
};

// {"ok":true,"result":RESULT}; `result_json` is a JSON value ("{}" when there is nothing to say).
std::string encode_ok(std::string_view result_json);
std::string encode_error(const ReplyError& error);
std::string encode_error(const Error& error, std::string_view hint = {});

// The result as JSON text, or the error.
using Reply = std::variant<std::string, ReplyError>;
Result<Reply> parse_reply(std::string_view line);

// What a reload changed at once, and what it could not.
struct ReloadResult {
  std::vector<std::string> added{};    // peers of quipud, and "kms.NAME"
  std::vector<std::string> removed{};  // likewise
  // Peers of quipud ("dc-b", "dc-b (session ended)", "dc-b (public_key)"), and settings: "device.addresses", "kms.local
  // (certificates)", "km_link certificates (connections ended)", "kme.store_key_file".
  std::vector<std::string> changed{};
  std::vector<std::string> needs_restart{};  // settings ("kme.store") and sections ("link a-b") that differ until then
  std::vector<std::string> unprotected{};    // prefixes that are routed in clear from now on

  bool operator==(const ReloadResult&) const = default;
};

std::string to_json(const ReloadResult& result);
Result<ReloadResult> reload_result_from_json(std::string_view json);

struct VoidResult {
  std::uint64_t voided_bits = 0;  // at this end, leased ones included

  bool operator==(const VoidResult&) const = default;
};

std::string to_json(const VoidResult& result);
Result<VoidResult> void_result_from_json(std::string_view json);

struct BackupResult {
  std::string file{};  // where the copy is: for whoever asked, to be moved away

  bool operator==(const BackupResult&) const = default;
};

std::string to_json(const BackupResult& result);
Result<BackupResult> backup_result_from_json(std::string_view json);

// A peer whose rekey is complete.
struct RekeyedPeer {
  std::string peer{};
  // From the decision to rekey to the first packet sealed under the new key; absent at the end that did not initiate.
  std::optional<double> latency_ms{};
  bool key_prefetched = false;  // the QKD keys were there already: no KMS was waited for
  double since_asked_ms = 0;    // until both ends had the new key: an end begins two at once,
                                // then one per N/4, that is 0.25 to 1 s

  bool operator==(const RekeyedPeer&) const = default;
};

// One of several peers that could not be rekeyed; asked for alone, it is the error of the reply.
struct UnrekeyedPeer {
  std::string peer{};
  std::string reason{};

  bool operator==(const UnrekeyedPeer&) const = default;
};

struct RekeyResult {
  std::vector<RekeyedPeer> rekeys{};
  std::vector<UnrekeyedPeer> failed{};

  bool operator==(const RekeyResult&) const = default;
};

std::string to_json(const RekeyResult& result);
Result<RekeyResult> rekey_result_from_json(std::string_view json);

}  // namespace quipu::control
