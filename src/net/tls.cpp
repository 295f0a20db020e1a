// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "base/freed_by.h"
#include "base/ip.h"
#include "crypto/library.h"
#include "net/tls_files.h"
#include "net/tls_native.h"
#include "net/tls_revocation.h"

namespace quipu::net {
namespace {

constexpr long kMaxPeerChain = long{32} * 1024;  // octets of certificates that a stranger may send

// A hybrid share and a classical one are offered at once; a server that knows the hybrid group must choose it.
constexpr const char* kGroups = "*X25519MLKEM768/*X25519:secp256r1:secp384r1";
constexpr const char* kHybridGroups = "X25519MLKEM768";
constexpr const char* kTls13Suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
constexpr const char* kTls12Suites = "ECDHE+AESGCM:ECDHE+CHACHA20";

using BigNumber = std::unique_ptr<BIGNUM, FreedBy<BN_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreedBy<GENERAL_NAMES_free>>;
using ContextPointer = std::unique_ptr<SSL_CTX, FreedBy<SSL_CTX_free>>;

std::string text_of(const ASN1_STRING* string) {
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(string));
  std::string out(data, static_cast<std::size_t>(ASN1_STRING_length(string)));
  return out.find('\0') == std::string::npos ? out : std::string();  // a name that other programs would read shorter
}

std::string common_name_of(const X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  const std::string out(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return out.find('\0') == std::string::npos ? out : std::string();
}

std::string serial_number_of(const X509* certificate) {
  const BigNumber number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* const decimal = number == nullptr ? nullptr : BN_bn2dec(number.get());
  if (decimal == nullptr) return {};
  const std::string out(decimal);
  OPENSSL_free(decimal);
  return out;
}

Result<ContextPointer> make_context(const TlsOptions& options) {
  crypto::start_libraries();
  ERR_clear_error();
  ContextPointer context(SSL_CTX_new(TLS_method()));
  if (context == nullptr) return fail(Errc::crypto_failure, "TLS: " + last_reason());
  SSL_CTX* ctx = context.get();
  const bool ok = SSL_CTX_set_min_proto_version(ctx, options.allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
                  SSL_CTX_set1_groups_list(ctx, options.require_hybrid ? kHybridGroups : kGroups) == 1 &&
                  SSL_CTX_set_ciphersuites(ctx, kTls13Suites) == 1 && SSL_CTX_set_cipher_list(ctx, kTls12Suites) == 1;
  if (!ok) return fail(Errc::crypto_failure, "TLS: " + last_reason());
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // No resumption: each connection shows its certificate. Decrypted octets leave no copy in OpenSSL's buffers.
  SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_max_cert_list(ctx, kMaxPeerChain);
  return context;
}

Result<std::vector<Certificate>> trust(SSL_CTX* ctx, const std::string& path) {
  QUIPU_TRY_ASSIGN(std::vector<Certificate> certificates, read_certificates(path));
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  for (const Certificate& certificate : certificates) {
    if (X509_STORE_add_cert(store, certificate.get()) != 1 || SSL_CTX_add_client_CA(ctx, certificate.get()) != 1)
      return fail(Errc::malformed, path + ": " + last_reason());
  }
  return certificates;
}

Result<PeerIdentity> present(SSL_CTX* ctx, const std::string& path) {
  QUIPU_TRY_ASSIGN(std::vector<Certificate> chain, read_certificates(path));
  if (SSL_CTX_use_certificate(ctx, chain[0].get()) != 1) return fail(Errc::malformed, path + ": " + last_reason());
  for (std::size_t i = 1; i < chain.size(); ++i)
    SSL_CTX_add1_chain_cert(ctx, chain[i].get());
  return identity_of(chain[0].get());
}

// Of the certificate that is presented, if there is one.
Result<void> use_private_key(SSL_CTX* ctx, const TlsFiles& files) {
  QUIPU_TRY_ASSIGN(const PrivateKey key, read_private_key(files.key));
  const X509* const certificate = SSL_CTX_get0_certificate(ctx);
  if (certificate != nullptr && X509_check_private_key(certificate, key.get()) != 1) {
    ERR_clear_error();
    return fail(Errc::conflict, files.key + ": not the private key of the certificate in " + files.certificate);
  }
  if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1) return fail(Errc::malformed, files.key + ": " + last_reason());
  return {};
}

bool holds_an_authority(SSL_CTX* ctx) {
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    X509* certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    if (certificate != nullptr && X509_check_ca(certificate) != 0) return true;
  }
  return false;
}

}  // namespace

PeerIdentity identity_of(X509* certificate) {
  PeerIdentity out;
  out.common_name = common_name_of(certificate);
  out.serial_number = serial_number_of(certificate);
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI && name->type != GEN_DNS) continue;
    std::string text = text_of(name->d.ia5);
    if (!text.empty()) (name->type == GEN_URI ? out.uri_sans : out.dns_sans).push_back(std::move(text));
  }
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), out.fingerprint.data(), &size);
  out.not_before = wall_time_of(X509_get0_notBefore(certificate));
  out.not_after = wall_time_of(X509_get0_notAfter(certificate));
  return out;
}

std::vector<std::string> PeerIdentity::names(NameRule rule) const {
  switch (rule) {
    case NameRule::uri_san: return uri_sans;
    case NameRule::dns_san: return dns_sans;
    case NameRule::common_name: return common_name.empty() ? std::vector<std::string>() : std::vector{common_name};
    case NameRule::san_or_common_name: break;
  }
  std::vector<std::string> out = uri_sans;
  out.insert(out.end(), dns_sans.begin(), dns_sans.end());
  return out.empty() ? names(NameRule::common_name) : out;
}

bool PeerIdentity::is(std::string_view id) const {
  const std::vector<std::string> all = names();
  return !id.empty() && std::ranges::find(all, id) != all.end();
}

std::expected<std::shared_ptr<const TlsContext>, std::vector<TlsFault>> TlsContext::load(const TlsFiles& files,
                                                                                         const TlsOptions& options) {
  using enum TlsFault::File;
  auto context = make_context(options);
  // No file's fault; the certificate stands for all three.
  if (!context) return std::unexpected(std::vector{TlsFault{certificate, context.error()}});
  SSL_CTX* const ctx = context->get();
  const Result<std::vector<Certificate>> trusted = trust(ctx, files.ca);
  Result<PeerIdentity> own = present(ctx, files.certificate);
  const Result<void> usable = use_private_key(ctx, files);
  // Without its authorities there is nothing to hold a list against.
  const Result<RevocationPeriod> revoked =
      files.crl.empty() || !trusted ? RevocationPeriod() : revoke(ctx, files, *trusted);
  std::vector<TlsFault> faults;
  if (!trusted) faults.push_back({ca, trusted.error()});
  if (!own) faults.push_back({certificate, own.error()});
  if (!usable) faults.push_back({key, usable.error()});
  if (!revoked) faults.push_back({crl, revoked.error()});
  if (!faults.empty()) return std::unexpected(std::move(faults));
  std::shared_ptr<TlsContext> out(new TlsContext);
  out->m_trusts_an_authority = holds_an_authority(ctx);
  out->m_trusts_itself = verify_own(ctx, false) == X509_V_OK;
  out->m_native = context->release();
  out->m_own = *std::move(own);
  if (!files.crl.empty()) out->m_revocation = *revoked;
  out->m_is_revoked = verify_own(out->m_native, true) == X509_V_ERR_CERT_REVOKED;
  return out;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(m_native);
}

ssl_st* TlsContext::new_session() const {
  return SSL_new(m_native);
}

}  // namespace quipu::net
