// SPDX-License-Identifier: Apache-2.0
// The files that a configuration names, read: whatever is wrong with them is told at once, each file at the key that
// names it.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"
#include "net/tls.h"
#include "service/files.h"

namespace quipu::service {

// By which a file that is not what it was is told, whatever it holds.
using FileDigest = std::array<std::uint8_t, 32>;

// The files of one end of a TLS connection, read.
struct TlsEnd {
  std::shared_ptr<const net::TlsContext> context;  // null where something was wrong
  FileDigest certificate{};                        // of our certificate and its chain
  FileDigest trust{};                              // of `ca` and `crl`: of whom it accepts

  // Other certificates or lists than before, whatever their files are called.
  bool renewed_since(const TlsEnd& before) const { return certificate != before.certificate || distrusts(before); }

  // Whoever was accepted before may not be any more.
  bool distrusts(const TlsEnd& before) const { return trust != before.trust; }
};

class NamedFiles {
 public:
  // `reader` is who will read them where this is a check only; it must outlive this.
  explicit NamedFiles(const UnitUser* reader = nullptr) : m_reader(reader) {}

  // What these return has no meaning where something was wrong: ask outcome() before using it.
  template <std::size_t N>
  Secret<N> key(const config::FileName& file) {
    return taken(file, read_key_file<N>(file.name, m_reader));
  }

  TlsEnd tls(const config::TlsFiles& files, const net::TlsOptions& options = {});

  // What only these files show to be wrong: an id that a certificate does not name.
  void refuse(config::Problem problem);

  // Errc::io where all that is wrong is files that could not be read; they may come yet, as a mount does.
  Result<void> outcome(std::string_view configuration) const;

 private:
  template <class T>
  T taken(const config::FileName& file, Result<T> read) {
    if (read) return *std::move(read);
    refuse(file, read.error());
    return T{};
  }

  void refuse(const config::FileName& file, const Error& error);
  std::string path_of(const config::FileName& file);

  const UnitUser* m_reader;
  std::vector<config::Problem> m_problems;
  bool m_all_unreadable = true;
};

}  // namespace quipu::service
