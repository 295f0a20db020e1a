#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs inside the booted root: the units start at boot, stay active, answer, reload, come back from whatever ends them, stop cleanly, and
# purge without a trace. Leaves /var/tmp/result.
exec >/var/tmp/log 2>&1
set -eux

failed() {
  journalctl --no-pager -b -u quipu-guard -u quipud -u quipu-kmsd | tail -n 100
  systemctl --no-pager status quipu-guard quipud quipu-kmsd || true
}
trap '[ $? = 0 ] || failed' EXIT

property() { systemctl show -P "$2" "$1"; }
is() { [ "$(property "$1" "$2")" = "$3" ]; }

# until_true COMMAND...: within 60 s
until_true() {
  for _ in $(seq 600); do
    if "$@"; then return; fi
    sleep 0.1
  done
  "$@"
}

running() {
  for unit in quipud quipu-kmsd; do
    is $unit ActiveState active
    is $unit NRestarts 0
  done
}

guarded() {
  ip rule show pref 81 | grep -q 'lookup 81 proto 81' &&
    ip route show table 81 type blackhole | grep -q '^blackhole 10.70.0.2 ' &&
    ip route show type blackhole | grep -q '^blackhole 10.70.0.2 '
}

unguard() { ip rule del pref 81; ip route flush table 81; ip route flush proto 81 type blackhole; }

# The other site is not there: the tunnel is down or blocked, and that is what the exit code says.
shows_status() {
  status=0
  "$@" || status=$?
  [ $status = 4 ] || [ $status = 6 ]
}

# -- After the boot. The guard came before any network.
for unit in quipud quipu-kmsd; do systemctl start $unit; done
running
is quipu-guard Result success
guarded
[ "$(property quipu-guard ActiveEnterTimestampMonotonic)" -le "$(property network-pre.target ActiveEnterTimestampMonotonic)" ]
[ "$(stat -c '%U' /run/quipu/control.sock)" = _quipu ]
[ "$(stat -c '%G %a' /run/quipu/control.sock)" = "quipu 660" ]
ip link show quipu0
shows_status quipu status
quipu status --json | grep -q '"device":{.*"kms":{'

# -- The driver runs within what its unit and its own sandbox leave it, and waits for the other end of its fibre.
driver_runs() { quipu status --json | tr '{' '\n' | grep '"driver":"sim"' | grep -q '"state":"link_down"'; }
until_true driver_runs

# -- An address that comes after the daemon is listened on.
listens() { timeout 5 bash -c ': </dev/tcp/192.0.2.1/8020'; }
if listens; then exit 1; fi
ip address add 192.0.2.1/32 dev lo
listens
running

# -- A member of the group may look, nobody else; and looking is all.
useradd --system --groups quipu watcher
shows_status runuser -u watcher -- quipu status
# refused WHY COMMAND...
refused() {
  why=$1
  shift
  if said=$("$@" 2>&1); then exit 1; fi
  echo "$said" | grep -q "$why"
}
refused 'is for root' runuser -u watcher -- quipu reload
refused 'is for root' runuser -u watcher -- quipu reload --kms
refused 'not permitted' runuser -u nobody -- quipu reload
refused 'not permitted' runuser -u nobody -- quipu status

# -- Reload, by the service manager and by the control socket.
systemctl reload quipud quipu-kmsd
quipu reload
quipu reload --kms
running

# -- Restart: by hand, after a crash, by an upgrade not at all.
systemctl restart quipu-kmsd quipud
running
for unit in quipud quipu-kmsd; do
  kill -KILL "$(property $unit MainPID)"
  until_true is $unit NRestarts 1
  until_true is $unit ActiveState active
  guarded
done
# What hangs as well: the watchdog ends it.
for unit in quipud quipu-kmsd; do kill -STOP "$(property $unit MainPID)"; done
for unit in quipud quipu-kmsd; do
  until_true is $unit NRestarts 2
  until_true is $unit ActiveState active
  guarded
