// SPDX-License-Identifier: Apache-2.0
#include "control/status.h"

#include "control/codec.h"
#include "control/message.h"

namespace quipu::control {
namespace {

template <class T>
std::string status_to_json(const T& status) {
  JsonWriter writer;
  writer.write_object(status, fmt::format("\"schema_version\":{}", kSchemaVersion));
  return writer.take();
}

template <class T>
Result<T> status_from_json(std::string_view text) {
  QUIPU_TRY_ASSIGN(const boost::json::value json, parse_json(text, kMaxReplySize));
  std::uint32_t version = 0;
  JsonReader reader("status");
  if (const auto* object = json.if_object(); object != nullptr && object->contains("schema_version"))
    reader.read(object->at("schema_version"), version);
  if (!reader.error() && version != kSchemaVersion)
    return fail(Errc::unsupported, fmt::format("status.schema_version is {}, this program knows {}; use the quipu "
                                               "command of the daemon's version",
                                               version, kSchemaVersion));
  T out;
  if (!reader.error()) reader.read(json, out);
  if (reader.error()) return std::unexpected(*reader.error());
  return out;
}

}  // namespace

std::string_view to_string(TunnelState state) {
  switch (state) {
    case TunnelState::up: return "up";
    case TunnelState::idle: return "idle";
    case TunnelState::connecting: return "connecting";
    case TunnelState::down: return "down";
    case TunnelState::blocked: return "blocked";
  }
  return "unknown";
}

std::string_view to_string(QkdState state) {
  switch (state) {
    case QkdState::ok: return "ok";
    case QkdState::reduced: return "reduced";
    case QkdState::stretch: return "stretch";
    case QkdState::block: return "block";
    case QkdState::off: return "off";
  }
  return "unknown";
}

std::string_view to_string(CertificateState state) {
  switch (state) {
    case CertificateState::good: return "good";
    case CertificateState::not_yet: return "not_yet";
    case CertificateState::ends_soon: return "ends_soon";
    case CertificateState::over: return "over";
    case CertificateState::revoked: return "revoked";
  }
  return "unknown";
}

std::string_view to_string(LinkState state) {
  switch (state) {
    case LinkState::up: return "up";
    case LinkState::down: return "down";
    case LinkState::connecting: return "connecting";
  }
  return "unknown";
}

std::string to_json(const DeviceStatus& status) {
  return status_to_json(status);
}

std::string to_json(const KmsStatus& status) {
  return status_to_json(status);
}

std::string to_json(const RelayStatus& status) {
  return status_to_json(status);
}

Result<DeviceStatus> device_status_from_json(std::string_view json) {
  return status_from_json<DeviceStatus>(json);
}

Result<KmsStatus> kms_status_from_json(std::string_view json) {
  return status_from_json<KmsStatus>(json);
}

Result<RelayStatus> relay_status_from_json(std::string_view json) {
  return status_from_json<RelayStatus>(json);
}

}  // namespace quipu::control
