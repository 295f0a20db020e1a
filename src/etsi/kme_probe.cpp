// SPDX-License-Identifier: Apache-2.0
#include "etsi/kme_probe.h"

#include <algorithm>

#include "etsi/contradictions.h"
#include "etsi/error_body.h"

namespace quipu::etsi {
namespace {

constexpr int kStatusQuestions = 5;  // for a median
constexpr std::string_view kProbeExtension = "quipu_probe";

// "enc_keys" of "enc_keys by POST".
std::string method_of(const std::string& check) {
  return check.substr(0, check.find(' '));
}

std::string form_of(const ProbeReply& reply) {
  std::string out = "HTTP " + std::to_string(reply.http_status);
  if (reply.http_status < 300) return out;  // it may hold keys
  const std::string message = message_of(reply.body.view());
  if (!message.empty())
    out += ": " + message;
  else if (reply.body.empty())
    out += ", with an empty body";
  else
    out += reply.body.view()[0] == '<' ? ", with HTML" : ", with a body that is no JSON error";
  if (!reply.body.empty() && reply.content_type.empty()) out += " (no Content-Type)";
  return out;
}

bool is_uuid(const Key& key) {
  return Uuid::parse(key.id.value()).has_value();
}

}  // namespace

Verdict ProbeReport::worst() const {
  Verdict out = Verdict::good;
  for (const Finding& finding : findings)
    out = std::max(out, finding.verdict);
  return out;
}

KmeProbe::KmeProbe(ProbeSettings settings) : m_settings(std::move(settings)) {
  for (int i = 0; i < kStatusQuestions; ++i)
    ask("status", ProbedKme::own, status_request(m_settings.base, m_settings.slave),
        [this, i](const ProbeReply& reply) {
          if (i == 0) judge_status(reply);
        });
}

void KmeProbe::add(std::string_view check, Verdict verdict, std::string text) {
  m_report.findings.push_back({std::string(check), verdict, std::move(text)});
}

void KmeProbe::ask(std::string_view check, ProbedKme kme, Result<ClientRequest> request, Judge judge, bool wait) {
  m_steps.push_back({std::string(check), kme, std::move(request), std::move(judge), wait});
}

std::optional<ProbeQuestion> KmeProbe::next() {
  while (!m_steps.empty()) {
    m_open = std::move(m_steps.front());
    m_steps.pop_front();
    if (m_open->request) return ProbeQuestion{m_open->kme, std::move(*m_open->request), m_open->wait};
    add(m_open->check, Verdict::fault, "cannot be asked: " + m_open->request.error().text);
  }
  if (!std::exchange(m_concluded, true)) conclude();
  return std::nullopt;
}

void KmeProbe::answered(Result<ProbeReply> reply) {
  const Step step = std::move(*m_open);
  m_open.reset();
  if (!reply) {
    add(step.check, Verdict::fault, "no answer: " + reply.error().text);
    if (!m_any_answer) m_steps.clear();  // there is nobody
    return;
  }
  m_any_answer = true;
  if (reply->http_status == 401 || reply->http_status == 403) tell_unknown(step.kme, reply->http_status);
  if (reply->http_status == 200) m_report.took[method_of(step.check)].push_back(reply->took);
  step.judge(*reply);
}

// Once for each KME: such an answer comes to every question, and says nothing more.
void KmeProbe::tell_unknown(ProbedKme kme, unsigned http_status) {
  if (!m_unknown_at.insert(kme).second) return;
  const bool own = kme == ProbedKme::own;
  std::string names;
  for (const std::string& name : own ? m_settings.names : m_settings.peer_names)
    names += (names.empty() ? "\"" : ", \"") + name + "\"";
  add("who asks", Verdict::note,
      "HTTP " + std::to_string(http_status) + (own ? "" : " of the peer's KME") + ": the certificate names " +
          (names.empty() ? "nobody" : names) + ", and the KME knows no such SAE, or not its pair with \"" +
          (own ? m_settings.slave : m_settings.master).value() +
          "\": have both registered there, or ask with the certificate of an SAE that is");
}

// Whatever status says, keys are asked for: some KMEs give keys and no status.
void KmeProbe::judge_status(const ProbeReply& reply) {
  auto status = parse_status_reply(reply.http_status, reply.body.view());
  if (!status) {
    add("status", Verdict::note, status.error().text);
  } else {
    const auto contradictions = contradictions_in(*status, m_settings.slave);
    for (const std::string& one : contradictions)
      add("status", Verdict::note, one);
    if (contradictions.empty()) add("status", Verdict::good, "without contradiction");
    if (!status->master_sae_id.value().empty() && status->master_sae_id != m_settings.master)
      add("status", Verdict::note, "takes us for SAE \"" + status->master_sae_id.value() + "\"");
    m_report.status = std::move(*status);
  }
  ask_by_post();
  ask_by_get("size");
}

KeyRequest KmeProbe::one_key() {
  return {.number = 1, .size_bits = kKeyBits};
}

HttpMethod KmeProbe::enc_method() const {
  return m_found.enc_post ? HttpMethod::post : HttpMethod::get;
}

void KmeProbe::ask_by_post() {
  static constexpr std::string_view kCheck = "enc_keys by POST";
  ask(kCheck, ProbedKme::own, enc_keys_request(m_settings.base, m_settings.slave, one_key()),
      [this](const ProbeReply& reply) {
        m_found.enc_post = take_one(kCheck, reply);
        m_found.needs_get |=
            !m_found.enc_post && !MethodChoice().may_try_other(HttpMethod::post, reply.http_status, reply.body.view());
      });
}

void KmeProbe::ask_by_get(const std::string& size_parameter) {
  m_found.dialect.size_parameter = size_parameter;
  ask("enc_keys by GET", ProbedKme::own,
      enc_keys_request(m_settings.base, m_settings.slave, one_key(), HttpMethod::get, m_found.dialect),
      [this, size_parameter](const ProbeReply& reply) { judge_get(reply, size_parameter); });
}

void KmeProbe::judge_get(const ProbeReply& reply, const std::string& size_parameter) {
  const std::string check = "enc_keys by GET ?" + size_parameter + "=";
  m_found.enc_get = take_one(check, reply);
  const bool other_name = !m_found.enc_get && size_parameter == "size" && reply.http_status != 405;
  if (other_name) return ask_by_get("key_size");
  if (!m_found.enc_get) m_found.dialect.size_parameter = Dialect().size_parameter;
  if (m_found.enc_post || m_found.enc_get) ask_how_keys_are_served();
}

bool KmeProbe::take_one(std::string_view check, const ProbeReply& reply) {
  auto container = parse_enc_keys_reply(reply.http_status, reply.body.view(), 1, kKeyBits);
  if (!container) {
    const bool answered = reply.http_status == 200;
    m_report.keys_used += answered ? 1 : 0;
    add(check, Verdict::note, answered ? container.error().text : "refused: " + form_of(reply));
    return false;
  }
  Key& key = container->keys.front();
  ++m_report.keys_used;
  add(check, Verdict::good, "gives a key of 256 bit");
  if (!is_uuid(key)) add(check, Verdict::note, "its key_IDs are no UUIDs: they are taken as they are");
  if (!reply.content_type.starts_with("application/json"))
    add(check, Verdict::note,
        "its Content-Type is " + (reply.content_type.empty() ? "missing" : "\"" + reply.content_type + "\""));
  if (std::ranges::find(m_keys, key.id, &Key::id) != m_keys.end())
    add(check, Verdict::fault, "gives a key_ID that it gave before");
  m_keys.push_back(std::move(key));
  return true;
}

void KmeProbe::ask_how_keys_are_served() {
  // Fetching needs two keys: one by POST, one by GET.
  if (m_settings.peer_base && m_keys.size() < 2)
    ask("enc_keys once more", ProbedKme::own,
        enc_keys_request(m_settings.base, m_settings.slave, one_key(), enc_method(), m_found.dialect),
        [this](const ProbeReply& reply) { take_one("enc_keys once more", reply); });
  ask_two();
  ask_default();
  ask_odd_size();
  if (m_found.enc_post) ask_mandatory_extension();
  ask_unknown();
  if (m_settings.peer_base)
    ask("status of the peer's KME", ProbedKme::peer, status_request(*m_settings.peer_base, m_settings.master),
        [this](const ProbeReply&) { fetch_by_post(false, 0); });
}

void KmeProbe::ask_two() {
  static constexpr std::string_view kCheck = "enc_keys with number";
  const KeyRequest two{.number = 2, .size_bits = kKeyBits};
  ask(kCheck, ProbedKme::own, enc_keys_request(m_settings.base, m_settings.slave, two, enc_method(), m_found.dialect),
      [this](const ProbeReply& reply) {
        auto container = parse_enc_keys_reply(reply.http_status, reply.body.view(), 2, kKeyBits);
        m_report.keys_used += reply.http_status == 200 ? 2 : 0;
        if (!container) return add(kCheck, Verdict::note, container.error().text);
        m_two = std::move(container->keys);
        add(kCheck, Verdict::good, "gives two keys when asked for two");
      });
}

void KmeProbe::ask_default() {
  static constexpr std::string_view kCheck = "enc_keys with defaults";
  ask(kCheck, ProbedKme::own, enc_keys_request(m_settings.base, m_settings.slave, {}, enc_method()),
      [this](const ProbeReply& reply) {
        if (reply.http_status != 200) return add(kCheck, Verdict::note, "refused: " + form_of(reply));
        ++m_report.keys_used;
        const auto wanted = static_cast<std::uint32_t>(m_report.status ? m_report.status->key_size : 0);
        const auto container = parse_enc_keys_reply(reply.http_status, reply.body.view(), 1, wanted);
        if (!container) return add(kCheck, Verdict::note, container.error().text);
        add(kCheck, Verdict::good,
            "gives a key of " + std::to_string(container->keys.front().bytes.size() * 8) + " bit" +
                (wanted == 0 ? "" : ", its key_size"));
      });
}

void KmeProbe::ask_odd_size() {
  const std::uint64_t max = m_report.status ? m_report.status->max_key_size : 0;
  const std::uint32_t bits = max != 0 && max <= kKeyBits ? kKeyBits - 1 : kKeyBits + 1;
  const KeyRequest odd{.number = 1, .size_bits = bits};
  ask("enc_keys of an odd size", ProbedKme::own,
      enc_keys_request(m_settings.base, m_settings.slave, odd, enc_method(), m_found.dialect),
      [this, bits](const ProbeReply& reply) { judge_odd_size(reply, bits); });
}

void KmeProbe::judge_odd_size(const ProbeReply& reply, std::uint32_t bits) {
  static constexpr std::string_view kCheck = "enc_keys of an odd size";
  if (reply.http_status != 200) return judge_refusal(kCheck, reply, kSizeNotMultipleOf8);
  ++m_report.keys_used;
  const auto container = parse_enc_keys_reply(reply.http_status, reply.body.view(), 1, 0);
  if (!container) return add(kCheck, Verdict::note, container.error().text);
  const std::size_t got = container->keys.front().bytes.size() * 8;
  add(kCheck, got >= bits ? Verdict::good : Verdict::note,
      "gives " + std::to_string(got) + " bit for " + std::to_string(bits));
}

void KmeProbe::ask_mandatory_extension() {
  static constexpr std::string_view kCheck = "enc_keys with an unknown mandatory extension";
  KeyRequest request = one_key();
  request.extension_mandatory = {{std::string(kProbeExtension), "1"}};
  ask(kCheck, ProbedKme::own, enc_keys_request(m_settings.base, m_settings.slave, request),
      [this](const ProbeReply& reply) {
        if (reply.http_status != 200) return judge_refusal(kCheck, reply, kMandatoryNotSupported);
        ++m_report.keys_used;
        add(kCheck, Verdict::note, "gives a key all the same, against clause 6.2");
      });
}

void KmeProbe::judge_refusal(std::string_view check, const ProbeReply& reply, std::string_view wanted) {
  const bool as_prescribed = reply.http_status == 400 && message_of(reply.body.view()) == wanted;
  add(check, as_prescribed ? Verdict::good : Verdict::note,
      "refused: " + form_of(reply) + (as_prescribed ? "" : "; the standard's is HTTP 400: " + std::string(wanted)));
}

}  // namespace quipu::etsi
