// SPDX-License-Identifier: Apache-2.0
// What tls.cpp reads out of OpenSSL's objects for tls_session.cpp.
#pragma once

#include "net/tls.h"

struct x509_st;

namespace quipu::net {

PeerIdentity identity_of(x509_st* certificate);

}  // namespace quipu::net
