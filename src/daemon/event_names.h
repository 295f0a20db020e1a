// SPDX-License-Identifier: Apache-2.0
// The names of quipud's own log events; those of the tunnels come from protocol (docs/protocol.md, "Events").
// docs/logging.md lists both.
#pragma once

#include <string_view>

namespace quipu::daemon::event {

inline constexpr std::string_view kStarted = "started";
inline constexpr std::string_view kFewerLanes = "fewer_lanes";
inline constexpr std::string_view kStopping = "stopping";
inline constexpr std::string_view kStopped = "stopped";
inline constexpr std::string_view kFailed = "failed";  // the reason why the program ends
inline constexpr std::string_view kReloaded = "reloaded";
inline constexpr std::string_view kReloadRefused = "reload_refused";
inline constexpr std::string_view kUnprotected = "unprotected";
inline constexpr std::string_view kKmsAvailable = "kms_available";
inline constexpr std::string_view kKmsUnavailable = "kms_unavailable";
inline constexpr std::string_view kSourceSimulated = "source_simulated";
inline constexpr std::string_view kKeyBurnt = "key_burnt";
inline constexpr std::string_view kEndpointResolved = "endpoint_resolved";
inline constexpr std::string_view kEndpointUnresolved = "endpoint_unresolved";
inline constexpr std::string_view kBypassed = "bypassed";
inline constexpr std::string_view kConnectedProtected = "connected_protected";
inline constexpr std::string_view kLinkDown = "link_down";
inline constexpr std::string_view kLinkUp = "link_up";
inline constexpr std::string_view kRoutesRestored = "routes_restored";
inline constexpr std::string_view kRoutesNotRestored = "routes_not_restored";
inline constexpr std::string_view kGuardsNotStored = "guards_not_stored";
inline constexpr std::string_view kMachineChanged = "machine_changed";
inline constexpr std::string_view kMachineUnreadable = "machine_unreadable";
inline constexpr std::string_view kStampsNotStored = "stamps_not_stored";
inline constexpr std::string_view kStampsStored = "stamps_stored";
inline constexpr std::string_view kStampJumpPermitted = "stamp_jump_permitted";

}  // namespace quipu::daemon::event
