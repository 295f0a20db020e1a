// SPDX-License-Identifier: Apache-2.0
#include "store/store_check.h"

#include <filesystem>

#include "crypto/rng.h"
#include "store/database.h"
#include "store/schema.h"
#include "store/sealer.h"
#include "store/store_key.h"

namespace quipu::store {
namespace {

bool has_log(const std::string& path) {
  std::error_code absent;
  const auto size = std::filesystem::file_size(path + "-wal", absent);
  return !absent && size > 0;
}

Result<void> check_file(const std::string& path, const Sealer& sealer) {
  Database database;
  QUIPU_TRY(database.open_unchanged(path));
  QUIPU_TRY_ASSIGN(const bool current, is_current(database));
  return current ? check_fits(database, sealer) : Result<void>();
}

}  // namespace

Result<void> check_store(const std::string& path, Secret<32> store_key, std::optional<Secret<32>> previous_key) {
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) {
    if (error && error != std::errc::no_such_file_or_directory) return fail_system(path, error.value());
    return {};
  }
  crypto::SystemRng rng;
  auto checked = check_file(path, Sealer(std::move(store_key), std::move(previous_key), rng));
  if (!checked && has_log(path))
    return fail(Errc::busy, checked.error().text +
                                "; so says the file without its write-ahead log, which may be newer: "
                                "quipu-kmsd has the store open, or was killed");
  return checked;
}

}  // namespace quipu::store
