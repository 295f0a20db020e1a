// SPDX-License-Identifier: Apache-2.0
#include "service/named_files.h"

#include <algorithm>
#include <tuple>

#include "crypto/hash.h"

namespace quipu::service {
namespace {

constexpr std::size_t kMaxCertificatesSize = std::size_t{1} << 20;

const config::FileName& name_of(const config::TlsFiles& files, net::TlsFault::File file) {
  switch (file) {
    case net::TlsFault::File::ca: return files.ca;
    case net::TlsFault::File::certificate: return files.cert;
    case net::TlsFault::File::crl: return files.crl;
    case net::TlsFault::File::key: break;
  }
  return files.key;
}

// Of no octets where it cannot be read, which whoever loads it tells.
FileDigest digest_of(const std::string& path) {
  const Result<SecretBytes> octets = read_certificate_file(path, kMaxCertificatesSize);
  return crypto::blake2b_256({octets ? octets->view() : ByteView()});
}

}  // namespace

TlsEnd NamedFiles::tls(const config::TlsFiles& files, const net::TlsOptions& options) {
  const bool revokes = !files.crl.name.empty();
  const net::TlsFiles paths{.ca = path_of(files.ca),
                            .certificate = path_of(files.cert),
                            .key = path_of(files.key),
                            .crl = revokes ? path_of(files.crl) : std::string()};
  if (paths.ca.empty() || paths.certificate.empty() || paths.key.empty() || paths.crl.empty() == revokes) return {};
  // The digests first: a file that is replaced in between differs at the next reload, and no change is lost.
  TlsEnd end{.context = nullptr,
             .certificate = digest_of(paths.certificate),
             .trust = crypto::blake2b_256({digest_of(paths.ca), revokes ? digest_of(paths.crl) : FileDigest{}})};
  auto loaded = net::TlsContext::load(paths, options);
  if (!loaded) {
    for (const net::TlsFault& fault : loaded.error())
      refuse(name_of(files, fault.file), fault.error);
    return {};
  }
  end.context = *std::move(loaded);
  return end;
}

// Empty where something was wrong.
std::string NamedFiles::path_of(const config::FileName& file) {
  if (m_reader != nullptr && !is_credential(file.name))
    if (const auto readable = m_reader->check_readable(file.name); !readable) {
      refuse(file, readable.error());
      return {};
    }
  return taken(file, resolve_file(file.name));
}

void NamedFiles::refuse(const config::FileName& file, const Error& error) {
  m_problems.push_back({.position = file.position, .key = file.key, .problem = error.text, .advice = {}});
  m_all_unreadable = m_all_unreadable && error.code == Errc::io;
}

void NamedFiles::refuse(config::Problem problem) {
  m_problems.push_back(std::move(problem));
  m_all_unreadable = false;
}

Result<void> NamedFiles::outcome(std::string_view configuration) const {
  if (m_problems.empty()) return {};
  std::vector<config::Problem> sorted = m_problems;
  std::ranges::sort(sorted, {}, [](const config::Problem& problem) {
    return std::tuple(problem.position.line, problem.position.column, std::string_view(problem.key));
  });
  Error error = config::to_error(configuration, sorted);
  if (m_all_unreadable) error.code = Errc::io;
  return std::unexpected(std::move(error));
}

}  // namespace quipu::service
