// SPDX-License-Identifier: Apache-2.0
// What the KME tells its driver (quipu-kmsd, or a simulation) to do, in the order of the list.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "base/secret.h"
#include "etsi/etsi014.h"

namespace quipu::kms {

// One authenticated KM-link connection, numbered by the caller; never used twice in a run.
using LinkId = Strong<struct LinkIdTag, std::uint64_t>;
// One ETSI 014 request, numbered by the caller; never used twice in a run.
using RequestId = Strong<struct RequestIdTag, std::uint64_t>;

// Send this message on the connection, after all earlier ones; the transport puts its length in front. At most
// kMaxMessageSize octets (link_message.h). Locked memory, because messages of drivers may be secret. When it cannot be
// queued, close the connection and say so with link_disconnected(): a message is never left out.
struct SendLink {
  LinkId link;
  SecretBytes message;
};

// Close the connection once what was sent before has been written. link_disconnected() need not be called for it.
struct CloseLink {
  LinkId link;
};

// Contact with the peer was made on its connection: once that has lasted, its end is no reason to wait long before it
// is dialled again.
struct LinkUp {
  KmeId peer;
};

using EtsiReply = std::variant<etsi::Status, etsi::KeyContainer, etsi::ApiError>;

struct ReplyEtsi {
  RequestId request;
  EtsiReply reply;
};

// For the audit log, before the ReplyEtsi of the same request: `sae` is given these keys.
struct AuditDelivery {
  KmeId peer;
  SaeId sae;
  bool master = false;       // by enc_keys; else by dec_keys
  std::vector<SaeId> named;  // the slaves that may fetch them, or their master
  std::vector<Uuid> key_ids;
};

// A message for the driver of that link at this end (peer_receive of the driver ABI).
struct DeliverDriverMessage {
  std::string source;
  SecretBytes message;
};

// A line for the log. An alarm is what an operator must be told by every channel there is.
struct Report {
  LogLevel level = LogLevel::info;
  bool alarm = false;
  std::string_view event;    // stable snake_case name, a literal
  std::string_view message;  // a sentence, a literal
  std::vector<LogField> fields;
};

// The store failed: the KME answers 503 to everything from now on and talks to nobody. End the process with this error;
// the next run burns what was open, and is safe.
struct Fatal {
  Error error;
};

using Action = std::variant<SendLink, CloseLink, LinkUp, ReplyEtsi, AuditDelivery, DeliverDriverMessage, Report, Fatal>;
using Actions = std::vector<Action>;

}  // namespace quipu::kms
