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
    case net::TlsFault::File::key: break;
  }
  return files.key;
}

}  // namespace

FileDigest NamedFiles::certificates(const config::FileName& file) {
  const SecretBytes octets = taken(file, read_certificate_file(file.name, kMaxCertificatesSize));
  return crypto::blake2b_256({octets.view()});
}

std::shared_ptr<const net::TlsContext> NamedFiles::tls(const config::TlsFiles& files, const net::TlsOptions& options) {
  const net::TlsFiles paths{.ca = path_of(files.ca), .certificate = path_of(files.cert), .key = path_of(files.key)};
  if (paths.ca.empty() || paths.certificate.empty() || paths.key.empty()) return nullptr;
  auto loaded = net::TlsContext::load(paths, options);
  if (loaded) return *std::move(loaded);
  for (const net::TlsFault& fault : loaded.error())
    refuse(name_of(files, fault.file), fault.error);
  return nullptr;
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
