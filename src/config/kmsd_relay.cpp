// SPDX-License-Identifier: Apache-2.0
#include "config/kmsd_relay.h"

#include <algorithm>
#include <set>

#include "config/checks.h"

namespace quipu::config {
namespace {

RelayRouteConfig read_route(const Section& section, const KmsdConfig& config) {
  RelayRouteConfig route;
  route.to = KmeId(read_id(section, "to"));
  const PeerKmeConfig* const destination = config.find_peer_kme(route.to);
  if (!route.to.value().empty() && (destination == nullptr || destination->relay_stock_bit == 0))
    section.add("to", fmt::format("no [[peer_kme]] with id = \"{}\" has a relay_stock_bit", route.to.value()),
                "give it one, or name another");
  else if (destination != nullptr && destination->relay_paths != 1)
    section.add(
        "to",
        fmt::format("a route is one path, and \"{}\" has relay_paths = {}", route.to.value(), destination->relay_paths),
        "remove the route or that setting");
  UniqueValues nodes("node");
  for (const ListItem& item : section.text_list("via").value_or(std::vector<ListItem>{})) {
    if (!parse_id(item.text))
      section.add_at(item.position, "via", fmt::format("\"{}\" is not {}", item.text, kIdForm), "correct it");
    else if (item.text == config.kme.id.value() || item.text == route.to.value())
      section.add_at(item.position, "via", fmt::format("\"{}\" is an end of the path", item.text),
                     "name only what is between");
    nodes.take_at(section, item.position, "via", item.text);
    if (route.via.empty() && !config.carries_hops(KmeId(item.text)))
      section.add_at(
          item.position, "via",
          config.is_linked_with(KmeId(item.text))
              ? fmt::format("keys with \"{}\" may be relayed ones, which carry no others", item.text)
              : fmt::format("there is no [[link]] with \"{}\"", item.text),
          "begin with a KME that shares a QKD link with this one, and has no relay_stock_bit or combines it");
    route.via.emplace_back(item.text);
  }
  return route;
}

// The first hop of every path, or the last, is a link of ours.
void check_relayed(const Section& section, const KmsdConfig& config, const PeerKmeConfig& peer) {
  if (peer.relay_stock_bit == 0) {
    if (peer.relay_paths > 1)
      section.add("relay_paths", "has no meaning without relay_stock_bit", "remove it or set that");
    return;
  }
  std::set<KmeId> first;
  for (const LinkConfig& link : config.links)
    if (link.peer_kme != peer.id && config.carries_hops(link.peer_kme)) first.insert(link.peer_kme);
  if (first.empty())
    section.add(
        "relay_stock_bit",
        "no key can be relayed: there is no [[link]] with another KME than this, whose own keys are not relayed",
        "add the link with the first trusted node, remove that one's relay_stock_bit or combine it, or remove "
        "the setting");
  else if (first.size() < peer.relay_paths)
    section.add("relay_paths",
                fmt::format("{} paths begin with as many nodes, and there {} with other KMEs than this, whose own keys "
                            "are not relayed",
                            peer.relay_paths,
                            first.size() == 1 ? "is one [[link]]" : fmt::format("are [[link]]s with {}", first.size())),
                "add the missing link, or lower it");
}

}  // namespace

void read_relay(const Section& root, KmsdConfig& config) {
  if (const auto section = root.table("relay")) {
    config.relay.trusted_node = section->boolean("trusted_node").value_or(false);
    config.relay.entropy_source =
        section->parsed("entropy_source", parse_absolute_path, "an absolute path").value_or("");
    config.relay.entropy_source_position = section->position_of("entropy_source");
    if (!config.relay.entropy_source.empty() &&
        std::ranges::all_of(config.peer_kmes, [](const PeerKmeConfig& peer) { return peer.relay_stock_bit == 0; }))
      section->add("entropy_source", "nothing is made of it: no [[peer_kme]] has a relay_stock_bit",
                   "remove it, or give the peer one");
    UniqueValues destinations("route to");
    for (const Section& route : section->tables("route")) {
      config.relay.routes.push_back(read_route(route, config));
      destinations.take(route, "to", config.relay.routes.back().to.value());
    }
  }
  const auto sections = root.tables("peer_kme");
  for (std::size_t i = 0; i < sections.size() && i < config.peer_kmes.size(); ++i)
    check_relayed(sections[i], config, config.peer_kmes[i]);
}

}  // namespace quipu::config