done
until_true driver_runs
before="$(property quipud MainPID) $(property quipu-kmsd MainPID)"
dpkg -i /var/tmp/*.deb
[ "$(property quipud MainPID) $(property quipu-kmsd MainPID)" = "$before" ]

# -- From a shell, with what the units would be given.
for daemon in quipud quipu-kmsd; do $daemon --check; done

# -- Without its key quipud does not start, and nothing leaves in clear. It starts when the key is there.
systemctl stop quipud
unguard
mv /etc/quipu/credentials/device.key /var/tmp/
systemctl restart quipu-guard
guarded
if systemctl start quipud; then exit 1; fi
# Each second it is tried again, and has no status meanwhile.
until_true is quipud ExecMainStatus 1
guarded
mv /var/tmp/device.key /etc/quipu/credentials/
until_true is quipud ActiveState active
systemctl stop quipud

# -- With a key that is none it does not, however often.
mv /etc/quipu/credentials/device.key /var/tmp/
(umask 077 && echo nonsense >/etc/quipu/credentials/device.key)
if systemctl start quipud; then exit 1; fi
is quipud ExecMainStatus 5
is quipud ActiveState failed
mv /var/tmp/device.key /etc/quipu/credentials/

# -- Nor without a configuration that can be read: what was last in effect is guarded.
unguard
cp -a /etc/quipu/quipu.toml /var/tmp/
echo '[device' >/etc/quipu/quipu.toml
if systemctl restart quipu-guard; then exit 1; fi
is quipu-guard ExecMainStatus 5
guarded
mv /var/tmp/quipu.toml /etc/quipu/
systemctl restart quipu-guard

# -- What may pass by itself (here: a device node that is not ready) is waited for, however long it takes.
chmod 600 /dev/net/tun
if systemctl start quipud; then exit 1; fi
tried_often() { [ "$(property quipud NRestarts)" -ge 6 ]; }
until_true tried_often
guarded
chmod 666 /dev/net/tun
until_true is quipud ActiveState active

# -- Stop: cleanly, and guarded still.
for unit in quipud quipu-kmsd; do
  systemctl stop $unit
  is $unit Result success
  is $unit ExecMainStatus 0
done
guarded
if systemctl --failed --no-legend --plain | grep quipu; then exit 1; fi

# -- Purge: each package takes its own, in either order, and leaves the other's and what has a name of the admin's.
cp -a /etc/quipu /var/tmp/configuration
systemctl start quipu-kmsd quipud
until_true driver_runs
guarded
dpkg --purge quipu quipu-driver-dev
for path in /etc/quipu/quipu.toml /etc/quipu/credentials /var/lib/quipu /run/quipu /usr/sbin/quipud; do [ ! -e $path ]; done
for family in -4 -6; do
  [ -z "$(ip $family rule show pref 81)" ]
  [ -z "$(ip $family route show table 81)" ]
  [ -z "$(ip $family route show proto 81)" ]
done
is quipu-kmsd ActiveState active
[ -e /etc/quipu/kms.toml ]
[ -e /etc/quipu/kms-credentials/store.key ]
dpkg --purge quipu-kms
for path in /etc/quipu /var/lib/quipu-kms /run/quipu-kms /usr/lib/quipu; do [ ! -e $path ]; done

dpkg -i /var/tmp/*.deb
cp -a /var/tmp/configuration/. /etc/quipu/
mkdir -m 700 /etc/quipu/pki
systemctl start quipu-kmsd quipud
dpkg --purge quipu-kms
for path in /etc/quipu/kms.toml /etc/quipu/kms-credentials /var/lib/quipu-kms; do [ ! -e $path ]; done
is quipud ActiveState active
[ -e /etc/quipu/quipu.toml ]
[ -e /etc/quipu/credentials/device.key ]
# Whether its routes could be taken away or not, a purge comes to its end.
ip=$(command -v ip)
mv "$(readlink -f "$ip")" /var/tmp/ip
dpkg --purge quipu quipu-driver-dev >/var/tmp/purged 2>&1
cat /var/tmp/purged
grep -q 'guards .* stay until the next boot' /var/tmp/purged
[ "$(ls /etc/quipu)" = pki ]
rmdir /etc/quipu/pki /etc/quipu
if find / -xdev \( -path /var/tmp -o -path /var/log -o -path '/etc/systemd/system/*.service.d' \) -prune -o -name '*quipu*' -print | grep .; then exit 1; fi
echo passed >/var/tmp/result
