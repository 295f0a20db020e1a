// SPDX-License-Identifier: Apache-2.0
#include "options_page.h"

#include "options.h"

namespace quipu::sim {
namespace {

constexpr std::string_view kHead = R"(# The driver sim

A simulated pair of QKD devices: both ends deliver equal random keys at the rate that is configured, agreed upon over a TCP
connection in clear. Such keys protect nothing, so the link needs `allow_simulated = true`, and every screen says SIMULATED. It
shows that everything else works, where there is no device yet.

```toml
[[link]]
name = "a-b"
peer_kme = "kme-b"
driver = "sim"
allow_simulated = true

[link.options]
role = "alice"
fibre = "192.0.2.1:8030"
```

The other site has the same with `role = "bob"` and the name of this one as `peer_kme`. `quipu-kmsd --check` tells a wrong option by
line and column. This page is made from the table that the driver itself works with.

| option | value | default | meaning |
|---|---|---|---|
)";

}  // namespace

std::string options_page() {
  std::string out(kHead);
  for (const OptionEntry& entry : option_table()) {
    const std::string value = default_value(entry);
    out.append("| `").append(entry.key).append("` | ").append(permitted(entry)).append(" | ");
    out.append(value.empty() ? "required" : "`" + value + "`").append(" | ").append(entry.help).append(" |\n");
  }
  return out;
}

}  // namespace quipu::sim
