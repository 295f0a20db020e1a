// SPDX-License-Identifier: Apache-2.0
// What the makers of certificates and of revocation lists share of OpenSSL. Inside src/crypto only.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <string_view>

#include "base/freed_by.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace quipu::crypto {

using Bio = std::unique_ptr<BIO, FreedBy<BIO_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;

// The reason OpenSSL gives, if it gives one; empties its queue of errors.
std::unexpected<Error> fail_openssl(std::string_view what, Errc code = Errc::crypto_failure);

std::time_t to_seconds(WallTime time);

// What a signature of this key hashes with; null for one that hashes by itself.
const EVP_MD* digest_for(const EVP_PKEY* key);

// What was written to a memory BIO, which keeps it.
ByteView contents(BIO* bio);

// An encrypted key is refused instead of asked about on the terminal: for OpenSSL's readers of PEM.
int no_passphrase(char* out, int size, int writing, void* context);

// The first of a PEM text. Errc::malformed.
Result<Certificate> read_certificate(std::string_view pem);
Result<PrivateKey> read_private_key(const SecretBytes& pem);

struct Authority {
  Certificate certificate;
  PrivateKey key;
};

// Besides Errc::malformed: Errc::bad_key when the key does not belong to the certificate, Errc::not_permitted when that
// is no authority's.
Result<Authority> read_authority(std::string_view certificate_pem, const SecretBytes& key_pem);

}  // namespace quipu::crypto
