// SPDX-License-Identifier: Apache-2.0
#include "config/quipud_config.h"

#include <algorithm>

#include "base/encoding.h"
#include "config/checks.h"
#include "config/kms_sections.h"
#include "config/section.h"

namespace quipu::config {
namespace {

constexpr std::size_t kMaxInterfaceName = 15;  // IFNAMSIZ without its zero

std::optional<std::string> parse_interface_name(std::string_view text) {
  return text.size() <= kMaxInterfaceName ? parse_name(text) : std::nullopt;
}

std::optional<PublicKey> parse_public_key(std::string_view text) {
  const auto octets = from_base64(text);
  PublicKey key{};
  if (!octets || octets->size() != key.size()) return std::nullopt;
  std::ranges::copy(*octets, key.begin());
  // The neutral element: every shared secret with it is known.
  return key == PublicKey{} ? std::nullopt : std::optional(key);
}

std::uint32_t unsigned_value(const Section& section, std::string_view key) {
  return static_cast<std::uint32_t>(section.integer(key).value_or(0));
}

// A network, or nothing when the text is none: what is wrong with it was added. Without its length it is refused: taken
// for one host, the rest of the network that was meant would stay unprotected.
std::optional<IpPrefix> read_network(const Section& section, std::string_view key, const ListItem& item) {
  const auto prefix = item.text.contains('/') ? IpPrefix::parse(item.text) : std::nullopt;
  if (!prefix) {
    section.add_at(item.position, key, fmt::format("\"{}\" is not a prefix", item.text),
                   "write it as in 10.2.0.0/16 or fd02::/64");
    return std::nullopt;
  }
  if (const IpPrefix masked = prefix->masked(); masked != *prefix) {
    section.add_at(item.position, key, fmt::format("\"{}\" has host bits set", item.text),
                   fmt::format("write {} for the network or {}/{} for the host", masked.text(), prefix->address.text(),
                               prefix->address.bits()));
    return std::nullopt;
  }
  return prefix;
}

std::vector<IpPrefix> read_local_networks(const Section& section) {
  std::vector<IpPrefix> out;
  UniqueValues unique("prefix");
  for (const ListItem& item : section.text_list("local_networks").value_or(std::vector<ListItem>{})) {
    const auto network = read_network(section, "local_networks", item);
    if (!network) continue;
    unique.take_at(section, item.position, "local_networks", network->text());
    // A protected default route is protected as its two halves.
    if (network->length <= 1)
      section.add_at(item.position, "local_networks", fmt::format("\"{}\" is half of all addresses or more", item.text),
                     "list the networks of this site");
    if (const std::string_view kind = unroutable(*network); !kind.empty())
      section.add_at(item.position, "local_networks", fmt::format("\"{}\" holds {} addresses only", item.text, kind),
                     "list networks of this site that other machines are in");
    out.push_back(*network);
  }
  return out;
}

std::vector<IpPrefix> read_addresses(const Section& section) {
  std::vector<IpPrefix> out;
  UniqueValues unique("address");
  for (const ListItem& item : section.text_list("addresses").value_or(std::vector<ListItem>{})) {
    const auto prefix = item.text.contains('/') ? IpPrefix::parse(item.text) : std::nullopt;
    if (!prefix) {
      section.add_at(item.position, "addresses",
                     fmt::format("\"{}\" is not an address with a prefix length", item.text),
                     "write it as in 10.70.0.1/24 or fd70::1/64");
      continue;
    }
    const std::string_view kind = unroutable({prefix->address, prefix->address.bits()});
    if (!kind.empty() && kind != kLinkLocal)
      section.add_at(item.position, "addresses", fmt::format("the address in \"{}\" is {}", item.text, kind),
                     "write an address that an interface can have");
    else if (*prefix == prefix->masked() && prefix->length < prefix->address.bits() - 1)
      section.add_at(
          item.position, "addresses", fmt::format("\"{}\" is a network, not an address in it", item.text),
          "write the device's own address with the network's prefix length, as in 10.70.0.1/24 or fd70::1/64");
    unique.take_at(section, item.position, "addresses", prefix->address.text());
    out.push_back(*prefix);
  }
  return out;
}

DeviceConfig read_device(const Section& section) {
  DeviceConfig device;
  device.name = section.parsed("name", parse_interface_name, "an interface name of 1 to 15 letters, digits, . _ and -")
                    .value_or("");
  device.private_key_file = section.file("private_key_file");
  device.listen_port = static_cast<std::uint16_t>(unsigned_value(section, "listen_port"));
  device.lanes = static_cast<std::uint8_t>(unsigned_value(section, "lanes"));
  constexpr std::uint32_t kMostPorts = 65535;
  if (device.listen_port + std::max<std::uint32_t>(device.lanes, 1) - 1 > kMostPorts)
    section.add("lanes", fmt::format("there are not {} ports from listen_port {} up", device.lanes, device.listen_port),
                "choose a lower listen_port");
  device.addresses = read_addresses(section);
  device.local_networks = read_local_networks(section);
  device.mtu = unsigned_value(section, "mtu");
  device.copy_dscp = section.boolean("copy_dscp").value_or(false);
  device.state_dir = section.parsed("state_dir", parse_absolute_path, "an absolute path").value_or("");
  device.control_socket =
      section.parsed("control_socket", parse_socket_path, "an absolute path of at most 107 octets").value_or("");
  device.log_level = read_log_level(section);
  return device;
}

// Reads [[peer]] tables one after the other, with what must be unique over all of them.
class PeerReader {
 public:
  explicit PeerReader(const QuipudConfig& config) : m_device(config.device), m_kms(config.kms) {}

