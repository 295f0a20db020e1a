// SPDX-License-Identifier: Apache-2.0
// Lists of revoked certificates (CRL v2, RFC 5280 clause 5), as an authority signs them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/pki.h"

namespace quipu::crypto {

struct NamedCertificate {
  std::string name;  // what errors call it
  std::string pem;   // its first certificate counts
};

struct RevokedCertificate {
  std::string serial;   // hexadecimal, as `openssl x509 -serial` prints it
  bool before = false;  // an earlier list named it already
};

struct RevocationList {
  std::string pem;
  std::size_t size = 0;                       // certificates that it names
  std::vector<RevokedCertificate> asked_for;  // in the order of what was asked
};

// A list that names every certificate of `previous` (the PEM text of an earlier list of the same authority, or empty)
// and each of `certificates`, revoked at `period.not_before` if it was not before. `period` is when the list is good
// for anything: from then until a newer one has to be there. Errc::malformed when a PEM text cannot be read,
// Errc::bad_key when the authority's key does not belong to its certificate, Errc::not_permitted when that may not sign
// lists, or is itself to be revoked, Errc::conflict when the earlier list, or a certificate, is not of this authority,
// or when there are several earlier lists, Errc::unsupported when the earlier one holds changes only (a delta list),
// Errc::out_of_range for a period that ends before it begins.
Result<RevocationList> create_revocation_list(std::string_view ca_certificate_pem,
                                              const SecretBytes& ca_private_key_pem, std::string_view previous,
                                              std::span<const NamedCertificate> certificates, const Validity& period);

}  // namespace quipu::crypto
