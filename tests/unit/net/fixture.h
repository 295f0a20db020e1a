// SPDX-License-Identifier: Apache-2.0
// What the tests of src/net share: the loopback address, and certificates made when asked for.
#pragma once

#include <gtest/gtest.h>
#include <netdb.h>

#include "crypto/pki.h"
#include "crypto/revocation.h"
#include "net/loop.h"
#include "net/tls.h"
#include "support/run_until.h"
#include "support/scratch.h"

namespace quipu::net {

using test::run_until;

inline const Endpoint kLoopback{IpAddress::from_octets(Bytes{127, 0, 0, 1}), 0, 0};

// A bare system, as a debootstrap leaves it, has no /etc/hosts and thus no address for that name.
inline bool system_names_localhost() {
  addrinfo* found = nullptr;
  if (::getaddrinfo("localhost", nullptr, nullptr, &found) != 0) return false;
  ::freeaddrinfo(found);
  return true;
}

// A certificate authority in a folder of its own.
class TestPki {
 public:
  explicit TestPki(std::string name = "test CA") {
    const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    m_validity = {now - std::chrono::days(400), now + std::chrono::days(400)};
    auto ca = crypto::create_ca(name, crypto::CertificateKey::ecdsa_p256, m_validity);
    EXPECT_TRUE(ca.has_value());
    m_ca = std::move(*ca);
    write("ca.pem", m_ca.certificate_pem);
  }

  std::string path(const std::string& name) const { return m_folder.path(name); }

  std::string ca() const { return path("ca.pem"); }

  void write(const std::string& name, std::string_view text) const { m_folder.write(name, text); }

  std::string read(const std::string& name) const { return m_folder.read(name); }

  // With a URI SAN "quipu:NAME" and the SANs localhost, NAME and 127.0.0.1.
  TlsFiles issue(const std::string& name) const { return issue(name, m_validity); }

  TlsFiles issue_expired(const std::string& name) const {
    return issue(name, {m_validity.not_before, m_validity.not_before + std::chrono::days(10)});
  }

  // Of what is issued without a word about it.
  WallTime end() const { return m_validity.not_after; }

  TlsFiles issue(const std::string& name, const crypto::Validity& validity) const {
    const crypto::CertificateNames names{.common_name = name,
                                         .uris = {"quipu:" + name},
                                         .dns = {"localhost", name},
                                         .addresses = {IpAddress::from_octets(Bytes{127, 0, 0, 1})}};
    return issue_named(name, names, validity);
  }

  TlsFiles issue_named(const std::string& file, const crypto::CertificateNames& names) const {
    return issue_named(file, names, m_validity);
  }

  // From an hour ago on, for a month.
  static crypto::Validity list_period() {
    const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    return {now - std::chrono::hours(1), now + std::chrono::days(30)};
  }

  // Of the certificates that were issued under these names last, signed by the authority: the PEM text.
  std::string list_of(const std::vector<std::string>& revoked, const crypto::Validity& period = list_period()) const {
    std::vector<crypto::NamedCertificate> certificates;
    for (const std::string& name : revoked)
      certificates.push_back({name, read(name + ".pem")});
    const auto list =
        crypto::create_revocation_list(m_ca.certificate_pem, m_ca.private_key_pem, {}, certificates, period);
    EXPECT_TRUE(list.has_value()) << (list ? "" : list.error().text);
    return list ? list->pem : std::string();
  }

  std::string_view ca_key() const { return as_text(m_ca.private_key_pem.view()); }

  std::shared_ptr<const TlsContext> context(const std::string& name, const TlsOptions& options = {}) const {
    return load(issue(name), options);
  }

  static std::shared_ptr<const TlsContext> load(const TlsFiles& files, const TlsOptions& options = {}) {
    auto context = TlsContext::load(files, options);
    EXPECT_TRUE(context.has_value()) << (context ? "" : context.error().front().error.text);
    return context ? *context : nullptr;
  }

 private:
  TlsFiles issue_named(const std::string& file, const crypto::CertificateNames& names,
                       const crypto::Validity& validity) const {
    const auto issued = crypto::issue_certificate(m_ca.certificate_pem, m_ca.private_key_pem, names,
                                                  crypto::CertificateKey::ecdsa_p256, validity);
    EXPECT_TRUE(issued.has_value()) << (issued ? "" : issued.error().text);
    write(file + ".pem", issued->certificate_pem);
    write(file + ".key", as_text(issued->private_key_pem.view()));
    return {ca(), path(file + ".pem"), path(file + ".key")};
  }

  test::Scratch m_folder;
  crypto::Validity m_validity;
  crypto::CertificateAndKey m_ca;
};

}  // namespace quipu::net
