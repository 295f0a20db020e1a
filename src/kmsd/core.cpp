// SPDX-License-Identifier: Apache-2.0
#include "kmsd/core.h"

#include <fmt/format.h>

#include "base/version.h"
#include "kmsd/core_configuration.h"
#include "net/loop.h"
#include "service/wall_clock.h"

namespace quipu::kmsd {
namespace {

Result<Core> open_parts(Configuration& configuration, const MachineSource& machine, LogSink& log) {
  const config::KmsdConfig& values = configuration.values;
  Core core;
  QUIPU_TRY_ASSIGN(core.machine, machine.read());
  core.rng = std::make_unique<crypto::SystemRng>();
  QUIPU_TRY_ASSIGN(core.store, store::SqliteStore::open(values.kme.store, std::move(configuration.store_key), *core.rng,
                                                        std::move(configuration.previous_store_key)));
  QUIPU_TRY_ASSIGN(core.kme, kms::Kme::start(core_configuration(values), *core.store, *core.rng, service::wall_now(),
                                             net::Loop::now()));
  core.audit = std::make_unique<AuditWriter>(core.store->audit(), log);
  core.audit->add("started", fmt::format("quipu-kmsd {} of {}", kVersion, values.kme.id.value()), service::wall_now());
  QUIPU_TRY(core.audit->write(service::wall_now()));
  return core;
}

}  // namespace

Error with_advice(Error error, const std::string& store) {
  if (error.code == Errc::storage)
    error.text += fmt::format(
        "; the store is damaged: stop quipu-kmsd, move {}* away or put a backup without keys in their place, and start "
        "it: the pools fill again from their links",
        store);
  return error;
}

Result<Core> open_core(Configuration& configuration, const MachineSource& machine, LogSink& log) {
  auto core = open_parts(configuration, machine, log);
  if (!core) return std::unexpected(with_advice(std::move(core).error(), configuration.values.kme.store));
  return core;
}

bool is_for_the_operator(const Error& error) {
  return error.code == Errc::storage || error.code == Errc::bad_key || error.code == Errc::unsupported;
}

}  // namespace quipu::kmsd
