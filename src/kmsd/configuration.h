// SPDX-License-Identifier: Apache-2.0
// What quipu-kmsd was configured to be, with every file that is named there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/kmsd_config.h"
#include "service/certificates.h"
#include "service/named_files.h"

namespace quipu::kmsd {

// The configuration file and every file that it names, read and checked as a whole: what a start, a reload and --check
// have in common.
struct Configuration {
  std::string file;
  config::KmsdConfig values;
  Secret<32> store_key;
  std::optional<Secret<32>> previous_store_key;
  service::TlsEnd etsi014;
  service::TlsEnd km_link;
};

// What the values name. `reader` is who will read it, where this is a check only. The text of an error as with
// load_configuration.
Result<Configuration> load_named_files(std::string file, config::KmsdConfig values,
                                       const service::UnitUser* reader = nullptr);
// The text of an error names the file, and the place in it where there is one.
Result<Configuration> load_configuration(const std::string& file, const service::UnitUser* reader = nullptr);

// What in its certificates may be a mistake.
std::vector<config::Problem> doubts_about(const Configuration& configuration);

// Ours, of both listeners.
std::vector<service::Certificate> certificates_of(const Configuration& configuration);

}  // namespace quipu::kmsd
