# SPDX-License-Identifier: Apache-2.0
# Sourced by scripts/package: roots of a Debian release, and what is done in them.
# shellcheck shell=bash disable=SC2016 # what is in single quotes is for the shell inside

make_root() {
  local release=$1 root=$2 packages=$3 from updates
  from=$(debian_mirror)
  updates=$(debian_mirror -security)
  rm -rf --one-file-system "$root"
  run "$release: a fresh root" debootstrap --variant=minbase --include="$packages" \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$release" "$root" "$from"
  # These roots are thrown away: nothing in them has to survive a power cut.
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$from" "$release" \
    ${updates:+"$updates" "$release-security"} >"$root/etc/apt/sources.list"
  cp -f /etc/resolv.conf "$root/etc/resolv.conf"
  # How this machine reaches its mirror (a proxy, say) holds inside as well.
  apt-config dump | grep -E '^Acquire::(https?::|Check-)' >"$root/etc/apt/apt.conf.d/zz-mirror" || true
}

# inside ROOT COMMAND...: with /proc and /dev, in namespaces that end with the command, so that nothing stays mounted or running.
inside() {
  local root=$1
  shift
  unshare --mount --pid --fork --kill-child --ipc --uts -- bash -euc '
    root=$1; shift
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
  ' inside "$root" "$@"
}

remove_root() { rm -rf --one-file-system "$1"; }

source_version() { sed -n '1s/^quipu (\(.*\)) .*/\1/p' packaging/debian/changelog; }

# Greater in each release than in the one before it, so that an upgrade of the system replaces the packages.
package_version() {
  case $1 in
    bookworm) printf '%s~deb12u1\n' "$(source_version)" ;;
    trixie) printf '%s~deb13u1\n' "$(source_version)" ;;
  esac
}

# What git knows, with debian/ where Debian's tools expect it, as the package of one release.
copy_sources() {
  local release=$1 to=$2
  mkdir -p "$to"
  git -c safe.directory='*' ls-files -z -co --exclude-standard | tar --null -T - --ignore-failed-read -cf - | tar -xf - -C "$to"
  cp -a "$to/packaging/debian" "$to/debian"
  sed -i "1s/^quipu (.*) unstable;/quipu ($(package_version "$release")) $release;/" "$to/debian/changelog"
}

prepare_build() {
  local release=$1 root=$2 source
  source=/build/quipu-$(source_version)
  copy_sources "$release" "$root$source"
  inside "$root" apt-get -q update
  inside "$root" apt-get -q -y --no-install-recommends install build-essential debhelper fakeroot lintian pkgconf
  inside "$root" env QUIPU_CACHE=/var/cache/quipu-build "$source/scripts/setup" build
  rm -rf "${root:?}$source/build"
  inside "$root" useradd --system --home-dir /nonexistent builder
  inside "$root" chown -R builder: /build
}

build_packages() {
  local release=$1 root=$2 profiles=nocheck source
  source=/build/quipu-$(source_version)
  if [ "$release" = bookworm ]; then profiles="$profiles pkg.quipu.static-openssl"; fi
  # The network namespace is empty: a build that wants the network fails.
  unshare --net -- bash -c 'set -euo pipefail; . scripts/lib/package_roots.sh; inside "$@"' build "$root" \
    runuser -u builder -- env QUIPU_CACHE=/var/cache/quipu-build DEB_BUILD_PROFILES="$profiles" \
    DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" sh -ec "cd $source && dpkg-buildpackage -us -uc -b"
}

check_packages() {
  local release=$1 root=$2 deb version
  for deb in "$root"/build/*.deb; do
    version=$(dpkg-deb -f "$deb" Version)
    [ "$version" = "$(package_version "$release")" ] || { echo "${deb##*/}: version $version is not the one of $release"; return 1; }
  done
  # Errors of lintian end the run; its warnings are shown.
  inside "$root" runuser -u builder -- sh -ec 'cd /build && lintian --no-cfg --fail-on error --info ./*.changes'
  if [ "$release" = bookworm ]; then
    for deb in "$root"/build/quipu_*.deb "$root"/build/quipu-kms_*.deb; do
      dpkg-deb -f "$deb" Static-Built-Using | grep -q '^openssl (= ' ||
        { echo "${deb##*/}: no Static-Built-Using: openssl (= VERSION)"; return 1; }
    done
  fi
  # The author of a driver has the header and a C compiler.
  inside "$root" sh -ec '
    dpkg -i /build/quipu-driver-dev_*.deb
    echo "#include <quipu/driver.h>" | cc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c -'
}