  PeerConfig read(const Section& section) {
    PeerConfig peer;
    peer.position = section.position();
    peer.name = read_name(section, "name");
    m_names.take(section, "name", peer.name);
    if (const auto key =
            section.parsed("public_key", parse_public_key, "a public key (32 octets, base64, not all zero)",
                           "put what quipu pubkey prints at the peer")) {
      peer.public_key = *key;
      m_keys.take(section, "public_key", to_base64(*key));
    }
    peer.psk_file = section.file("psk_file");
    if (!peer.psk_file.name.empty() && peer.psk_file == m_device.private_key_file)
      section.add("psk_file", fmt::format("\"{}\" is device.private_key_file, too", peer.psk_file.name),
                  "make a key for this peer with quipu genpsk, the same at both ends");
    if (section.has("endpoint")) peer.endpoint = read_host_port(section, "endpoint");
    read_allowed_ips(section, peer);
    read_timing(section, peer);
    read_sources(section, peer);
    read_policy(section, peer);
    peer.tunnel_id = unsigned_value(section, "tunnel_id");
    return peer;
  }

 private:
  void read_allowed_ips(const Section& section, PeerConfig& peer) {
    for (const ListItem& item : section.text_list("allowed_ips").value_or(std::vector<ListItem>{})) {
      const auto prefix = read_network(section, "allowed_ips", item);
      if (!prefix) continue;
      if (const std::string_view kind = unroutable(*prefix); !kind.empty()) {
        section.add_at(item.position, "allowed_ips", fmt::format("\"{}\" holds {} addresses only", item.text, kind),
                       "list networks that lie behind the peer");
      } else if (is_own(*prefix)) {
        section.add_at(item.position, "allowed_ips", fmt::format("\"{}\" is this device's own address", item.text),
                       "list the peer's");
      } else if (std::ranges::find(m_device.local_networks, *prefix) != m_device.local_networks.end()) {
        section.add_at(item.position, "allowed_ips", fmt::format("\"{}\" is in device.local_networks, too", item.text),
                       "a network is this site's own or lies behind a peer: take it out of one of both");
      } else {
        m_prefixes.take_at(section, item.position, "allowed_ips", prefix->text());
        peer.allowed_ips.push_back(*prefix);
      }
    }
  }

  bool is_own(const IpPrefix& prefix) const {
    return prefix.length == prefix.address.bits() &&
           std::ranges::find(m_device.addresses, prefix.address, &IpPrefix::address) != m_device.addresses.end();
  }

