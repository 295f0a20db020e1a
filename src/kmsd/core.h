// SPDX-License-Identifier: Apache-2.0
// The store and what stands on it. Without it there is no KMS: see OutOfService.
#pragma once

#include <functional>
#include <memory>

#include "base/log.h"
#include "crypto/rng.h"
#include "kms/kme.h"
#include "kmsd/audit_writer.h"
#include "kmsd/configuration.h"
#include "service/machine.h"
#include "store/sqlite_store.h"

namespace quipu::kmsd {

// How it is told that this machine was restored or cloned.
struct MachineSource {
  std::function<Result<service::MachineState>()> read = service::read_machine_state;
  int fd = service::machine_state_fd();  // readable when there may be news; -1: there is no such descriptor
};

struct Core {
  service::MachineState machine;  // as it was before the store was read
  std::unique_ptr<crypto::SystemRng> rng;
  std::unique_ptr<store::SqliteStore> store;
  std::unique_ptr<AuditWriter> audit;
  std::unique_ptr<kms::Kme> kme;
};

// Takes the store keys out of `configuration`. The audit log has the start when this returns. `log` outlives the core.
// Errors say what to do.
Result<Core> open_core(Configuration& configuration, const MachineSource& machine, LogSink& log);

// Errc::storage, whoever has met it, with what there is to do; any other error as it is.
Error with_advice(Error error, const std::string& store);

// Whether open_core() failed with this because of what is in the store, which no further start will mend: that it is
// damaged, sealed with another key, or not one that this program knows.
bool is_for_the_operator(const Error& error);

}  // namespace quipu::kmsd
