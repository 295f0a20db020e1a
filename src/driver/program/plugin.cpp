// SPDX-License-Identifier: Apache-2.0
#include "driver/program/plugin.h"

#include <dlfcn.h>

#include "driver/messages.h"

namespace quipu::driver {

// What drivers have been built with: a structure of another size is another ABI.
static_assert(QUIPU_DRIVER_ABI == 1 && sizeof(void*) == 8);
static_assert(sizeof(struct quipu_driver) == 176 && sizeof(struct quipu_host) == 136);
static_assert(sizeof(struct quipu_block) == 72 && sizeof(struct quipu_telemetry) == 360);
static_assert(sizeof(struct quipu_pull) == 32 && sizeof(struct quipu_option) == 16);

namespace {

std::string last_load_error() {
  const char* text = ::dlerror();
  return text != nullptr ? text : "unknown error";
}

}  // namespace

Result<const struct quipu_driver*> load_plugin(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(Errc::not_found, "driver " + path + " cannot be loaded: " + last_load_error());
  void* symbol = ::dlsym(library, QUIPU_DRIVER_SYMBOL);
  if (symbol == nullptr)
    return fail(Errc::malformed, path + " is not a Quipu driver: it does not export " QUIPU_DRIVER_SYMBOL);
  const auto* driver = static_cast<const struct quipu_driver*>(symbol);
  if (driver->abi != QUIPU_DRIVER_ABI)
    return fail(Errc::unsupported, "driver " + path + " was made for driver ABI " + std::to_string(driver->abi) +
                                       " and this is ABI " + std::to_string(QUIPU_DRIVER_ABI) +
                                       ": install the driver's package for this version of Quipu");
  if (driver->size < sizeof(struct quipu_driver))
    return fail(Errc::malformed, "driver " + path + " describes itself in " + std::to_string(driver->size) +
                                     " octets, and ABI " + std::to_string(QUIPU_DRIVER_ABI) + " has " +
                                     std::to_string(sizeof(struct quipu_driver)) + ": build it again with driver.h");
  return driver;
}

Result<DriverIdentity> identify(const struct quipu_driver& driver) {
  const auto has = [&](std::uint32_t capability) { return (driver.capabilities & capability) != 0; };
  DriverIdentity out;
  out.name = driver.name != nullptr ? driver.name : "";
  out.version = driver.version != nullptr ? driver.version : "";
  out.key_source = (driver.roles & QUIPU_ROLE_KEY) != 0;
  out.entropy_source = (driver.roles & QUIPU_ROLE_ENTROPY) != 0;
  out.push = has(QUIPU_CAP_PUSH);
  out.pull = has(QUIPU_CAP_PULL);
  out.peer_messages = has(QUIPU_CAP_PEER_MESSAGES);
  out.simulated = has(QUIPU_CAP_SIMULATED);
  out.inject = has(QUIPU_CAP_INJECT);
  out.technology = driver.technology;
  const bool functions =
      driver.open != nullptr && driver.start != nullptr && driver.stop != nullptr && driver.close != nullptr &&
      driver.telemetry != nullptr && (!out.pull || driver.pull != nullptr) &&
      (!out.peer_messages || driver.peer_receive != nullptr) && (!out.inject || driver.inject != nullptr);
  if (!functions) return fail(Errc::malformed, "driver " + out.name + " lacks a function that its capabilities need");
  if (!parse_identity(encode(out)))
    return fail(Errc::malformed,
                "driver \"" + out.name + "\" declares a name, role or capability that is not permitted");
  return out;
}

}  // namespace quipu::driver
