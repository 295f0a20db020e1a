// SPDX-License-Identifier: Apache-2.0
#include "control/audit.h"

#include "control/codec.h"

namespace quipu::control {

std::string to_json(const AuditEntry& entry) {
  return object_to_json(entry);
}

Result<AuditEntry> audit_entry_from_json(std::string_view line) {
  return object_from_json<AuditEntry>(line, "entry");
}

std::string to_json(const AuditPages& pages) {
  return object_to_json(pages);
}

Result<AuditPages> audit_pages_from_json(std::string_view json) {
  return object_from_json<AuditPages>(json, "result");
}

}  // namespace quipu::control
