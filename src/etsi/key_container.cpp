// SPDX-License-Identifier: Apache-2.0
#include "etsi/key_container.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "etsi/etsi014_server.h"
#include "etsi/json.h"

namespace quipu::etsi {
namespace {

constexpr std::string_view kExtension = "key_container_extension";

// Path of a member of one key: keys[].NAME. The standard's table prints "Keys", its examples "keys".
bool is_keys(const JsonPath& path) {
  return !path.empty() && (path[0] == "keys" || path[0] == "Keys");
}

bool is_entry(const JsonPath& path) {
  return path.size() == 2 && is_keys(path);
}

bool is_member(const JsonPath& path, std::string_view name) {
  return path.size() == 3 && is_keys(path) && path[2] == name;
}

bool is_simulated_member(const JsonPath& path) {
  return path.size() == 2 && path[0] == kExtension && path[1] == kSimulatedMember;
}

bool is_id_octet(char c) {
  return c > ' ' && c <= '~';
}

class ContainerReader final : public JsonVisitor {
 public:
  Result<void> begin(const JsonPath& path, JsonKind kind) override {
    if (path.empty()) return expect(path, kind, JsonKind::object);
    if (path.size() == 1 && is_keys(path)) {
      if (std::exchange(m_seen_keys, true)) return fail(Errc::duplicate, "keys: given twice");
      return expect(path, kind, JsonKind::array);
    }
    if (is_entry(path)) {
      m_key = {};
      return expect(path, kind, JsonKind::object);
    }
    if (is_member(path, "key_ID") || is_member(path, "key")) return expect(path, kind, JsonKind::string);
    if (is_simulated_member(path)) return expect(path, kind, JsonKind::boolean);
    return {};
  }

  Result<void> boolean(const JsonPath& path, bool value) override {
    if (is_simulated_member(path)) m_container.simulated = value;
    return {};
  }

  Result<void> string(const JsonPath& path, std::string_view text) override {
    if (is_member(path, "key_ID")) return read_id(text);
    if (is_member(path, "key")) return read_key(text);
    return {};
  }

  Result<void> escaped_string(const JsonPath& path) override {
    if (!is_member(path, "key_ID") && !is_member(path, "key")) return {};
    return fail(Errc::malformed, to_string(path) + ": holds characters that do not belong there");
  }

  Result<void> object_end(const JsonPath& path) override {
    if (!is_entry(path)) return {};
    if (m_key.id.value().empty()) return fail(Errc::malformed, "keys[]: key_ID is missing");
    if (m_key.bytes.empty()) return fail(Errc::malformed, "keys[]: key is missing");
    if (!m_ids.insert(m_key.id).second) return fail(Errc::duplicate, "keys[].key_ID: one id for two keys");
    if (m_container.keys.size() == kMaxIdsPerRequest) return fail(Errc::too_large, "keys: too many");
    m_container.keys.push_back(std::exchange(m_key, {}));
    return {};
  }

  Result<KeyContainer> finish() && {
    if (!m_seen_keys) return fail(Errc::malformed, "keys: missing");
    return std::move(m_container);
  }

 private:
  static Result<void> expect(const JsonPath& path, JsonKind kind, JsonKind wanted) {
    if (kind == wanted) return {};
    return fail(Errc::malformed, to_string(path) + ": of the wrong type");
  }

  Result<void> read_id(std::string_view text) {
    if (text.empty() || text.size() > kMaxKeyIdSize || !std::ranges::all_of(text, is_id_octet))
      return fail(Errc::malformed, "keys[].key_ID: not 1 to 64 printable characters");
    m_key.id = KeyId(std::string(text));
    return {};
  }

  Result<void> read_key(std::string_view text) {
    auto bytes = secret_from_base64(text);
    if (!bytes || bytes->empty()) return fail(Errc::malformed, "keys[].key: not base64 of at least one octet");
    m_key.bytes = std::move(*bytes);
    return {};
  }

  KeyContainer m_container;
  std::set<KeyId> m_ids;
  Key m_key;  // the entry that is open
  bool m_seen_keys = false;
};

constexpr std::string_view kOpen = R"({"keys":[)";
constexpr std::string_view kId = R"({"key_ID":)";
constexpr std::string_view kKey = R"(,"key":")";
constexpr std::string_view kEntryEnd = R"("})";
constexpr std::string_view kListEnd = "]";
constexpr std::string_view kClose = "}";

std::string extension_of(const KeyContainer& container) {
  if (!container.simulated) return {};
  return ",\"" + std::string(kExtension) + "\":{\"" + std::string(kSimulatedMember) + "\":true}";
}

std::size_t base64_size(std::size_t octets) {
  return (octets + 2) / 3 * 4;
}

}  // namespace

Result<KeyContainer> read_container(ByteView json) {
  ContainerReader reader;
  if (std::ranges::find(json, std::uint8_t{'\\'}) != json.end()) {
    const SecretBytes plain = without_ascii_escapes(json);
    QUIPU_TRY(walk_json(plain.view(), reader));
  } else {
    QUIPU_TRY(walk_json(json, reader));
  }
  return std::move(reader).finish();
}

SecretBytes write_container(const KeyContainer& container) {
  std::vector<std::string> ids;
  const std::string extension = extension_of(container);
  std::size_t size = kOpen.size() + kListEnd.size() + extension.size() + kClose.size();
  for (const Key& key : container.keys) {
    ids.push_back(json_string(key.id.value()));
    size += kId.size() + ids.back().size() + kKey.size() + base64_size(key.bytes.size()) + kEntryEnd.size();
  }
  if (!ids.empty()) size += ids.size() - 1;  // commas

  SecretBytes out(size);
  ByteWriter writer(out.mutable_view());
  writer.bytes(as_bytes(kOpen));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i != 0) writer.u8(',');
    writer.bytes(as_bytes(kId)).bytes(as_bytes(ids[i])).bytes(as_bytes(kKey));
    writer.bytes(secret_to_base64(container.keys[i].bytes.view()).view()).bytes(as_bytes(kEntryEnd));
  }
  writer.bytes(as_bytes(kListEnd)).bytes(as_bytes(extension)).bytes(as_bytes(kClose));
  QUIPU_ASSERT(writer.ok() && writer.size() == size);
  return out;
}

}  // namespace quipu::etsi
