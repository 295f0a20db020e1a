// SPDX-License-Identifier: Apache-2.0
#include "config/kmsd_config.h"

#include <algorithm>

#include "config/checks.h"
#include "config/kmsd_relay.h"
#include "config/section.h"

namespace quipu::config {
namespace {

constexpr std::string_view kListenForm = "ADDRESS:PORT, as in 192.0.2.1:8020 or [2001:db8::1]:8020";

bool is_any(const IpAddress& address) {
  return address.octets == decltype(address.octets){};
}

Endpoint read_listen(const Section& section) {
  const Endpoint out = section.parsed("listen", Endpoint::parse, kListenForm).value_or(Endpoint{});
  const std::string_view kind = unroutable({out.address, out.address.bits()});
  if (!kind.empty() && kind != kLoopback && !is_any(out.address))
    section.add("listen", fmt::format("{} cannot be listened on: the address is {}", out.text(), kind),
                "write an address of this machine, or 0.0.0.0 or [::] for all of them");
  return out;
}

std::uint32_t unsigned_value(const Section& section, std::string_view key) {
  return static_cast<std::uint32_t>(section.integer(key).value_or(0));
}

// Whether only one of both could be bound.
bool collide(const Endpoint& a, const Endpoint& b) {
  return a.port != 0 && a.port == b.port && a.address.family == b.address.family &&
         (a.address == b.address || is_any(a.address) || is_any(b.address));
}

KmeConfig read_kme(const Section& section) {
  KmeConfig kme;
  kme.id = KmeId(read_id(section, "id"));
  kme.id_position = section.position_of("id");
  kme.store = section.parsed("store", parse_absolute_path, "an absolute path").value_or("");
  kme.store_position = section.position_of("store");
  kme.store_key_file = section.file("store_key_file");
  kme.previous_store_key_file = section.file("previous_store_key_file");
  kme.audit_keep_days = unsigned_value(section, "audit_keep_days");
  kme.control_socket =
      section.parsed("control_socket", parse_socket_path, "an absolute path of at most 107 octets").value_or("");
  kme.control_socket_position = section.position_of("control_socket");
  kme.log_level = read_log_level(section);
  return kme;
}

SaeIdFrom read_sae_id_from(const Section& section) {
  using enum SaeIdFrom;
  const std::string word = section.text("sae_id_from").value_or("");
  return word == "uri_san" ? uri_san : word == "dns_san" ? dns_san : word == "cn" ? cn : san_or_cn;
}

// Else an application that reckons with both limits would be refused.
void check_greatest_request(const Section& section, const Etsi014Config& config) {
  const std::uint64_t parts = (config.max_key_size_bit + kKeyPartBit - 1) / kKeyPartBit;
  if (config.max_key_per_request * parts * kKeyPartBit <= kMaxRequestBit) return;
  section.add("max_key_per_request",
              fmt::format("{} keys of max_key_size_bit = {} are more than the {} bit that one request can be given",
                          config.max_key_per_request, config.max_key_size_bit, kMaxRequestBit),
              fmt::format("let it be {} at most, or max_key_size_bit less", kMaxRequestBit / (parts * kKeyPartBit)));
}

Etsi014Config read_etsi014(const Section& section) {
  Etsi014Config out;
  out.listen = read_listen(section);
  out.tls = read_tls_files(section);
  out.allow_tls12 = section.text("min_tls_version") == "1.2";
  out.sae_id_from = read_sae_id_from(section);
  out.key_size_bit = unsigned_value(section, "key_size_bit");
  out.min_key_size_bit = unsigned_value(section, "min_key_size_bit");
  out.max_key_size_bit = unsigned_value(section, "max_key_size_bit");
  out.max_key_per_request = unsigned_value(section, "max_key_per_request");
  for (const std::string_view key : {"key_size_bit", "min_key_size_bit", "max_key_size_bit"}) {
    if (const auto size = section.integer(key); size && *size % 8 != 0)
      section.add(key, fmt::format("{} is not a multiple of 8", *size), "keys are whole octets");
  }
  if (out.min_key_size_bit > out.key_size_bit || out.key_size_bit > out.max_key_size_bit)
    section.add("key_size_bit",
                fmt::format("{} is outside min_key_size_bit = {} to max_key_size_bit = {}", out.key_size_bit,
                            out.min_key_size_bit, out.max_key_size_bit),
                "let the usual size be a permitted one");
  check_greatest_request(section, out);
  return out;
}

KmLinkConfig read_km_link(const Section& section, const Endpoint& etsi014, Position etsi014_position) {
  KmLinkConfig out{.listen = read_listen(section), .tls = read_tls_files(section)};
  if (collide(out.listen, etsi014))
    section.add("listen",
                fmt::format("{} and etsi014.listen = {} in line {} cannot both be listened on", out.listen.text(),
                            etsi014.text(), etsi014_position.line),
                "give one of them another port");
  return out;
}

// Who calls such a peer talks to this KMS.
void refuse_own_address(const Section& section, const HostPort& address, const KmsdConfig& config) {
  for (const auto& [name, own] :
       {std::pair("km_link.listen", config.km_link.listen), std::pair("etsi014.listen", config.etsi014.listen)})
    if (address.literal == own)
      section.add("address", fmt::format("{} is this KMS's own {}", address.text(), name),
                  "write where the other site's KM link listens");
}

void read_peers(const Section& root, KmsdConfig& config, UniqueValues& saes) {
  UniqueValues ids("KME id");
  for (const Section& section : root.tables("peer_kme")) {
    PeerKmeConfig peer;
    peer.position = section.position();
    peer.id = KmeId(read_id(section, "id"));
    ids.take(section, "id", peer.id.value());
    if (!peer.id.value().empty() && peer.id == config.kme.id)
      section.add("id", fmt::format("\"{}\" is this KME's own id", peer.id.value()), "name the other site's");
    peer.address = read_host_port(section, "address").value_or(HostPort{});
    refuse_own_address(section, peer.address, config);
    for (const ListItem& item : section.text_list("saes").value_or(std::vector<ListItem>{})) {
      if (!parse_id(item.text)) {
        section.add_at(item.position, "saes", fmt::format("\"{}\" is not {}", item.text, kIdForm), "correct it");
        continue;
      }
      saes.take_at(section, item.position, "saes", item.text);
      peer.saes.emplace_back(item.text);
    }
    peer.reserve_keys = unsigned_value(section, "reserve_keys");
    peer.low_stock_keys = unsigned_value(section, "low_stock_keys");
    peer.relay_stock_bit = unsigned_value(section, "relay_stock_bit");
    peer.relay_paths = unsigned_value(section, "relay_paths");
    config.peer_kmes.push_back(std::move(peer));
  }
}

void read_options(const Section& section, LinkConfig& link) {
  const std::vector<std::string> names = section.names();
  if (names.size() > kMaxLinkOptions)
    section.add(names[kMaxLinkOptions], fmt::format("is one of {} options", names.size()),
                fmt::format("a driver takes at most {}", kMaxLinkOptions));
  for (const std::string& name : names) {
    if (!parse_name(name)) section.add(name, fmt::format("\"{}\" is not {}", name, kNameForm), "rename it");
    const auto value = section.scalar(name);
    if (!value) continue;
    if (value->size() > kMaxLinkOptionSize)
      section.add(name, fmt::format("has {} octets", value->size()),
                  fmt::format("a driver takes at most {}", kMaxLinkOptionSize));
    if (value->find('\0') != std::string::npos) section.add(name, "holds a zero octet", "remove \\u0000");
    link.options.emplace(name, *value);
    link.option_positions.emplace(name, section.position_of(name));
  }
}

// A device cannot be where a KMS listens, whichever driver knows it by whichever option.
void refuse_kms_addresses(const Section& options, const LinkConfig& link, const KmsdConfig& config) {
  std::vector<std::pair<std::string, Endpoint>> taken{{"km_link.listen", config.km_link.listen},
                                                      {"etsi014.listen", config.etsi014.listen}};
  for (const PeerKmeConfig& peer : config.peer_kmes)
    if (peer.address.literal)
      taken.emplace_back(fmt::format("the address of peer_kme \"{}\"", peer.id.value()), *peer.address.literal);
  for (const auto& [name, value] : link.options) {
    const auto endpoint = Endpoint::parse(value);
    if (!endpoint || endpoint->port == 0) continue;
    const auto used = std::ranges::find(taken, *endpoint, &std::pair<std::string, Endpoint>::second);
    if (used != taken.end())
      options.add(name, fmt::format("{} is {}", value, used->first), "give the device an address or a port of its own");
  }
}

void read_links(const Section& root, KmsdConfig& config) {
  UniqueValues names("link name");
  for (const Section& section : root.tables("link")) {
    LinkConfig link;
    link.position = section.position();
    link.name = read_name(section, "name");
    names.take(section, "name", link.name);
    link.peer_kme = KmeId(read_id(section, "peer_kme"));
    if (!link.peer_kme.value().empty() && config.find_peer_kme(link.peer_kme) == nullptr)
      section.add("peer_kme", fmt::format("there is no [[peer_kme]] with id = \"{}\"", link.peer_kme.value()),
                  "add that section or name one that is there");
    link.driver = read_name(section, "driver");
    link.driver_position = section.position_of("driver");
    link.allow_simulated = section.boolean("allow_simulated").value_or(false);
    link.allow_simulated_position = section.position_of("allow_simulated");
    if (section.has("options"))
      if (const auto options = section.table("options")) {
        read_options(*options, link);
        refuse_kms_addresses(*options, link, config);
      }
    config.links.push_back(std::move(link));
  }
}

void read_combiner(const Section& section, const KmsdConfig& config, PeerKmeConfig& peer) {
  const auto wanted = section.integer("min_sources");
  if (section.text("combiner") != "xor") {
    if (wanted) section.add("min_sources", "has no meaning without combiner = \"xor\"", "remove it or set that");
    return;
  }
  const auto there = std::ranges::count(config.links, peer.id, &LinkConfig::peer_kme) + (peer.relay_stock_bit != 0);
  if (!wanted && there > 4)
    section.add("min_sources", fmt::format("is missing, and there are {} sources", there), "say 2 to 4");
  peer.min_sources = static_cast<std::uint32_t>(wanted.value_or(std::clamp<std::int64_t>(there, 2, 4)));
  if (there < peer.min_sources)
    section.add(wanted ? "min_sources" : "combiner",
                fmt::format("each key takes {} sources, and there {} with \"{}\"", peer.min_sources,
                            there == 1 ? "is 1" : fmt::format("are {}", there), peer.id.value()),
                "add a [[link]] or relay_stock_bit, or change it");
  // The pool's room is divided among the sources.
  const std::int64_t share = kMaxRelayStockBit / std::max<std::int64_t>(there, 1);
  if (peer.relay_stock_bit > share)
    section.add(
        "relay_stock_bit",
        fmt::format("is {}, and each key is made of {} of {} sources", peer.relay_stock_bit, peer.min_sources, there),
        fmt::format("at most {} bit: each source has its share of the pool", share));
}

// Once the links are known.
void read_combiners(const Section& root, KmsdConfig& config) {
  const auto sections = root.tables("peer_kme");
  for (std::size_t i = 0; i < sections.size() && i < config.peer_kmes.size(); ++i)
    read_combiner(sections[i], config, config.peer_kmes[i]);
}

}  // namespace

bool KmsdConfig::is_linked_with(const KmeId& id) const {
  return std::ranges::find(links, id, &LinkConfig::peer_kme) != links.end();
}

bool KmsdConfig::carries_hops(const KmeId& id) const {
  const PeerKmeConfig* const peer = find_peer_kme(id);
  return is_linked_with(id) && peer != nullptr && (peer->relay_stock_bit == 0 || peer->min_sources > 1);
}

const PeerKmeConfig* KmsdConfig::find_peer_kme(const KmeId& id) const {
  const auto found = std::ranges::find(peer_kmes, id, &PeerKmeConfig::id);
  return found == peer_kmes.end() ? nullptr : &*found;
}

Parsed<KmsdConfig> parse_kmsd(std::string_view text) {
  auto document = parse_document(text);
  if (!document) return std::unexpected(std::move(document).error());
  Problems problems;
  const Section root(*document, {1, 1}, "", "", kmsd_keys(), problems);
  KmsdConfig config;
  if (const auto section = root.table("kme")) config.kme = read_kme(*section);
  const auto etsi014 = root.table("etsi014");
  if (etsi014) config.etsi014 = read_etsi014(*etsi014);
  if (const auto section = root.table("km_link"))
    config.km_link =
        read_km_link(*section, config.etsi014.listen, etsi014 ? etsi014->position_of("listen") : Position{});
  UniqueValues saes("SAE id");
  for (const Section& section : root.tables("sae")) {
    SaeConfig sae{.id = SaeId(read_id(section, "id"))};
    if (const auto rate = section.integer("max_rate_bit_s")) sae.max_rate_bit_s = static_cast<std::uint64_t>(*rate);
    sae.uses_reserve = section.boolean("uses_reserve").value_or(false);
    if (const auto keys = section.integer("max_unfetched_keys"))
      sae.max_unfetched_keys = static_cast<std::uint32_t>(*keys);
    config.saes.push_back(std::move(sae));
    saes.take(section, "id", config.saes.back().id.value());
  }
  read_peers(root, config, saes);
  read_links(root, config);
  read_combiners(root, config);
  read_relay(root, config);
  if (!problems.empty()) return std::unexpected(std::move(problems).sorted());
  return config;
}

}  // namespace quipu::config
