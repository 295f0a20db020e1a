// SPDX-License-Identifier: Apache-2.0
#include "net/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <string_view>

#include "base/regular_file.h"
#include "base/secret.h"

namespace quipu::net {
namespace {

constexpr std::size_t kMaxPemSize = std::size_t{1024} * 1024;

using Bio = std::unique_ptr<BIO, FreedBy<BIO_free>>;

// Private keys pass through here, hence SecretBytes.
Result<SecretBytes> read_file(const std::string& path, mode_t closed_to = 0) {
  QUIPU_TRY_ASSIGN(const RegularFile file, RegularFile::open(path));
  QUIPU_TRY(file.require_closed_to(closed_to));
  SecretBytes buffer(kMaxPemSize + 1);
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t got = ::read(file.fd.get(), buffer.mutable_view().data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_system(path);
    if (got == 0) return SecretBytes::copy_of(buffer.view().first(size));
    size += static_cast<std::size_t>(got);
  }
  return fail(Errc::too_large, path + ": larger than 1 MiB");
}

Bio memory_bio(const SecretBytes& bytes) {
  return Bio(BIO_new_mem_buf(bytes.view().data(), static_cast<int>(bytes.size())));
}

int no_passphrase(char* /*out*/, int /*size*/, int /*writing*/, void* /*context*/) {
  return -1;
}

// `read_next` of PEM_read_bio_...; `what` as an error calls one of them.
template <class Owner, class ReadNext>
Result<std::vector<Owner>> read_every(const std::string& path, std::string_view what, ReadNext read_next) {
  QUIPU_TRY_ASSIGN(const SecretBytes pem, read_file(path));
  const Bio bio = memory_bio(pem);
  std::vector<Owner> out;
  ERR_clear_error();
  while (auto* const one = read_next(bio.get(), nullptr, no_passphrase, nullptr))
    out.emplace_back(one);
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
    return fail(Errc::malformed, path + ": a " + std::string(what) + " in it is damaged");
  if (out.empty()) return fail(Errc::malformed, path + ": no PEM " + std::string(what) + " in it");
  return out;
}

}  // namespace

std::string last_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown reason";
}

WallTime wall_time_of(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

Result<std::vector<Certificate>> read_certificates(const std::string& path) {
  return read_every<Certificate>(path, "certificate", PEM_read_bio_X509);
}

Result<std::vector<RevocationList>> read_revocation_lists(const std::string& path) {
  return read_every<RevocationList>(path, "list of revoked certificates (CRL)", PEM_read_bio_X509_CRL);
}

Result<PrivateKey> read_private_key(const std::string& path) {
  QUIPU_TRY_ASSIGN(const SecretBytes pem, read_file(path, S_IRWXO));
  const Bio bio = memory_bio(pem);
  ERR_clear_error();
  PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) return fail(Errc::malformed, path + ": no PEM private key without passphrase: " + last_reason());
  return key;
}

}  // namespace quipu::net
