// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace quipu::config {

// Every key of both configuration files, as the Markdown page docs/configuration.md: `quipu check --reference`.
std::string reference();

}  // namespace quipu::config
