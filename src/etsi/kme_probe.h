// SPDX-License-Identifier: Apache-2.0
// Finds out what a KME really does: puts one question after the other and judges the answers. No I/O. With a second
// KME, the one that the other site asks, it fetches the same keys there and compares them. It uses up a few keys of the
// pair, says how many, and tells no octet of any.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "etsi/etsi014_client.h"

namespace quipu::etsi {

enum class Verdict : std::uint8_t {
  good,   // as the standard says
  note,   // differs, and Quipu copes with it, by itself or by a setting
  fault,  // breaks what keys depend on
};

struct Finding {
  std::string check;  // "enc_keys by POST"
  Verdict verdict;
  std::string text;
};

struct ProbeSettings {
  std::string base;                      // path part of the KME's URL
  std::optional<std::string> peer_base;  // the same of the other site's KME; nothing: there is none to ask
  SaeId master;                          // who asks at the KME
  SaeId slave;                           // who asks at the other one
  KeyId unknown_id;                      // of no key
  // That the certificates name which we ask under, here and at the other site: an SAE is known by one of them.
  std::vector<std::string> names = {};
  std::vector<std::string> peer_names = {};
};

enum class ProbedKme : std::uint8_t { own, peer };

struct ProbeQuestion {
  ProbedKme kme;
  ClientRequest request;
  bool wait = false;  // a moment before asking: the same question again, for a key that may still be on its way
};

struct ProbeReply {
  unsigned http_status = 0;
  std::string content_type = {};
  SecretBytes body = {};
  Duration took{};
};

struct ProbeReport {
  std::optional<Status> status = {};
  std::vector<Finding> findings = {};
  std::size_t keys_used = 0;
  std::vector<std::string> settings = {};  // lines for [kms.NAME] in quipud's file; none where the defaults fit
  std::map<std::string, std::vector<Duration>> took = {};  // of "status", "enc_keys" and "dec_keys", where they worked
  bool usable = false;                                     // keys of 256 bits can be had, alike at both where asked

  Verdict worst() const;
};

class KmeProbe {
 public:
  // The size of the keys that Quipu asks for.
  static constexpr std::uint32_t kKeyBits = 256;
  // How often a key that the other KME does not know is asked for.
  static constexpr int kPatience = 20;

  explicit KmeProbe(ProbeSettings settings);
  KmeProbe(const KmeProbe&) = delete;
  KmeProbe& operator=(const KmeProbe&) = delete;
  ~KmeProbe() = default;

  // The next question; nothing when all is asked. Each is to be answered before the next one.
  std::optional<ProbeQuestion> next();
  // An error: the question got no answer.
  void answered(Result<ProbeReply> reply);

  const ProbeReport& report() const { return m_report; }

 private:
  using Judge = std::function<void(const ProbeReply&)>;

  struct Step {
    std::string check;
    ProbedKme kme;
    Result<ClientRequest> request;
    Judge judge;
    bool wait = false;
  };

  struct Found {
    // These gave a key of the right size.
    bool enc_post = false;
    bool enc_get = false;
    bool dec_post = false;
    bool dec_get = false;
    bool needs_get = false;  // POST does not do, and is not refused in a way that would have Quipu try GET
    bool fetched = false;    // at the other KME, some key
    bool same = true;        // and all of them were the ones that this KME gave
    Dialect dialect;         // as far as it was found; the last one tried, while asking
  };

  static KeyRequest one_key();
  HttpMethod enc_method() const;
  void add(std::string_view check, Verdict verdict, std::string text);
  void ask(std::string_view check, ProbedKme kme, Result<ClientRequest> request, Judge judge, bool wait = false);
  void ask_peer(std::string_view check, std::span<const Key> keys, HttpMethod method, bool wait, Judge judge);

  void tell_unknown(ProbedKme kme, unsigned http_status);
  void judge_status(const ProbeReply& reply);
  void ask_by_post();
  void ask_by_get(const std::string& size_parameter);
  void judge_get(const ProbeReply& reply, const std::string& size_parameter);
  bool take_one(std::string_view check, const ProbeReply& reply);
  void ask_how_keys_are_served();
  void ask_two();
  void ask_default();
  void ask_odd_size();
  void judge_odd_size(const ProbeReply& reply, std::uint32_t bits);
  void ask_mandatory_extension();
  void judge_refusal(std::string_view check, const ProbeReply& reply, std::string_view wanted);
  void fetch_by_post(bool master_in_key_ids, int asked);
  void judge_fetch_by_post(const ProbeReply& reply, int asked);
  void fetch_again();
  void fetch_by_get(const std::string& key_id_parameter, int asked);
  void judge_fetch_by_get(const ProbeReply& reply, int asked);
  void fetch_two();
  void ask_unknown();
  void tell_comparison(std::string_view check, const Result<bool>& same);
  bool needs_method_get() const;
  void conclude();

  ProbeSettings m_settings;
  std::deque<Step> m_steps;
  std::optional<Step> m_open;
  Found m_found;
  std::vector<Key> m_keys;           // got one by one
  std::vector<Key> m_two;            // got together
  std::set<ProbedKme> m_unknown_at;  // where we are nobody
  bool m_any_answer = false;
  bool m_concluded = false;
  ProbeReport m_report;
};

}  // namespace quipu::etsi
