// SPDX-License-Identifier: Apache-2.0
#include "crypto/revocation.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "crypto/library.h"
#include "crypto/pem.h"

namespace quipu::crypto {
namespace {

using List = std::unique_ptr<X509_CRL, FreedBy<X509_CRL_free>>;
using Entry = std::unique_ptr<X509_REVOKED, FreedBy<X509_REVOKED_free>>;
using Time = std::unique_ptr<ASN1_TIME, FreedBy<ASN1_STRING_free>>;
using Integer = std::unique_ptr<ASN1_INTEGER, FreedBy<ASN1_STRING_free>>;
using BigNumber = std::unique_ptr<BIGNUM, FreedBy<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>>;

Result<Authority> read_signer(std::string_view certificate_pem, const SecretBytes& key_pem) {
  QUIPU_TRY_ASSIGN(Authority authority, read_authority(certificate_pem, key_pem));
  // A certificate without the extension may sign anything.
  if ((X509_get_key_usage(authority.certificate.get()) & KU_CRL_SIGN) == 0)
    return fail(Errc::not_permitted,
                "the authority may not sign lists of revoked certificates: its keyUsage lacks cRLSign");
  return authority;
}

List read_list(BIO* in) {
  return List(in != nullptr ? PEM_read_bio_X509_CRL(in, nullptr, no_passphrase, nullptr) : nullptr);
}

// Null for none. Whatever it is that stands there: nobody whom it revokes may be forgotten.
Result<List> read_previous(std::string_view pem, const Authority& authority) {
  if (pem.empty()) return List();
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  List list = read_list(in.get());
  if (!list) return fail_openssl("the earlier list of revoked certificates is not one in PEM", Errc::malformed);
  const bool has_another = read_list(in.get()) || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (has_another)
    return fail(Errc::conflict,
                "there is more than one earlier list of revoked certificates: put this authority's "
                "alone there");
  if (X509_CRL_get_ext_by_NID(list.get(), NID_delta_crl, -1) >= 0)
    return fail(Errc::unsupported, "the earlier list holds changes to another only (a delta list): put that one there");
  if (X509_CRL_verify(list.get(), authority.key.get()) == 1) return list;
  return fail_openssl("the earlier list of revoked certificates is not of this authority", Errc::conflict);
}

// One more than that of the earlier list (RFC 5280 clause 5.2.3).
Integer next_number(const X509_CRL* previous) {
  const Integer last(previous == nullptr ? nullptr
                                         : static_cast<ASN1_INTEGER*>(
                                               X509_CRL_get_ext_d2i(previous, NID_crl_number, nullptr, nullptr)));
  const BigNumber number(last ? ASN1_INTEGER_to_BN(last.get(), nullptr) : BN_new());
  if (!number || BN_add_word(number.get(), 1) != 1) return nullptr;
  return Integer(BN_to_ASN1_INTEGER(number.get(), nullptr));
}

Result<List> begin_list(const Authority& authority, const X509_CRL* previous, const Validity& period) {
  if (to_seconds(period.not_after) <= to_seconds(period.not_before))
    return fail(Errc::out_of_range, "the list of revoked certificates would end before it begins");
  List list(X509_CRL_new());
  const Time begin(ASN1_TIME_set(nullptr, to_seconds(period.not_before)));
  const Time end(ASN1_TIME_set(nullptr, to_seconds(period.not_after)));
  const Integer number = next_number(previous);
  if (!list || !begin || !end || !number || X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) != 1 ||
      X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(authority.certificate.get())) != 1 ||
      X509_CRL_set1_lastUpdate(list.get(), begin.get()) != 1 || X509_CRL_set1_nextUpdate(list.get(), end.get()) != 1 ||
      X509_CRL_add1_ext_i2d(list.get(), NID_crl_number, number.get(), 0, X509V3_ADD_DEFAULT) != 1)
    return fail_openssl("building the list of revoked certificates");
  X509V3_CTX context;
  X509V3_set_ctx(&context, authority.certificate.get(), nullptr, nullptr, list.get(), 0);
  const Extension issuer(X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  if (!issuer || X509_CRL_add_ext(list.get(), issuer.get(), -1) != 1)
    return fail_openssl("building the list of revoked certificates");
  return list;
}

bool add(X509_CRL* list, Entry entry) {
  return entry && X509_CRL_add0_revoked(list, entry.get()) == 1 && entry.release() != nullptr;
}

Result<void> keep_entries(X509_CRL* list, X509_CRL* previous) {
  const STACK_OF(X509_REVOKED)* entries = previous == nullptr ? nullptr : X509_CRL_get_REVOKED(previous);
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i)
    if (!add(list, Entry(X509_REVOKED_dup(sk_X509_REVOKED_value(entries, i)))))
      return fail_openssl("building the list of revoked certificates");
  return {};
}

