// SPDX-License-Identifier: Apache-2.0
// The names of quipu-kmsd's own log events; those of the pools and of the contact with a peer come from kms, those of
// the drivers' processes from driver. docs/logging.md lists all of them.
#pragma once

#include <string_view>

namespace quipu::kmsd::event {

inline constexpr std::string_view kStarted = "started";
inline constexpr std::string_view kStopped = "stopped";
inline constexpr std::string_view kFailed = "failed";  // the reason why the program ends
inline constexpr std::string_view kReloaded = "reloaded";
inline constexpr std::string_view kReloadRefused = "reload_refused";
inline constexpr std::string_view kOutOfService = "out_of_service";
inline constexpr std::string_view kListening = "listening";
inline constexpr std::string_view kListenAddressAbsent = "listen_address_absent";
inline constexpr std::string_view kAuditHead = "audit_head";
inline constexpr std::string_view kAuditDropFailed = "audit_drop_failed";
inline constexpr std::string_view kScrubFailed = "scrub_failed";
inline constexpr std::string_view kStoreKeyChanged = "store_key_changed";
inline constexpr std::string_view kStoreKeyChangeFailed = "store_key_change_failed";
inline constexpr std::string_view kKmLinkConnected = "km_link_connected";
inline constexpr std::string_view kKmLinkRefused = "km_link_refused";
inline constexpr std::string_view kKmLinkUnreachable = "km_link_unreachable";
inline constexpr std::string_view kKmLinkAwaited = "km_link_awaited";
inline constexpr std::string_view kKmLinkDialsAgain = "km_link_dials_again";
inline constexpr std::string_view kEtsi014Refused = "etsi014_refused";
inline constexpr std::string_view kRelayEntropyAbsent = "relay_entropy_absent";
inline constexpr std::string_view kSaeUnknown = "sae_unknown";

}  // namespace quipu::kmsd::event
