// SPDX-License-Identifier: Apache-2.0
#include "crypto/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>

namespace quipu::crypto {

std::unexpected<Error> fail_openssl(std::string_view what, Errc code) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  std::string text(what);
  if (reason != nullptr) text.append(": ").append(reason);
  return fail(code, std::move(text));
}

std::time_t to_seconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

const EVP_MD* digest_for(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256();
}

ByteView contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return as_bytes(std::string_view(data, size > 0 ? static_cast<std::size_t>(size) : 0));
}

int no_passphrase(char* /*out*/, int /*size*/, int /*writing*/, void* /*context*/) {
  return -1;
}

Result<Certificate> read_certificate(std::string_view pem) {
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate certificate(in ? PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!certificate) return fail_openssl("not a certificate in PEM", Errc::malformed);
  return certificate;
}

Result<PrivateKey> read_private_key(const SecretBytes& pem) {
  const Bio in(BIO_new_mem_buf(pem.view().data(), static_cast<int>(pem.size())));
  PrivateKey key(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!key) return fail_openssl("not an unencrypted private key in PEM", Errc::malformed);
  return key;
}

Result<Authority> read_authority(std::string_view certificate_pem, const SecretBytes& key_pem) {
  QUIPU_TRY_ASSIGN(Certificate certificate, read_certificate(certificate_pem));
  QUIPU_TRY_ASSIGN(PrivateKey key, read_private_key(key_pem));
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return fail_openssl("the authority's key does not belong to its certificate", Errc::bad_key);
  if (X509_check_ca(certificate.get()) != 1)
    return fail(Errc::not_permitted, "that certificate is not an authority's: it may not sign others");
  return Authority{std::move(certificate), std::move(key)};
}

}  // namespace quipu::crypto
