# SPDX-License-Identifier: Apache-2.0
"""strongSwan as a contestant: IKEv2 and ESP in its own process (its plugin kernel-libipsec), as the others are no part of the kernel
either."""

import os
import secrets

from bench import FETCHED, Failure, call, wait_until
from bench_tunnels import Tunnel

ROOT = FETCHED / "strongswan"
# It knows its libraries, its plugins and its files in /run by their paths alone. `ip netns exec` gives each site mounts of its own, so
# each finds them there, and this machine stays as it is.
ENTER = 'mount -t overlay -o "lowerdir=$0/usr:/usr" strongswan /usr && mount -t tmpfs strongswan /run && exec "$@"'
PLUGINS = "random nonce openssl hmac kdf kernel-libipsec kernel-netlink socket-default vici"

STRONGSWAN_CONF = """charon {{
  load = {plugins}
  filelog {{
    stderr {{
      default = 0
    }}
  }}
  plugins {{
    vici {{
      socket = {vici}
    }}
  }}
}}
"""
SWANCTL_CONF = """connections {{
  site {{
    version = 2
    encap = yes
    local_addrs = {here}
    remote_addrs = {there}
    proposals = aes256gcm16-prfsha384-x25519
    local {{
      auth = psk
      id = {here}
    }}
    remote {{
      auth = psk
      id = {there}
    }}
    children {{
      site {{
        mode = tunnel
        local_ts = {inner}/32
        remote_ts = {inner_there}/32
        esp_proposals = aes256gcm16-x25519
      }}
    }}
  }}
}}
secrets {{
  ike-site {{
    secret = {psk}
  }}
}}
"""


class Site:
    def __init__(self, laboratory, site, address, other, other_address, psk):
        self.laboratory, self.site = laboratory, site
        self.folder = laboratory.folder / f"strongswan-{site['site']}"
        self.folder.mkdir()
        self.vici = f"unix://{self.folder}/vici"
        (self.folder / "strongswan.conf").write_text(STRONGSWAN_CONF.format(plugins=PLUGINS, vici=self.vici))
        (self.folder / "swanctl.conf").write_text(SWANCTL_CONF.format(
            here=site["underlay_address"], there=other["underlay_address"], inner=address, inner_there=other_address, psk=psk))
        # The routes that it sets name this source.
        call(*laboratory.inside(site, "ip", "address", "add", f"{address}/32", "dev", "lo"))
        laboratory.start(site, "sh", "-c", ENTER, ROOT, "/usr/lib/ipsec/charon",
                         env={**os.environ, "STRONGSWAN_CONF": str(self.folder / "strongswan.conf")})
        wait_until((self.folder / "vici").exists, "the socket of strongSwan")
        self.control("--load-all", "--file", self.folder / "swanctl.conf")

    def control(self, verb, *more):
        call(*self.laboratory.inside(self.site, "env", f"STRONGSWAN_CONF={self.folder}/strongswan.conf", "sh", "-c", ENTER, ROOT, "swanctl",
                                     verb, "--uri", self.vici, *more))


def strongswan(laboratory):
    """AES-256-GCM under a pre-shared key and X25519. The MTU of its TUN device is 1400 on every path: no setting of it changes that."""
    if not os.access(ROOT / "usr" / "lib" / "ipsec" / "charon", os.X_OK):
        raise Failure("strongSwan is not there: 'scripts/setup peers' fetches it")
    psk = secrets.token_hex(32)
    ends = (laboratory.a, "10.73.0.1"), (laboratory.b, "10.73.0.2")
    # Who is to answer comes first.
    _, first = [Site(laboratory, *here, *there, psk) for here, there in (ends[::-1], ends)]
    first.control("--initiate", "--child", "site")
    laboratory.wait_for_ping("10.73.0.2", "strongSwan")
    return Tunnel("strongswan", "10.73.0.2")