  void read_sources(const Section& section, PeerConfig& peer) {
    UniqueValues unique("source");
    for (const Section& entry : section.has("sources") ? section.tables("sources") : std::vector<Section>{}) {
      SourceConfig source;
      source.kms = read_name(entry, "kms");
      source.peer_sae_id = SaeId(read_id(entry, "peer_sae_id"));
      source.simulated = entry.boolean("simulated").value_or(false);
      const auto kms = std::ranges::find(m_kms, source.kms, &KmsConfig::name);
      if (!source.kms.empty() && kms == m_kms.end())
        entry.add("kms", fmt::format("there is no [kms.{}]", source.kms), "add that section or name one that is there");
      if (kms != m_kms.end() && !source.peer_sae_id.value().empty() && kms->sae_id == source.peer_sae_id)
        entry.add("peer_sae_id", fmt::format("\"{}\" is this device's own SAE id", source.peer_sae_id.value()),
                  "name the peer's");
      if (!source.kms.empty()) unique.take(entry, "kms", source.kms + ", " + source.peer_sae_id.value());
      peer.sources.push_back(std::move(source));
    }
  }

  static void read_timing(const Section& section, PeerConfig& peer) {
    peer.rekey_interval = std::chrono::seconds(section.integer("rekey_interval_s").value_or(0));
    peer.persistent_keepalive = std::chrono::seconds(section.integer("persistent_keepalive_s").value_or(0));
    peer.always_on = section.boolean("always_on").value_or(false);
    peer.max_key_age = 3 * peer.rekey_interval;
    if (!section.has("max_key_age_s")) return;
    const auto age = section.integer("max_key_age_s");
    if (!age) return;
    peer.max_key_age = std::chrono::seconds(*age);
    if (peer.max_key_age <= peer.rekey_interval)
      section.add("max_key_age_s",
                  fmt::format("{} is not above rekey_interval_s = {}", *age, peer.rekey_interval.count()),
                  "let an epoch live for longer than one interval");
  }

  static void read_policy(const Section& section, PeerConfig& peer) {
    const std::string word = section.text("qkd").value_or("required");
    peer.qkd = word == "off" ? QkdPolicy::off : word == "preferred" ? QkdPolicy::preferred : QkdPolicy::required;
    const auto count = static_cast<std::uint32_t>(peer.sources.size());
    if (peer.qkd == QkdPolicy::off && count != 0)
      section.add("sources", "given, while qkd is \"off\"",
                  "remove them, or say what qkd keys are to be: \"required\"");
    if (peer.qkd != QkdPolicy::off && count == 0)
      section.add("sources", fmt::format("missing, while qkd is \"{}\"", word),
                  "add sources = [{ kms = \"...\", peer_sae_id = \"...\" }], or set qkd = \"off\"");
    peer.min_sources = peer.qkd == QkdPolicy::required ? count : 0;
    if (!section.has("min_sources")) return;
    const auto least = section.integer("min_sources");
    if (!least) return;
    if (peer.qkd != QkdPolicy::required)
      section.add("min_sources", fmt::format("has no meaning while qkd is \"{}\"", word), "remove it");
    else if (*least > count)
      section.add("min_sources", fmt::format("{} of {} sources cannot be had", *least, count), "lower it");
    else
      peer.min_sources = static_cast<std::uint32_t>(*least);
  }

