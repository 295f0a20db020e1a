# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: messages, progress lines, privilege, paths.
# shellcheck shell=bash

QUIPU_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
QUIPU_CACHE=${QUIPU_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/quipu}
export QUIPU_TOP QUIPU_CACHE

say() { printf '%s\n' "== $*"; }
die() { printf '%s\n' "${0##*/}: $*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo -- "$@"
  else die "'$1' needs root: run this script as root, or install sudo and call it again"
  fi
}

# run LABEL COMMAND...: output goes to a log, a progress line is printed every 5 s, and a failure shows the end of the log.
run() {
  local label=$1 log pid start=$SECONDS status=0
  shift
  mkdir -p "$QUIPU_CACHE/log"
  log=$QUIPU_CACHE/log/${label//[^A-Za-z0-9.-]/_}.$$.log
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    # wait -n would lose the status; a short poll keeps it for the wait below.
    sleep 0.2
    if [ $(((SECONDS - start) % 5)) = 0 ] && [ $((SECONDS - start)) != "${last_shown:-0}" ] && [ "$SECONDS" != "$start" ]; then
      local last_shown=$((SECONDS - start))
      printf '   %s ... %d s: %s\n' "$label" "$last_shown" "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-90)"
    fi
  done
  wait "$pid" || status=$?
  if [ "$status" != 0 ]; then
    tail -n 40 "$log" >&2
    die "$label failed (exit $status); the whole output is in $log"
  fi
  printf '   %s: done in %d s\n' "$label" $((SECONDS - start))
  rm -f "$log"
}
