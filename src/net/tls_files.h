// SPDX-License-Identifier: Apache-2.0
// The PEM files that a TLS context is made of. For the files of src/net only.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "base/freed_by.h"
#include "base/result.h"
#include "base/time.h"

namespace quipu::net {

using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using RevocationList = std::unique_ptr<X509_CRL, FreedBy<X509_CRL_free>>;

// What OpenSSL says of its latest failure, which it then forgets.
std::string last_reason();

// The first possible time for what is no time.
WallTime wall_time_of(const ASN1_TIME* time);

// At least one each, in the order of the file. Errors name the file: as RegularFile::open(), Errc::too_large beyond
// 1 MiB, Errc::malformed when there is none in it, or a damaged one.
Result<std::vector<Certificate>> read_certificates(const std::string& path);
Result<std::vector<RevocationList>> read_revocation_lists(const std::string& path);

// One without a passphrase, in a file that is not for everybody: Errc::not_permitted. A group may read it: Debian keeps
// such keys for the group ssl-cert.
Result<PrivateKey> read_private_key(const std::string& path);

}  // namespace quipu::net
