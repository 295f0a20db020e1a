#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs inside the booted root: both units start at boot, stay active, answer, reload, and stop cleanly. Leaves /var/tmp/result.
exec >/var/tmp/log 2>&1
set -eux

failed() {
  journalctl --no-pager -b -u quipud -u quipu-kmsd | tail -n 100
  systemctl --no-pager status quipud quipu-kmsd || true
}
trap '[ $? = 0 ] || failed' EXIT

property() { systemctl show -P "$2" "$1"; }

running() {
  for unit in quipud quipu-kmsd; do
    [ "$(property $unit ActiveState)" = active ]
    [ "$(property $unit NRestarts)" = 0 ]
  done
}

for unit in quipud quipu-kmsd; do systemctl start $unit; done
running
[ "$(stat -c '%U' /run/quipu/control.sock)" = _quipu ]
[ "$(stat -c '%G %a' /run/quipu/control.sock)" = "quipu 660" ]
ip link show quipu0

# The other site is not there: the tunnel is down or blocked, and that is what the exit code says.
status=0
quipu status || status=$?
[ $status = 4 ] || [ $status = 6 ]
quipu status --json | grep -q '"device":{.*"kms":{'

# A member of the group may look, nobody else; and looking is all.
useradd --system --groups quipu watcher
status=0
runuser -u watcher -- quipu status >/dev/null || status=$?
[ $status = 4 ] || [ $status = 6 ]
if runuser -u watcher -- quipu rekey; then exit 1; fi
if runuser -u nobody -- quipu --socket /run/quipu/control.sock rekey; then exit 1; fi

systemctl reload quipud quipu-kmsd
quipu reload
running

# Restarted by the service manager after a crash.
kill -KILL "$(property quipud MainPID)"
for _ in $(seq 100); do
  if [ "$(property quipud NRestarts)" = 1 ] && [ "$(property quipud ActiveState)" = active ]; then break; fi
  sleep 0.1
done
[ "$(property quipud ActiveState)" = active ]

for unit in quipud quipu-kmsd; do
  systemctl stop $unit
  [ "$(property $unit Result)" = success ]
  [ "$(property $unit ExecMainStatus)" = 0 ]
done
if systemctl --failed --no-legend --plain | grep quipu; then exit 1; fi
echo passed >/var/tmp/result