  const DeviceConfig& m_device;
  const std::vector<KmsConfig>& m_kms;
  UniqueValues m_names{"peer name"};
  UniqueValues m_keys{"public key"};
  UniqueValues m_prefixes{"prefix"};
};

// The prefix of a peer by which packets to an address go into its tunnel.
const IpPrefix* protecting_prefix(const PeerConfig& peer, const DeviceConfig& device, const IpAddress& address) {
  const int local = longest_match(device.local_networks, {address, address.bits()});
  const auto found = std::ranges::find_if(
      peer.allowed_ips, [&](const IpPrefix& prefix) { return prefix.contains(address) && prefix.length > local; });
  return found == peer.allowed_ips.end() ? nullptr : &*found;
}

// The tunnel's own datagrams to such an endpoint would be routed into the tunnel. One that is given by name is checked
// whenever it is resolved.
void refuse_protected_endpoint(const Section& section, const PeerConfig& peer, const QuipudConfig& config) {
  if (!peer.endpoint || !peer.endpoint->literal) return;
  for (const PeerConfig& other : config.peers)
    if (const IpPrefix* prefix = protecting_prefix(other, config.device, peer.endpoint->literal->address))
      section.add("endpoint",
                  fmt::format("lies inside {}, which allowed_ips of peer \"{}\" protects", prefix->text(), other.name),
                  "list allowed_ips that leave this address out, or its network in device.local_networks if it is this "
                  "site's own: the tunnel cannot run through itself");
}

// Requests to such a KMS would wait for the tunnel, and the tunnel for its keys.
void refuse_protected_kme(const Section& section, const PeerConfig& peer, const QuipudConfig& config,
                          const KmsConfig& kms, const HostPort& server) {
  if (!server.literal) return;
  const IpAddress& address = server.literal->address;
  const auto& own = config.device.addresses;
  const bool this_machine = !unroutable({address, address.bits()}).empty() ||
                            std::ranges::find(own, address, &IpPrefix::address) != own.end();
  if (this_machine) return;
  if (const IpPrefix* prefix = protecting_prefix(peer, config.device, address))
    section.add("sources",
                fmt::format("kms \"{}\" at {} lies inside {}, which allowed_ips protects", kms.name, server.host,
                            prefix->text()),
                "list allowed_ips that leave this address out, or its network in device.local_networks if it is this "
                "site's own: the tunnel cannot wait for keys that come through it");
}

void refuse_protected_kms(const Section& section, const PeerConfig& peer, const QuipudConfig& config) {
  if (peer.qkd != QkdPolicy::required) return;
  for (const SourceConfig& source : peer.sources) {
    const KmsConfig* kms = config.find_kms(source.kms);
    if (kms == nullptr) continue;
    refuse_protected_kme(section, peer, config, *kms, kms->url.server);
    for (const HttpsUrl& url : kms->standby_urls)
      refuse_protected_kme(section, peer, config, *kms, url.server);
  }
}

}  // namespace

std::string_view to_string(QkdPolicy policy) {
  switch (policy) {
    case QkdPolicy::required: return "required";
    case QkdPolicy::preferred: return "preferred";
    case QkdPolicy::off: return "off";
  }
  return "unknown";
}

const KmsConfig* QuipudConfig::find_kms(std::string_view name) const {
  const auto found = std::ranges::find(kms, name, &KmsConfig::name);
  return found == kms.end() ? nullptr : &*found;
}

Parsed<QuipudConfig> parse_quipud(std::string_view text) {
  auto document = parse_document(text);
  if (!document) return std::unexpected(std::move(document).error());
  Problems problems;
  const Section root(*document, {1, 1}, "", "", quipud_keys(), problems);
  QuipudConfig config;
  if (const auto device = root.table("device")) config.device = read_device(*device);
  if (root.has("kms")) config.kms = read_all_kms(root);
  PeerReader reader(config);
  const std::vector<Section> peers = root.has("peer") ? root.tables("peer") : std::vector<Section>{};
  for (const Section& peer : peers)
    config.peers.push_back(reader.read(peer));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    refuse_protected_endpoint(peers[i], config.peers[i], config);
    refuse_protected_kms(peers[i], config.peers[i], config);
  }
  if (!problems.empty()) return std::unexpected(std::move(problems).sorted());
  return config;
}

Parsed<void> refuse_own_key(const QuipudConfig& config, const PublicKey& own) {
  std::vector<Problem> problems;
  for (const PeerConfig& peer : config.peers) {
    if (peer.public_key == own)
      problems.push_back({peer.position, fmt::format("peer \"{}\"", peer.name), "its public_key is this device's own",
                          "put the key of the other end there"});
  }
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return {};
}

}  // namespace quipu::config
