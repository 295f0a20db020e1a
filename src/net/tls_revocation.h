// SPDX-License-Identifier: Apache-2.0
// The lists of revoked certificates that a TLS context holds its peers against. For the files of src/net only.
#pragma once

#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/tls_files.h"

namespace quipu::net {

// From then on every certificate of a peer's chain is looked for in them; a chain is refused where one of its
// authorities has no list that is good now. Whatever could let somebody revoked in is an error that names the file:
// Errc::conflict one of the authorities (those in files.ca) without a list, Errc::unsupported a list of changes only (a
// delta list).
Result<RevocationPeriod> revoke(SSL_CTX* ctx, const TlsFiles& files, const std::vector<Certificate>& authorities);

// OpenSSL's verdict (X509_V_OK or why not) on our own certificate by the authorities that the context trusts, whatever
// the time: held against the lists, or not.
int verify_own(SSL_CTX* ctx, bool against_lists);

}  // namespace quipu::net
