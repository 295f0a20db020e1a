// SPDX-License-Identifier: Apache-2.0
// The simulated device as a driver. Scenarios that can be injected: fibre_cut, fibre_restore, intercept (fraction = 0
// to 1).
#include "device.h"

struct quipu_device {
  quipu::sim::Device device;
};

namespace {

int refuse(const struct quipu_host* host, const quipu::sim::WrongOption& wrong) {
  host->log(host->context, QUIPU_LOG_ERROR, wrong.text.c_str());
  return QUIPU_E_OPTION;
}

int check_options(const struct quipu_host* host, const struct quipu_option* options, size_t option_count,
                  size_t* wrong) {
  const auto parsed = quipu::sim::parse_options({options, option_count});
  if (parsed) return QUIPU_OK;
  *wrong = parsed.error().index;
  return refuse(host, parsed.error());
}

int open_device(const struct quipu_host* host, const struct quipu_option* options, size_t option_count,
                struct quipu_device** device) {
  const auto parsed = quipu::sim::parse_options({options, option_count});
  if (!parsed) return refuse(host, parsed.error());
  *device = new quipu_device{.device = {*host, *parsed}};
  return QUIPU_OK;
}

int start_device(struct quipu_device* device) {
  return device->device.start();
}

int stop_device(struct quipu_device* device) {
  device->device.stop();
  return QUIPU_OK;
}

void close_device(struct quipu_device* device) {
  delete device;
}

int read_telemetry(struct quipu_device* device, struct quipu_telemetry* out) {
  device->device.telemetry(*out);
  return QUIPU_OK;
}

int resume_device(struct quipu_device* device) {
  device->device.resume();
  return QUIPU_OK;
}

int inject_fault(struct quipu_device* device, const char* scenario, const struct quipu_option* arguments,
                 size_t argument_count) {
  return device->device.inject(scenario, {arguments, argument_count});
}

}  // namespace

const struct quipu_driver quipu_driver = {
    .abi = QUIPU_DRIVER_ABI,
    .size = sizeof(struct quipu_driver),
    .name = "sim",
    .version = "1",
    .roles = QUIPU_ROLE_KEY,
    .capabilities = QUIPU_CAP_PUSH | QUIPU_CAP_SIMULATED | QUIPU_CAP_INJECT,
    .technology = QUIPU_TECH_DV_BB84,
    .reserved0 = 0,
    .open = open_device,
    .start = start_device,
    .stop = stop_device,
    .close = close_device,
    .telemetry = read_telemetry,
    .resume = resume_device,
    .pull = nullptr,
    .peer_receive = nullptr,
    .inject = inject_fault,
    .check = check_options,
    .reserved = {},
};
