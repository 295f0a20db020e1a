// SPDX-License-Identifier: Apache-2.0
// ETSI GS QKD 014 V1.1.1, REST key delivery: its data formats (clause 6). A plain struct each, no I/O. Requests are
// read and replies written by etsi014_server.h, the other way round by etsi014_client.h. Names are the standard's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/secret.h"

namespace quipu::etsi {

// Every path of this edition starts with it.
inline constexpr std::string_view kBasePath = "/api/v1/keys/";
inline constexpr std::size_t kMaxSaeIdSize = 255;
// Caps of our parsers, above what a KME grants in its Status.
inline constexpr std::size_t kMaxIdsPerRequest = 1024;
inline constexpr std::size_t kMaxAdditionalSaes = 64;
inline constexpr std::size_t kMaxExtensions = 32;
inline constexpr std::size_t kMaxRequestBody = std::size_t{256} * 1024;

// Member of our own in status_extension and key_container_extension, the objects that the standard leaves for more:
// "quipu_simulated": true, where key material of a simulated device is in the stock or among the keys. Left out
// otherwise; clients that do not know it pass it over.
inline constexpr std::string_view kSimulatedMember = "quipu_simulated";

// Status (6.1). Sizes in bits, counts in keys of key_size.
struct Status {
  KmeId source_kme_id = {};
  KmeId target_kme_id = {};
  SaeId master_sae_id = {};
  SaeId slave_sae_id = {};
  std::uint64_t key_size = 0;
  std::uint64_t stored_key_count = 0;
  std::uint64_t max_key_count = 0;
  std::uint64_t max_key_per_request = 0;
  std::uint64_t max_key_size = 0;
  std::uint64_t min_key_size = 0;
  std::uint64_t max_sae_id_count = 0;  // additional slaves; 0: no multicast
  bool simulated = false;              // status_extension: kSimulatedMember

  bool operator==(const Status&) const = default;
};

// One member of extension_mandatory or extension_optional: a name with any JSON value, kept as JSON text.
struct Extension {
  std::string name;
  std::string value_json;

  bool operator==(const Extension&) const = default;
};

// Key request (6.2). What is absent takes the KME's default: number 1, size Status.key_size.
struct KeyRequest {
  std::optional<std::uint32_t> number = {};
  std::optional<std::uint32_t> size_bits = {};
  std::vector<SaeId> additional_slave_sae_ids = {};
  std::vector<Extension> extension_mandatory = {};
  std::vector<Extension> extension_optional = {};

  bool operator==(const KeyRequest&) const = default;
};

// Key container (6.3).
struct Key {
  KeyId id;
  SecretBytes bytes;
};

struct KeyContainer {
  std::vector<Key> keys = {};
  bool simulated = false;  // key_container_extension: kSimulatedMember
};

// Key IDs (6.4).
struct KeyIds {
  std::vector<KeyId> ids;

  bool operator==(const KeyIds&) const = default;
};

// Error data format (6.5) with the HTTP status it goes with. 401 has no body by the standard.
struct ErrorDetail {
  std::string name;
  std::string value;

  bool operator==(const ErrorDetail&) const = default;
};

struct ApiError {
  unsigned http_status = 400;
  std::string message = {};
  std::vector<ErrorDetail> details = {};

  bool operator==(const ApiError&) const = default;
};

// The messages that the standard prescribes for HTTP 400. Two more are for extensions that a KME knows, which is none.
inline constexpr std::string_view kSizeNotMultipleOf8 = "size shall be a multiple of 8";
inline constexpr std::string_view kMandatoryNotSupported = "not all extension_mandatory parameters are supported";
inline constexpr std::string_view kKeysNotFound = "one or more keys specified are not found on KME";

}  // namespace quipu::etsi
