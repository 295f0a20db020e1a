// SPDX-License-Identifier: Apache-2.0
#include "kmsd/machine_check.h"

#include "kmsd/entropy_reader.h"
#include "service/control_server.h"
#include "store/store_check.h"

namespace quipu::kmsd {
namespace {

Result<void> check_store(Configuration& configuration, const service::UnitUser* reader) {
  const std::string& store = configuration.values.kme.store;
  QUIPU_TRY(store::check_store(store, std::move(configuration.store_key), std::move(configuration.previous_store_key)));
  return reader == nullptr ? Result<void>() : reader->check_readable(store);
}

// At the key that is to be corrected.
void check_store(Configuration& configuration, const service::UnitUser* reader, Findings& out) {
  const config::KmeConfig& kme = configuration.values.kme;
  const auto checked = check_store(configuration, reader);
  if (checked) return;
  const Error& error = checked.error();
  if (error.code == Errc::busy)
    out.notes.push_back({kme.store_key_file.position, kme.store_key_file.key, error.text,
                         "look at 'quipu status', or check again when quipu-kmsd is stopped"});
  else if (error.code == Errc::bad_key)
    out.problems.push_back({kme.store_key_file.position, kme.store_key_file.key, error.text, {}});
  else
    out.problems.push_back({kme.store_position, "kme.store", error.text, {}});
}

Result<void> check_entropy_source(const std::string& path, const service::UnitUser* reader) {
  QUIPU_TRY(EntropyReader::check(path));
  return reader == nullptr ? Result<void>() : reader->check_readable(path);
}

}  // namespace

void check_machine(Configuration& configuration, const service::UnitUser* reader, Findings& out) {
  const config::KmeConfig& kme = configuration.values.kme;
  check_store(configuration, reader, out);
  if (const auto free = service::check_socket_path(kme.control_socket); !free)
    out.problems.push_back({kme.control_socket_position, "kme.control_socket", free.error().text, {}});
  const config::RelayConfig& relay = configuration.values.relay;
  if (relay.entropy_source.empty()) return;
  if (const auto readable = check_entropy_source(relay.entropy_source, reader); !readable)
    out.problems.push_back({relay.entropy_source_position, "relay.entropy_source", readable.error().text,
                            "no block is made for relay without it: name the device or FIFO of the random number "
                            "generator, or remove the setting"});
}

}  // namespace quipu::kmsd