std::string text_of(const ASN1_INTEGER* serial) {
  const BigNumber number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* const digits = number ? BN_bn2hex(number.get()) : nullptr;
  std::string text = digits != nullptr ? digits : "";
  OPENSSL_free(digits);
  return text;
}

Result<RevokedCertificate> revoke(X509_CRL* list, std::string_view certificate_pem, const Authority& authority) {
  QUIPU_TRY_ASSIGN(const Certificate certificate, read_certificate(certificate_pem));
  if (X509_cmp(certificate.get(), authority.certificate.get()) == 0)
    return fail(Errc::not_permitted, "is the authority's own: make another authority in its place");
  if (X509_verify(certificate.get(), authority.key.get()) != 1)
    return fail_openssl("the certificate is not of this authority", Errc::conflict);
  ASN1_INTEGER* const serial = X509_get_serialNumber(certificate.get());
  X509_REVOKED* known = nullptr;
  if (X509_CRL_get0_by_serial(list, &known, serial) == 1) return RevokedCertificate{text_of(serial), true};
  Entry entry(X509_REVOKED_new());
  const Time since(ASN1_TIME_dup(X509_CRL_get0_lastUpdate(list)));
  if (!entry || !since || X509_REVOKED_set_serialNumber(entry.get(), serial) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), since.get()) != 1 || !add(list, std::move(entry)))
    return fail_openssl("building the list of revoked certificates");
  return RevokedCertificate{text_of(serial), false};
}

Result<std::string> sign(X509_CRL* list, EVP_PKEY* key) {
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || X509_CRL_sort(list) != 1 || X509_CRL_sign(list, key, digest_for(key)) == 0 ||
      PEM_write_bio_X509_CRL(out.get(), list) != 1)
    return fail_openssl("signing the list of revoked certificates");
  return std::string(as_text(contents(out.get())));
}

}  // namespace

Result<RevocationList> create_revocation_list(std::string_view ca_certificate_pem,
                                              const SecretBytes& ca_private_key_pem, std::string_view previous,
                                              std::span<const NamedCertificate> certificates, const Validity& period) {
  start_libraries();
  ERR_clear_error();
  QUIPU_TRY_ASSIGN(const Authority authority, read_signer(ca_certificate_pem, ca_private_key_pem));
  QUIPU_TRY_ASSIGN(const List earlier, read_previous(previous, authority));
  QUIPU_TRY_ASSIGN(const List list, begin_list(authority, earlier.get(), period));
  QUIPU_TRY(keep_entries(list.get(), earlier.get()));
  RevocationList out;
  for (const NamedCertificate& certificate : certificates) {
    auto revoked = revoke(list.get(), certificate.pem, authority);
    if (!revoked) return fail_at(certificate.name, revoked.error());
    out.asked_for.push_back(*std::move(revoked));
  }
  out.size = static_cast<std::size_t>(std::max(0, sk_X509_REVOKED_num(X509_CRL_get_REVOKED(list.get()))));
  QUIPU_TRY_ASSIGN(out.pem, sign(list.get(), authority.key.get()));
  return out;
}

}  // namespace quipu::crypto
