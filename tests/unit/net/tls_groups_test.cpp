// SPDX-License-Identifier: Apache-2.0
// Which group of a foreign client's an HTTPS server agrees to.
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <thread>

#include "base/freed_by.h"
#include "base/unique_fd.h"
#include "https_fixture.h"
#include "net/sockaddr.h"

namespace quipu::net {
namespace {

using Context = std::unique_ptr<SSL_CTX, FreedBy<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, FreedBy<SSL_free>>;

class TlsGroups : public HttpsTest {
 protected:
  // Its name, of a client that knows these alone, in the order in which it would have them; empty without agreement.
  std::string agreed(const std::string& groups) {
    std::string name;
    bool ended = false;
    std::thread client([&] {
      name = shake_hands(groups);
      loop.post([&] { ended = true; });
    });
    run_until(loop, [&] { return ended; });
    client.join();
    return name;
  }

 private:
  std::string shake_hands(const std::string& groups) const {
    const Context context(SSL_CTX_new(TLS_client_method()));
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress to = to_sockaddr(server->local());
    EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), groups.c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_certificate_file(context.get(), files.certificate.c_str(), SSL_FILETYPE_PEM), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM), 1);
    EXPECT_EQ(::connect(fd.get(), to.get(), to.size), 0);
    const Session session(SSL_new(context.get()));
    EXPECT_EQ(SSL_set_fd(session.get(), fd.get()), 1);
    return SSL_connect(session.get()) == 1 ? SSL_get0_group_name(session.get()) : "";
  }

  const TlsFiles files = pki.issue("sae-x");
};

// ETSI GS QKD 014 clause 5.1 asks for TLS and names no group.
TEST_F(TlsGroups, AClassicalOneAloneIsServedAndTheHybridOneIsPreferred) {
  open();
  EXPECT_EQ(agreed("X25519"), "x25519");
  EXPECT_EQ(agreed("P-256"), "secp256r1");
  EXPECT_EQ(agreed("P-384"), "secp384r1");
  EXPECT_EQ(agreed("P-256:X25519:X25519MLKEM768"), "X25519MLKEM768");
  EXPECT_TRUE(refused.empty());
  EXPECT_EQ(agreed("P-521"), "");
}

}  // namespace
}  // namespace quipu::net
