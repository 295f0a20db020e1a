// SPDX-License-Identifier: Apache-2.0
// Mutual TLS: one certificate of ours, one CA that we trust and no other (the system's trust store is never asked).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

struct ssl_ctx_st;
struct ssl_st;

namespace quipu::net {

// Paths of PEM files: trusted CA certificates, our chain (own certificate first), its private key without a passphrase;
// and, unless empty, the lists of what these CAs have revoked (CRL, RFC 5280 clause 5).
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
  std::string crl = {};
};

// Which of them, and what is wrong with it.
struct TlsFault {
  enum class File { ca, certificate, key, crl } file;
  Error error;
};

struct TlsOptions {
  bool require_hybrid = false;  // only X25519MLKEM768: for KM links
  bool allow_tls12 = false;     // for old encryptors: ECDHE with AEAD suites only
};

// Where in a certificate the id of its holder stands.
enum class NameRule : std::uint8_t {
  // URI SANs, then DNS SANs; the common name only in a certificate without either: an authority that names holders by
  // SAN may let anything stand in it.
  san_or_common_name,
  uri_san,
  dns_san,
  common_name,
};

// Whom a certificate speaks for.
struct PeerIdentity {
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  std::string common_name;                     // of the subject; empty when there is none or more than one
  std::string serial_number;                   // decimal
  std::array<std::uint8_t, 32> fingerprint{};  // SHA-256 of the DER certificate
  WallTime not_before{};
  WallTime not_after{};

  // In the order in which an SAE or KME id is looked for: the first that the caller knows is the peer's.
  std::vector<std::string> names(NameRule rule = NameRule::san_or_common_name) const;
  // One of names() is `id`, octet by octet.
  bool is(std::string_view id) const;
};

// From when until when lists of revoked certificates are good for anything.
struct RevocationPeriod {
  WallTime since = WallTime::min();
  WallTime until = WallTime::max();  // without a next update: no end

  bool operator==(const RevocationPeriod&) const = default;
};

// What both ends agreed on, in OpenSSL's words: "TLSv1.3", "X25519MLKEM768", "TLS_AES_256_GCM_SHA384".
struct TlsAgreement {
  std::string version;
  std::string group;
  std::string cipher_suite;
};

// Loaded once, shared by all connections made with it, both as server and as client. To change certificates without a
// restart load a new one and hand it to the servers and clients (set_context); connections that exist keep the old one.
class TlsContext {
 public:
  // All that is wrong with the files. Errors name the file: Errc::io not readable, Errc::malformed no PEM in it,
  // Errc::conflict key and certificate, or lists and authorities, do not belong together, Errc::unsupported a list of
  // changes only. What is not valid now loads (the clock may be wrong at start): watch own().not_after, is_revoked()
  // and revocation().
  static std::expected<std::shared_ptr<const TlsContext>, std::vector<TlsFault>> load(const TlsFiles& files,
                                                                                      const TlsOptions& options = {});

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  // What our own certificate says.
  const PeerIdentity& own() const { return m_own; }

  // The lists name our own certificate.
  bool is_revoked() const { return m_is_revoked; }

  // Of the newest list of each authority; nothing where none was named. Outside of it every peer is refused.
  const std::optional<RevocationPeriod>& revocation() const { return m_revocation; }

  // Whether the trusted file holds an authority at all, and whether ours is issued by one of it: validity apart. Both
  // are so where all sites share one; where each end has its own, the second is not, and is right all the same.
  bool trusts_an_authority() const { return m_trusts_an_authority; }

  bool trusts_itself() const { return m_trusts_itself; }

  // For the files of src/net only: a new session, owned by the caller.
  ssl_st* new_session() const;

 private:
  TlsContext() = default;

  ssl_ctx_st* m_native = nullptr;
  PeerIdentity m_own;
  std::optional<RevocationPeriod> m_revocation;
  bool m_is_revoked = false;
  bool m_trusts_an_authority = false;
  bool m_trusts_itself = false;
};

}  // namespace quipu::net
