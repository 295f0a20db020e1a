// SPDX-License-Identifier: Apache-2.0
#include "config/lab_topology.h"

#include <algorithm>
#include <optional>
#include <set>

#include "config/checks.h"
#include "config/section.h"

namespace quipu::config {
namespace {

using enum KeyType;

constexpr std::string_view kSiteForm = "a lower-case letter";

constexpr ConfigKey ends_of(std::string_view section) {
  return {.section = section,
          .name = "between",
          .type = text_list,
          .required = true,
          .min = 2,
          .max = 2,
          .help = "Its ends."};
}

constexpr ConfigKey kKeys[] = {
    {.name = "sites",
     .type = text_list,
     .required = true,
     .min = 2,
     .max = kMaxLabSites,
     .help = "Letters of the sites."},
    {.name = "trusted_nodes", .type = text_list, .max = kMaxLabSites, .help = "Sites that relay key for others."},
    {.name = "link", .type = table_list, .help = "One simulated QKD link each."},
    {.name = "pool", .type = table_list, .help = "How keys are made where two sites share several links."},
    {.name = "relay", .type = table_list, .help = "Key over trusted nodes, for two sites each."},
    {.name = "tunnel", .type = table_list, .help = "One tunnel of quipud each."},
    ends_of("link[]"),
    {.section = "link[]", .name = "options", .type = table, .help = "Of driver sim."},
    {.section = "link[].options", .name = "NAME", .type = scalar, .help = "An option of driver sim."},
    ends_of("pool[]"),
    {.section = "pool[]",
     .name = "combiner",
     .type = word,
     .required = true,
     .words = "any xor",
     .help = "How keys are made of what the links between its ends bring."},
    ends_of("relay[]"),
    {.section = "relay[]",
     .name = "stock_bit",
     .type = integer,
     .default_value = "1048576",
     .unit = "bit",
     .min = 1,
     .max = 268435456,
     .help = "Stock at which the pool is kept."},
    {.section = "relay[]",
     .name = "paths",
     .type = integer,
     .default_value = "1",
     .min = 1,
     .max = 4,
     .help = "Over how many paths without a node in common each key comes."},
    ends_of("tunnel[]"),
};

std::optional<std::string> parse_site(std::string_view text) {
  if (text.size() != 1 || text[0] < 'a' || text[0] > 'z') return std::nullopt;
  return std::string(text);
}

std::vector<std::string> read_sites(const Section& root) {
  std::vector<std::string> out;
  UniqueValues letters("site");
  for (const ListItem& item : root.text_list("sites").value_or(std::vector<ListItem>{})) {
    if (!parse_site(item.text))
      root.add_at(item.position, "sites", fmt::format("\"{}\" is not {}", item.text, kSiteForm), "name it by one");
    letters.take_at(root, item.position, "sites", item.text);
    out.push_back(item.text);
  }
  return out;
}

void require_site(const Section& section, std::string_view key, const ListItem& item,
                  const std::vector<std::string>& sites) {
  if (std::ranges::find(sites, item.text) == sites.end())
    section.add_at(item.position, key, fmt::format("there is no site \"{}\"", item.text), "add it to sites");
}

// Each pair at most so often in the list of `what`.
class Pairs {
 public:
  Pairs(std::string what, const std::vector<std::string>& sites, std::uint32_t most = 1)
      : m_what(std::move(what)), m_sites(sites), m_most(most) {}

  LabPair read(const Section& section) {
    LabPair pair;
    const auto items = section.text_list("between").value_or(std::vector<ListItem>{});
    if (items.size() != pair.size()) return pair;
    for (std::size_t i = 0; i < pair.size(); ++i) {
      require_site(section, "between", items[i], m_sites);
      pair[i] = items[i].text;
    }
    std::ranges::sort(pair);
    if (pair[0] == pair[1])
      section.add("between", fmt::format("both ends are \"{}\"", pair[0]), "name two sites");
    else if (++m_seen[pair] > m_most)
      section.add("between",
                  fmt::format("there are {} {}s between \"{}\" and \"{}\"", m_seen[pair], m_what, pair[0], pair[1]),
                  fmt::format("keep at most {}", m_most));
    return pair;
  }

