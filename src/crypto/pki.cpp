// SPDX-License-Identifier: Apache-2.0
#include "crypto/pki.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <string>

#include "crypto/library.h"
#include "crypto/pem.h"

namespace quipu::crypto {
namespace {

using Extension = std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>>;
using AlternativeName = std::unique_ptr<GENERAL_NAME, FreedBy<GENERAL_NAME_free>>;
using AlternativeNames = std::unique_ptr<GENERAL_NAMES, FreedBy<GENERAL_NAMES_free>>;
using Asn1Text = std::unique_ptr<ASN1_STRING, FreedBy<ASN1_STRING_free>>;
using BigNumber = std::unique_ptr<BIGNUM, FreedBy<BN_free>>;

bool is_printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

bool is_host_label(std::string_view label) {
  const auto permitted = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, permitted);
}

// RFC 1123 host name of at most 253 octets, or the same behind "*.".
bool is_host_name(std::string_view name) {
  if (name.starts_with("*.")) name.remove_prefix(2);
  if (name.size() > 253) return false;
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!is_host_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

// SCHEME ":" followed by something (RFC 3986).
bool is_uri(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  const auto in_scheme = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
           c == '.';
  };
  return colon != std::string_view::npos && colon > 0 && colon + 1 < uri.size() && is_printable_ascii(uri) &&
         std::ranges::all_of(uri.substr(0, colon), in_scheme) && !(uri.front() >= '0' && uri.front() <= '9');
}

Result<void> check_common_name(std::string_view name) {
  if (name.empty() || name.size() > ub_common_name)
    return fail(Errc::out_of_range, "the common name has to be 1 to 64 octets long");
  if (std::ranges::any_of(name, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }))
    return fail(Errc::out_of_range, "the common name holds a control character");
  return {};
}

Result<void> check_names(const CertificateNames& names) {
  QUIPU_TRY(check_common_name(names.common_name));
  for (const std::string& uri : names.uris)
    if (!is_uri(uri)) return fail(Errc::out_of_range, "'" + uri + "' is not an absolute URI");
  for (const std::string& dns : names.dns)
    if (!is_host_name(dns)) return fail(Errc::out_of_range, "'" + dns + "' is not a host name");
  return {};
}

Result<void> set_validity(X509* certificate, const Validity& validity) {
  if (to_seconds(validity.not_after) <= to_seconds(validity.not_before))
    return fail(Errc::out_of_range, "the certificate would end before it begins");
  if (ASN1_TIME_set(X509_getm_notBefore(certificate), to_seconds(validity.not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate), to_seconds(validity.not_after)) == nullptr)
    return fail_openssl("the date cannot be written into a certificate", Errc::out_of_range);
  return {};
}

// 159 random bits: positive, and unique without a register of what was issued (RFC 5280 section 4.1.2.2).
bool set_random_serial(X509* certificate) {
  constexpr int kSerialBits = 159;
  const BigNumber number(BN_new());
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_subject(X509* certificate, std::string_view common_name) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, as_bytes(common_name).data(),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

// `value` in the notation of x509v3_config(5); only ever a constant of ours.
bool add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_name(GENERAL_NAMES* names, int type, ByteView value) {
  Asn1Text text(ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING));
  AlternativeName name(GENERAL_NAME_new());
  if (!text || !name || ASN1_STRING_set(text.get(), value.data(), static_cast<int>(value.size())) != 1) return false;
  GENERAL_NAME_set0_value(name.get(), type, text.release());
  return sk_GENERAL_NAME_push(names, name.get()) > 0 && name.release() != nullptr;
}

