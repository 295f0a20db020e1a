// SPDX-License-Identifier: Apache-2.0
#include "crypto/kem.h"

#include <memory>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/assert.h"
#include "base/freed_by.h"
#include "crypto/library.h"

namespace quipu::crypto {
namespace {

using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_PKEY_CTX, FreedBy<EVP_PKEY_CTX_free>>;

constexpr const char* kAlgorithm = "ML-KEM-768";

Context named_context() {
  start_libraries();
  Context context(EVP_PKEY_CTX_new_from_name(nullptr, kAlgorithm, nullptr));
  QUIPU_ASSERT(context != nullptr);
  return context;
}

Context context_of(const Key& key) {
  Context context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  QUIPU_ASSERT(context != nullptr);
  return context;
}

// One octet string as a parameter list. OSSL_PARAM holds a non-const pointer and setters only read it.
std::array<OSSL_PARAM, 2> octets_parameter(const char* name, ByteView value) {
  return {OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(value.data()), value.size()),
          OSSL_PARAM_construct_end()};
}

// FIPS 203 algorithm 16 from d || z.
Key expand(const Secret<kKemSeedSize>& seed) {
  const Context context = named_context();
  const auto parameters = octets_parameter(OSSL_PKEY_PARAM_ML_KEM_SEED, seed.view());
  EVP_PKEY* key = nullptr;
  QUIPU_ASSERT(EVP_PKEY_keygen_init(context.get()) == 1);
  QUIPU_ASSERT(EVP_PKEY_CTX_set_params(context.get(), parameters.data()) == 1);
  QUIPU_ASSERT(EVP_PKEY_generate(context.get(), &key) == 1);
  return Key(key);
}

// Null when the modulus check fails.
Key import(const KemEncapsulationKey& encapsulation_key) {
  const Context context = named_context();
  auto parameters = octets_parameter(OSSL_PKEY_PARAM_PUB_KEY, encapsulation_key);
  EVP_PKEY* key = nullptr;
  QUIPU_ASSERT(EVP_PKEY_fromdata_init(context.get()) == 1);
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.data()) != 1) {
    ERR_clear_error();  // expected of bad input: the queue is left as a TLS stream of this thread wants it
    return nullptr;
  }
  return Key(key);
}

}  // namespace

KemKeyPair generate_kem(Rng& rng) {
  KemKeyPair pair;
  rng.fill(pair.seed.mutable_view());
  const Key key = expand(pair.seed);
  std::size_t size = 0;
  QUIPU_ASSERT(EVP_PKEY_get_octet_string_param(key.get(), OSSL_PKEY_PARAM_PUB_KEY, pair.encapsulation_key.data(),
                                               pair.encapsulation_key.size(), &size) == 1);
  QUIPU_ASSERT(size == kKemEncapsulationKeySize);
  return pair;
}

Outcome<KemEncapsulation> encapsulate(const KemEncapsulationKey& encapsulation_key, Rng& rng) {
  const Key key = import(encapsulation_key);
  if (key == nullptr) return std::unexpected(Errc::bad_key);
  Secret<32> message;
  rng.fill(message.mutable_view());
  const auto parameters = octets_parameter(OSSL_KEM_PARAM_IKME, message.view());
  const Context context = context_of(key);
  KemEncapsulation out;
  std::size_t ciphertext_size = out.ciphertext.size();
  std::size_t secret_size = KemSharedSecret::kSize;
  if (EVP_PKEY_encapsulate_init(context.get(), parameters.data()) != 1 ||
      EVP_PKEY_encapsulate(context.get(), out.ciphertext.data(), &ciphertext_size,
                           out.shared_secret.mutable_view().data(), &secret_size) != 1 ||
      ciphertext_size != kKemCiphertextSize || secret_size != KemSharedSecret::kSize)
    return std::unexpected(Errc::crypto_failure);
  return out;
}

Outcome<KemSharedSecret> decapsulate(const Secret<kKemSeedSize>& seed, const KemCiphertext& ciphertext) {
  const Context context = context_of(expand(seed));
  KemSharedSecret out;
  std::size_t size = KemSharedSecret::kSize;
  if (EVP_PKEY_decapsulate_init(context.get(), nullptr) != 1 ||
      EVP_PKEY_decapsulate(context.get(), out.mutable_view().data(), &size, ciphertext.data(), ciphertext.size()) !=
          1 ||
      size != KemSharedSecret::kSize)
    return std::unexpected(Errc::crypto_failure);
  return out;
}

}  // namespace quipu::crypto