install_packages() {
  local release=$1 root=$2
  cp "build/packages/$release"/{quipu,quipu-kms,quipu-driver-dev}_*.deb "$root/var/tmp/"
  inside "$root" apt-get -q update
  inside "$root" sh -ec 'apt-get -q -y --no-install-recommends install /var/tmp/*.deb'
  # One command a line: of those that && joins, only the last would end the shell. Each is shown, so that the log ends with the one that
  # failed.
  inside "$root" sh -exc '
    getent passwd _quipu
    getent passwd _quipu-kms
    getent group quipu
    test "$(stat -c "%a %U" /etc/quipu/credentials)" = "700 root"
    test "$(stat -c "%a %U" /etc/quipu/kms-credentials)" = "700 root"
    quipu version
    quipud --version
    quipu-kmsd --version
    test -x /usr/lib/quipu/quipu-driver
    test -e /usr/lib/quipu/drivers/sim.so
    test -e /usr/share/man/man1/quipu.1.gz
    test -e /usr/share/man/man8/quipud.8.gz
    test -e /usr/share/man/man8/quipu-kmsd.8.gz
    # Of several it would tell only that one of them is.
    systemctl is-enabled quipud
    systemctl is-enabled quipu-kmsd'
}

may_raise_memlock() { prlimit --memlock=unlimited:unlimited true 2>/dev/null; }

# One site as an admin lays it out: two files, and the keys as credentials.
configure_site() {
  local root=$1
  cp scripts/lib/package_site/quipu.toml scripts/lib/package_site/kms.toml "$root/etc/quipu/"
  inside "$root" sh -ec '
    umask 077
    quipu pki ca /var/tmp/pki
    quipu pki issue /var/tmp/pki sae-a --san DNS:sae-a
    quipu pki issue /var/tmp/pki kme-a --san DNS:kme-a --san IP:127.0.0.1
    cd /etc/quipu
    for name in ca.pem sae-a.pem sae-a.key; do cp /var/tmp/pki/$name credentials/; done
    for name in ca.pem kme-a.pem kme-a.key; do cp /var/tmp/pki/$name kms-credentials/; done
    quipu genkey --out credentials/device.key
    quipu genpsk --out credentials/dc-b.psk
    quipu genpsk --out kms-credentials/store.key
    sed -i "s|PUBLIC_KEY_OF_DC_B|$(quipu genkey 2>/dev/null | quipu pubkey)|" quipu.toml
    quipu check quipu.toml
    quipu check kms.toml'
  cp scripts/lib/package_site/test.service "$root/etc/systemd/system/package-test.service"
  install -m 755 scripts/lib/package_site/test.sh "$root/var/tmp/test.sh"
  # The units may lock as much memory as they like, which a machine that is a container itself cannot give them. There they get the
  # capability for it instead.
  if ! may_raise_memlock; then
    for unit in quipud quipu-kmsd; do
      mkdir -p "$root/etc/systemd/system/$unit.service.d"
      printf '[Service]\nCapabilityBoundingSet=CAP_IPC_LOCK\nAmbientCapabilities=CAP_IPC_LOCK\n' \
        >"$root/etc/systemd/system/$unit.service.d/lock.conf"
    done
  fi
  # The root has no network and no terminal: nothing else is to be waited for.
  inside "$root" systemctl enable package-test.service
  inside "$root" systemctl mask systemd-networkd-wait-online.service
}

boot_site() {
  local root=$1 capabilities=CAP_NET_ADMIN
  if ! may_raise_memlock; then capabilities=$capabilities,CAP_IPC_LOCK; fi
  rm -f "$root/var/tmp/result" "$root/var/tmp/tun"
  # As udev makes it, whatever this machine's own is like.
  mknod -m 666 "$root/var/tmp/tun" c 10 200
  # Enough for many of the waits inside to take the 60 s that each may.
  timeout 900 systemd-nspawn -q -D "$root" --register=no --keep-unit --private-network \
    --bind="$root/var/tmp/tun:/dev/net/tun" --capability="$capabilities" \
    --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
    --console=pipe -b </dev/null || true
  echo "-- what the test inside said:"
  cat "$root/var/tmp/log" || true
  [ "$(cat "$root/var/tmp/result" 2>/dev/null)" = passed ] || { echo "the booted root did not pass its test"; return 1; }
}