// Built as values, not as text, so that no name can smuggle in another.
bool add_alternative_names(X509* certificate, const CertificateNames& names) {
  const AlternativeNames all(GENERAL_NAMES_new());
  if (!all) return false;
  for (const std::string& uri : names.uris)
    if (!add_name(all.get(), GEN_URI, as_bytes(uri))) return false;
  for (const std::string& dns : names.dns)
    if (!add_name(all.get(), GEN_DNS, as_bytes(dns))) return false;
  for (const IpAddress& address : names.addresses)
    if (!add_name(all.get(), GEN_IPADD, address.view())) return false;
  if (sk_GENERAL_NAME_num(all.get()) == 0) return true;
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

PrivateKey generate(CertificateKey key) {
  switch (key) {
    case CertificateKey::ecdsa_p256: return PrivateKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    case CertificateKey::ed25519: return PrivateKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  }
  return nullptr;
}

// Everything that authorities and end entities have in common.
Result<Certificate> begin_certificate(std::string_view common_name, const Validity& validity, EVP_PKEY* key) {
  Certificate certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      X509_set_pubkey(certificate.get(), key) != 1 || !set_random_serial(certificate.get()) ||
      !set_subject(certificate.get(), common_name))
    return fail_openssl("building the certificate");
  QUIPU_TRY(set_validity(certificate.get(), validity));
  return certificate;
}

Result<void> sign(X509* certificate, EVP_PKEY* key) {
  if (X509_sign(certificate, key, digest_for(key)) == 0) return fail_openssl("signing the certificate");
  return {};
}

Result<CertificateAndKey> to_pem(X509* certificate, EVP_PKEY* key) {
  const Bio certificate_out(BIO_new(BIO_s_mem()));
  // Wipes what it held when it ends.
  const Bio key_out(BIO_new(BIO_s_secmem()));
  if (!certificate_out || !key_out || PEM_write_bio_X509(certificate_out.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return fail_openssl("writing the certificate");
  return CertificateAndKey{std::string(as_text(contents(certificate_out.get()))),
                           SecretBytes::copy_of(contents(key_out.get()))};
}

}  // namespace

Result<CertificateAndKey> create_ca(std::string_view common_name, CertificateKey key, const Validity& validity) {
  start_libraries();
  QUIPU_TRY(check_common_name(common_name));
  const PrivateKey own = generate(key);
  if (!own) return fail_openssl("generating the authority's key");
  QUIPU_TRY_ASSIGN(const Certificate ca, begin_certificate(common_name, validity, own.get()));
  if (X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get())) != 1 ||
      !add_extension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add_extension(ca.get(), ca.get(), NID_subject_key_identifier, "hash"))
    return fail_openssl("building the authority's certificate");
  QUIPU_TRY(sign(ca.get(), own.get()));
  return to_pem(ca.get(), own.get());
}

Result<CertificateAndKey> issue_certificate(std::string_view ca_certificate_pem, const SecretBytes& ca_private_key_pem,
                                            const CertificateNames& names, CertificateKey key,
                                            const Validity& validity) {
  start_libraries();
  QUIPU_TRY(check_names(names));
  QUIPU_TRY_ASSIGN(const Authority authority, read_authority(ca_certificate_pem, ca_private_key_pem));
  X509* const ca = authority.certificate.get();
  if (ASN1_TIME_cmp_time_t(X509_get0_notAfter(ca), to_seconds(validity.not_after)) < 0)
    return fail(Errc::out_of_range, "the certificate would outlive its authority's: ask for fewer days");
  const PrivateKey own = generate(key);
  if (!own) return fail_openssl("generating the certificate's key");
  QUIPU_TRY_ASSIGN(const Certificate leaf, begin_certificate(names.common_name, validity, own.get()));
  if (X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca)) != 1 ||
      !add_extension(leaf.get(), ca, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(leaf.get(), ca, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(leaf.get(), ca, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(leaf.get(), ca, NID_subject_key_identifier, "hash") ||
      !add_extension(leaf.get(), ca, NID_authority_key_identifier, "keyid:always") ||
      !add_alternative_names(leaf.get(), names))
    return fail_openssl("building the certificate");
  QUIPU_TRY(sign(leaf.get(), authority.key.get()));
  return to_pem(leaf.get(), own.get());
}

Result<WallTime> certificate_not_after(std::string_view certificate_pem) {
  start_libraries();
  QUIPU_TRY_ASSIGN(const Certificate certificate, read_certificate(certificate_pem));
  const std::unique_ptr<ASN1_TIME, FreedBy<ASN1_STRING_free>> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (!epoch || ASN1_TIME_diff(&days, &seconds, epoch.get(), X509_get0_notAfter(certificate.get())) != 1)
    return fail_openssl("the certificate's end cannot be read", Errc::malformed);
  return WallTime(std::chrono::days(days) + std::chrono::seconds(seconds));
}

}  // namespace quipu::crypto
