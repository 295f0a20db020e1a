// SPDX-License-Identifier: Apache-2.0
// `quipu lab`: complete sites on one machine, in network namespaces of their own, with the real programs.
#pragma once

#include "cli/lab/site_files.h"
#include "cli/lab/state.h"

namespace quipu::cli::lab {

struct Programs {
  std::filesystem::path quipud;
  std::filesystem::path quipu_kmsd;
};

// quipud and quipu-kmsd as they lie beside this program, else where the Debian packages put them.
Result<Programs> find_programs();

// Makes the network, the files and the daemons, and waits until a ping went through each tunnel. Takes everything
// down again when any of it fails, and leaves nothing but the logs: the error says where. What cannot be taken down
// stays a run, for down(). tunnel_up_s is the time from the execution of the first daemon to the first answered ping.
struct UpResult {
  Run run;
  double tunnel_up_s = 0;
};

Result<UpResult> up(const std::string& id, const std::filesystem::path& root, const config::LabTopology& topology,
                    const LabOptions& options);
// Ends the daemons in reverse order of their start, removes namespaces and files, the logs of a failed `up` too.
// `keep_files` leaves logs and stores. What cannot be ended or removed is an error, and leaves the files as well.
Result<void> down(const std::string& id, const std::filesystem::path& root, bool keep_files);

// Ends the daemons of one site; its namespace and files stay. Errc::not_found when the laboratory has no such site,
// conflict when the site is stopped or the laboratory was taken down. What cannot be ended is an error.
Result<void> stop_site(const std::string& id, const std::filesystem::path& root, const std::string& letter);
// Starts them again, also where they have ended by themselves, and waits until they answer. Errors as above; conflict
// when they run.
Result<void> start_site(const std::string& id, const std::filesystem::path& root, const std::string& letter);

}  // namespace quipu::cli::lab
