// SPDX-License-Identifier: Apache-2.0
#include "config/kms_sections.h"

#include "config/checks.h"

namespace quipu::config {
namespace {

constexpr std::string_view kUrlForm = "of the form https://HOST[:PORT]";

// The URL, as far as it is one that can be called: what is wrong with it was added.
std::optional<HttpsUrl> read_kms_url(const Section& section, std::string_view key, const ListItem& item) {
  auto url = HttpsUrl::parse(item.text);
  if (!url) {
    section.add_at(item.position, key, fmt::format("\"{}\" is not {}", item.text, kUrlForm), "correct the value");
    return std::nullopt;
  }
  refuse_nobodys_address(section, key, url->server);
  for (const std::string_view own : {"/api/v1", "/api/v1/keys"})
    if (url->path.ends_with(own))
      section.add_at(item.position, key, fmt::format("ends in {}, which Quipu adds itself", own),
                     fmt::format("write it without: https://{}{}", url->server.text(),
                                 url->path.substr(0, url->path.size() - own.size())));
  return url;
}

void read_kms_urls(const Section& section, KmsConfig& kms) {
  UniqueValues unique("KME");
  if (const auto text = section.text("url")) {
    kms.url = read_kms_url(section, "url", {*text, section.position_of("url")}).value_or(HttpsUrl{});
    unique.take(section, "url", kms.url.text());
  }
  for (const ListItem& item : section.text_list("standby_urls").value_or(std::vector<ListItem>{})) {
    const auto url = read_kms_url(section, "standby_urls", item);
    if (!url) continue;
    unique.take_at(section, item.position, "standby_urls", url->text());
    kms.standby_urls.push_back(*url);
  }
}

void read_kms_dialect(const Section& section, KmsConfig& kms) {
  const std::string method = section.text("method").value_or("auto");
  kms.method = method == "post" ? KmsMethod::post : method == "get" ? KmsMethod::get : KmsMethod::automatic;
  kms.size_parameter = section.text("size_parameter").value_or("");
  kms.key_id_parameter = section.text("key_id_parameter").value_or("");
  kms.master_in_key_ids = section.boolean("master_in_key_ids").value_or(false);
}

KmsConfig read_kms(const Section& section, const std::string& name) {
  KmsConfig kms;
  kms.name = name;
  read_kms_urls(section, kms);
  read_kms_dialect(section, kms);
  kms.sae_id = SaeId(read_id(section, "sae_id"));
  kms.sae_id_position = section.position_of("sae_id");
  kms.tls = read_tls_files(section);
  return kms;
}

}  // namespace

std::vector<KmsConfig> read_all_kms(const Section& root) {
  std::vector<KmsConfig> out;
  const auto section = root.table("kms");
  if (!section) return out;
  for (const std::string& name : section->names()) {
    if (!section->holds_table(name) && find_key(quipud_keys(), "kms.NAME", name) != nullptr) {
      section->add(name, "stands in [kms] itself", "each KMS has a name: write [kms.local] for [kms], or another name");
      break;
    }
    if (!parse_name(name)) section->add(name, fmt::format("\"{}\" is not {}", name, kNameForm), "rename it");
    if (const auto kms = section->table(name)) out.push_back(read_kms(*kms, name));
  }
  return out;
}

}  // namespace quipu::config
