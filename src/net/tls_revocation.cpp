// SPDX-License-Identifier: Apache-2.0
#include "net/tls_revocation.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

namespace quipu::net {
namespace {

using Bio = std::unique_ptr<BIO, FreedBy<BIO_free>>;
using Lists = std::vector<RevocationList>;
using Verification = std::unique_ptr<X509_STORE_CTX, FreedBy<X509_STORE_CTX_free>>;

constexpr unsigned long kAgainstLists = X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;

// "CN=Quipu CA"
std::string subject_of(const X509* certificate) {
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(std::max(0L, size))};
}

bool is_issued_by(X509_CRL* list, const X509* authority) {
  if (X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(authority)) != 0) return false;
  const bool is = X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1;
  ERR_clear_error();
  return is;
}

// An authority without a list would have all that it issued refused, and nobody told why.
Result<void> require_list_of_each(const std::vector<Certificate>& authorities, const Lists& lists,
                                  const TlsFiles& files) {
  for (const Certificate& authority : authorities)
    if (std::ranges::none_of(lists, [&](const auto& list) { return is_issued_by(list.get(), authority.get()); }))
      return fail(Errc::conflict, files.crl + ": holds no list of the authority \"" + subject_of(authority.get()) +
                                      "\" in " + files.ca + ": add its list, or take it out there");
  return {};
}

// OpenSSL would take such a one for the whole list, and let in whom only the whole one names.
Result<void> require_whole(const Lists& lists, const std::string& path) {
  const auto is_delta = [](const auto& list) { return X509_CRL_get_ext_by_NID(list.get(), NID_delta_crl, -1) >= 0; };
  if (std::ranges::none_of(lists, is_delta)) return {};
  return fail(Errc::unsupported, path +
                                     ": a list in it holds changes to another only (a delta list): put the whole "
                                     "list there");
}

// Null without that extension. Authorities may be of one name and differ by their keys.
const ASN1_OCTET_STRING* authority_key(const X509_CRL* list) {
  const int at = X509_CRL_get_ext_by_NID(list, NID_authority_key_identifier, -1);
  return at < 0 ? nullptr : X509_EXTENSION_get_data(X509_CRL_get_ext(list, at));
}

bool have_one_issuer(const X509_CRL* a, const X509_CRL* b) {
  if (X509_NAME_cmp(X509_CRL_get_issuer(a), X509_CRL_get_issuer(b)) != 0) return false;
  const ASN1_OCTET_STRING* const key_a = authority_key(a);
  const ASN1_OCTET_STRING* const key_b = authority_key(b);
  return key_a == nullptr || key_b == nullptr ? key_a == key_b : ASN1_OCTET_STRING_cmp(key_a, key_b) == 0;
}

WallTime since(const X509_CRL* list) {
  return wall_time_of(X509_CRL_get0_lastUpdate(list));
}

// The newest of each issuer: it is the one that OpenSSL goes by.
bool is_superseded(const X509_CRL* list, const Lists& lists) {
  return std::ranges::any_of(lists, [list](const auto& other) {
    return have_one_issuer(list, other.get()) && since(list) < since(other.get());
  });
}

// A list of an authority that is not trusted any more may end unnoticed.
RevocationPeriod period_of(const Lists& lists, const std::vector<Certificate>& authorities) {
  RevocationPeriod period;
  for (const RevocationList& list : lists) {
    const auto issued = [&](const Certificate& authority) { return is_issued_by(list.get(), authority.get()); };
    if (is_superseded(list.get(), lists) || std::ranges::none_of(authorities, issued)) continue;
    period.since = std::max(period.since, since(list.get()));
    if (const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(list.get()))
      period.until = std::min(period.until, wall_time_of(next));
  }
  return period;
}

}  // namespace

Result<RevocationPeriod> revoke(SSL_CTX* ctx, const TlsFiles& files, const std::vector<Certificate>& authorities) {
  QUIPU_TRY_ASSIGN(const Lists lists, read_revocation_lists(files.crl));
  QUIPU_TRY(require_whole(lists, files.crl));
  QUIPU_TRY(require_list_of_each(authorities, lists, files));
  X509_STORE* const store = SSL_CTX_get_cert_store(ctx);
  for (const RevocationList& list : lists)
    if (X509_STORE_add_crl(store, list.get()) != 1) return fail(Errc::malformed, files.crl + ": " + last_reason());
  X509_STORE_set_flags(store, kAgainstLists);
  return period_of(lists, authorities);
}

int verify_own(SSL_CTX* ctx, bool against_lists) {
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(ctx, static_cast<void*>(&chain));
  const Verification verification(X509_STORE_CTX_new());
  if (verification == nullptr ||
      X509_STORE_CTX_init(verification.get(), SSL_CTX_get_cert_store(ctx), SSL_CTX_get0_certificate(ctx), chain) != 1)
    return X509_V_ERR_OUT_OF_MEM;
  if (!against_lists) X509_VERIFY_PARAM_clear_flags(X509_STORE_CTX_get0_param(verification.get()), kAgainstLists);
  X509_STORE_CTX_set_flags(verification.get(), X509_V_FLAG_NO_CHECK_TIME);
  X509_verify_cert(verification.get());
  ERR_clear_error();
  return X509_STORE_CTX_get_error(verification.get());
}

}  // namespace quipu::net
