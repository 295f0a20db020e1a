// SPDX-License-Identifier: Apache-2.0
// What KmeProbe asks of dec_keys, and what it makes of everything.
#include <span>

#include "etsi/kme_probe.h"

namespace quipu::etsi {
namespace {

constexpr std::string_view kByPost = "dec_keys by POST";
constexpr std::string_view kTwice = "dec_keys of a key that was fetched";
constexpr std::string_view kTogether = "dec_keys of two keys";
constexpr std::string_view kUnknown = "dec_keys of an unknown key";

std::vector<KeyId> ids_of(std::span<const Key> keys) {
  std::vector<KeyId> out;
  for (const Key& key : keys)
    out.push_back(key.id);
  return out;
}

// The keys of a reply to dec_keys are these, octet by octet.
Result<bool> are_same(const ProbeReply& reply, std::span<const Key> keys) {
  QUIPU_TRY_ASSIGN(const KeyContainer container,
                   parse_dec_keys_reply(reply.http_status, reply.body.view(), {ids_of(keys)}, KmeProbe::kKeyBits));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!(container.keys[i].bytes == keys[i].bytes)) return false;
  }
  return true;
}

bool may_come(const Result<bool>& same) {
  return !same && same.error().code == Errc::not_found;
}

}  // namespace

void KmeProbe::tell_comparison(std::string_view check, const Result<bool>& same) {
  if (!same) return add(check, Verdict::note, same.error().text);
  m_found.fetched = true;
  m_found.same &= *same;
  add(check, *same ? Verdict::good : Verdict::fault,
      *same ? "gives the same key at both KMEs" : "gives another key than the other KME under the same key_ID");
}

void KmeProbe::ask_peer(std::string_view check, std::span<const Key> keys, HttpMethod method, bool wait, Judge judge) {
  ask(check, ProbedKme::peer,
      dec_keys_request(*m_settings.peer_base, m_settings.master, {ids_of(keys)}, method, m_found.dialect),
      std::move(judge), wait);
}

void KmeProbe::fetch_by_post(bool master_in_key_ids, int asked) {
  m_found.dialect.master_in_key_ids = master_in_key_ids;
  ask_peer(kByPost, std::span(m_keys).first(1), HttpMethod::post, asked != 0,
           [this, asked](const ProbeReply& reply) { judge_fetch_by_post(reply, asked); });
}

// A refusal may mean that the key is not there yet, or that the entries of key_IDs lack something.
void KmeProbe::judge_fetch_by_post(const ProbeReply& reply, int asked) {
  const bool with_master = m_found.dialect.master_in_key_ids;
  const Result<bool> same = are_same(reply, std::span(m_keys).first(1));
  if (may_come(same) && asked < kPatience) return fetch_by_post(with_master, asked + 1);
  if (may_come(same) && !with_master) return fetch_by_post(true, kPatience);
  m_found.dec_post = same.has_value();
  if (!same) m_found.dialect.master_in_key_ids = false;
  m_found.needs_get |= !same && !MethodChoice().may_try_other(HttpMethod::post, reply.http_status, reply.body.view());
  tell_comparison(kByPost, same);
  if (same) fetch_again();
  if (m_keys.size() > 1) fetch_by_get("key_ID", 0);
  if (m_found.dec_post && m_two.size() == 2) fetch_two();
}

void KmeProbe::fetch_again() {
  ask_peer(kTwice, std::span(m_keys).first(1), HttpMethod::post, false, [this](const ProbeReply& reply) {
    if (reply.http_status != 200) return judge_refusal(kTwice, reply, kKeysNotFound);
    add(kTwice, Verdict::fault, "given again: whoever can ask as this SAE gets keys that are in use");
  });
}

void KmeProbe::fetch_by_get(const std::string& key_id_parameter, int asked) {
  m_found.dialect.key_id_parameter = key_id_parameter;
  ask_peer("dec_keys by GET ?" + key_id_parameter + "=", std::span(m_keys).subspan(1, 1), HttpMethod::get, asked != 0,
           [this, asked](const ProbeReply& reply) { judge_fetch_by_get(reply, asked); });
}

void KmeProbe::judge_fetch_by_get(const ProbeReply& reply, int asked) {
  const std::string parameter = m_found.dialect.key_id_parameter;
  const bool usual = parameter == Dialect().key_id_parameter;
  const Result<bool> same = are_same(reply, std::span(m_keys).subspan(1, 1));
  if (may_come(same) && !m_found.dec_post && asked < kPatience) return fetch_by_get(parameter, asked + 1);
  if (!same && usual && reply.http_status != 405) return fetch_by_get("key_IDs", kPatience);
  m_found.dec_get = same.has_value();
  if (!same) m_found.dialect.key_id_parameter = Dialect().key_id_parameter;
  tell_comparison("dec_keys by GET ?" + parameter + "=", same);
}

void KmeProbe::fetch_two() {
  ask_peer(kTogether, m_two, HttpMethod::post, false,
           [this](const ProbeReply& reply) { tell_comparison(kTogether, are_same(reply, m_two)); });
}

// At the KME that is there: as slave where there is no other one. It does not know the id in either role.
void KmeProbe::ask_unknown() {
  const bool peer = m_settings.peer_base.has_value();
  ask(kUnknown, peer ? ProbedKme::peer : ProbedKme::own,
      dec_keys_request(peer ? *m_settings.peer_base : m_settings.base, peer ? m_settings.master : m_settings.slave,
                       {{m_settings.unknown_id}}),
      [this](const ProbeReply& reply) {
        if (reply.http_status == 200) return add(kUnknown, Verdict::fault, "answered by HTTP 200");
        judge_refusal(kUnknown, reply, kKeysNotFound);
      });
}

// One setting serves both methods.
bool KmeProbe::needs_method_get() const {
  return m_found.needs_get && (!m_found.enc_post || (m_settings.peer_base && !m_found.dec_post));
}

void KmeProbe::conclude() {
  const bool any_fetched = !m_settings.peer_base || m_found.fetched;
  const bool gives = m_found.enc_post || m_found.enc_get;
  const bool both_by_get = m_found.enc_get && (!m_settings.peer_base || m_found.dec_get);
  m_report.usable = gives && any_fetched && m_found.same && (!needs_method_get() || both_by_get);
  if (!m_any_answer) return;
  if (!gives) add("keys", Verdict::fault, "no key of 256 bit can be had");
  if (gives && !any_fetched) add("keys", Verdict::fault, "the other KME gives none of the keys");
  if (gives && any_fetched && needs_method_get() && !both_by_get)
    add("keys", Verdict::fault, "one of enc_keys and dec_keys has to be asked by GET, which the other does not take");
  if (!m_report.usable) return;
  const bool by_get = needs_method_get();
  if (by_get) m_report.settings.emplace_back("method = \"get\"");
  if (m_found.dialect.size_parameter != Dialect().size_parameter && (by_get || !m_found.enc_post))
    m_report.settings.push_back("size_parameter = \"" + m_found.dialect.size_parameter + "\"");
  if (m_found.dialect.key_id_parameter != Dialect().key_id_parameter && (by_get || !m_found.dec_post))
    m_report.settings.push_back("key_id_parameter = \"" + m_found.dialect.key_id_parameter + "\"");
  if (m_found.dialect.master_in_key_ids) m_report.settings.emplace_back("master_in_key_ids = true");
}

}  // namespace quipu::etsi
