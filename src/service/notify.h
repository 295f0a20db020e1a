// SPDX-License-Identifier: Apache-2.0
// sd_notify(3). All of this does nothing when the service manager did not ask for it.
#pragma once

#include <string_view>

namespace quipu::service {

void notify_ready();
// Between these two the new configuration is applied; notify_ready() ends it.
void notify_reloading();
void notify_stopping();
// One line for `systemctl status`.
void notify_status(std::string_view text);
void notify_watchdog();

}  // namespace quipu::service