  bool contains(const LabPair& pair) const { return m_seen.contains(pair); }

  std::uint32_t count(const LabPair& pair) const {
    const auto seen = m_seen.find(pair);
    return seen == m_seen.end() ? 0 : seen->second;
  }

 private:
  std::string m_what;
  const std::vector<std::string>& m_sites;
  std::uint32_t m_most;
  std::map<LabPair, std::uint32_t> m_seen;
};

LabLinkConfig read_link(const Section& section, Pairs& pairs) {
  LabLinkConfig link{.between = pairs.read(section), .options = {}};
  link.number = pairs.count(link.between);
  if (!section.has("options")) return link;
  if (const auto options = section.table("options"))
    for (const std::string& name : options->names())
      if (const auto value = options->scalar(name)) link.options.emplace(name, *value);
  return link;
}

// Over links, with nothing but trusted nodes between.
bool is_reached(const LabTopology& topology, const LabPair& ends) {
  std::set<std::string> reached{ends[0]};
  const auto passes_on = [&](const std::string& site) {
    return reached.contains(site) &&
           (site == ends[0] || std::ranges::find(topology.trusted_nodes, site) != topology.trusted_nodes.end());
  };
  for (std::size_t before = 0; before != reached.size();) {
    before = reached.size();
    for (const LabLinkConfig& link : topology.links)
      for (const bool turned : {false, true})
        if (passes_on(link.between[turned ? 1 : 0])) reached.insert(link.between[turned ? 0 : 1]);
  }
  return reached.contains(ends[1]);
}

}  // namespace

Parsed<LabTopology> parse_lab_topology(std::string_view text) {
  auto document = parse_document(text);
  if (!document) return std::unexpected(std::move(document).error());
  Problems problems;
  const Section root(*document, {1, 1}, "", "", kKeys, problems);
  LabTopology out;
  out.sites = read_sites(root);
  for (const ListItem& item : root.text_list("trusted_nodes").value_or(std::vector<ListItem>{})) {
    require_site(root, "trusted_nodes", item, out.sites);
    out.trusted_nodes.push_back(item.text);
  }
  Pairs linked("link", out.sites, kMaxLabLinks);
  for (const Section& section : root.tables("link"))
    out.links.push_back(read_link(section, linked));
  Pairs pooled("pool", out.sites);
  for (const Section& section : root.tables("pool")) {
    out.pools.push_back({.between = pooled.read(section), .combiner = section.text("combiner").value_or("")});
    if (out.pools.back().combiner == "xor" && linked.count(out.pools.back().between) < 2)
      section.add("combiner", "there are not two links between these sites", "add one");
  }
  Pairs relayed("relay", out.sites);
  for (const Section& section : root.tables("relay")) {
    out.relays.push_back({.between = relayed.read(section),
                          .stock_bit = static_cast<std::uint32_t>(section.integer("stock_bit").value_or(0)),
                          .paths = static_cast<std::uint32_t>(section.integer("paths").value_or(1))});
    if (linked.contains(out.relays.back().between))
      section.add("between", "these sites share a link", "remove the link or the relay");
    else if (!is_reached(out, out.relays.back().between))
      section.add("between", "no way leads from one to the other over links and trusted_nodes",
                  "add the missing link, or name the sites between in trusted_nodes");
  }
  Pairs joined("tunnel", out.sites);
  for (const Section& section : root.tables("tunnel")) {
    out.tunnels.push_back(joined.read(section));
    if (const LabPair& pair = out.tunnels.back(); !linked.contains(pair) && !relayed.contains(pair))
      section.add("between", "these sites have no keys: there is neither a link nor a relay between them", "add one");
  }
  if (!problems.empty()) return std::unexpected(std::move(problems).sorted());
  return out;
}

}  // namespace quipu::config
