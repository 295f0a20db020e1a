# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: messages, progress lines, privilege, paths.
# shellcheck shell=bash

QUIPU_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
QUIPU_CACHE=${QUIPU_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/quipu}
export QUIPU_TOP QUIPU_CACHE

say() { printf '%s\n' "== $*"; }
# What the script says of itself at its top.
usage() { sed -n '3,${/^#/!q; s/^# \{0,1\}//p}' "$0"; exit 0; }
die() { printf '%s\n' "${0##*/}: $*" >&2; exit 1; }

# Goes on as COMMAND..., which is no function.
become_root() {
  if [ "$(id -u)" = 0 ]; then exec "$@"
  elif command -v sudo >/dev/null 2>&1; then exec sudo -- "$@"
  else die "'$1' needs root: run this script as root, or install sudo and call it again"
  fi
}

as_root() { (become_root "$@"); }

# Stops a process and all that it has started, and prints them, the oldest first.
halt() {
  local child
  send STOP "$1"
  printf '%s\n' "$1"
  # shellcheck disable=SC2013 # words, not lines
  for child in $(cat "/proc/$1/task"/*/children 2>/dev/null); do halt "$child"; done
}

# Leaves in $halted these processes and all that they have started, once none is left that could start another; after ten looks in
# any case, for what may not be stopped.
halt_all() {
  local pid before=none
  halted=()
  for _ in {1..10}; do
    [ "${halted[*]}" != "$before" ] || return 0
    before=${halted[*]}
    halted=()
    for pid in "$@"; do mapfile -t -O ${#halted[@]} halted < <(halt "$pid"); done
  done
}

is_running() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }

# send SIGNAL PID...: also to what runs as root.
send() {
  local signal=$1 pid
  shift
  for pid in "$@"; do
    kill -s "$signal" "$pid" 2>/dev/null || ! is_running "$pid" || sudo -n kill -s "$signal" "$pid" 2>/dev/null || true
  done
}

# await_end SECONDS PID...: until they have ended; those that have not by then are left in $left.
await_end() {
  local pid give_up=$((SECONDS + $1))
  shift
  while :; do
    left=()
    for pid in "$@"; do ! is_running "$pid" || left+=("$pid"); done
    set -- "${left[@]}"
    [ ${#left[@]} -gt 0 ] && [ "$SECONDS" -lt "$give_up" ] || return 0
    sleep 0.1
  done
}

# Ends all that this shell has in the background with what that has started: by SIGKILL what SIGTERM has not ended within 10 s.
end_background() {
  local halted left i
  # shellcheck disable=SC2046 # words
  halt_all $(jobs -p)
  send TERM "${halted[@]}"
  # The youngest first: sudo stops again if it finds stopped what it runs.
  for ((i = ${#halted[@]} - 1; i >= 0; i--)); do send CONT "${halted[i]}"; done
  await_end 10 "${halted[@]}"
  halt_all "${left[@]}"
  send KILL "${halted[@]}"
  await_end 5 "${halted[@]}"
  [ ${#left[@]} = 0 ] || printf '%s\n' "${0##*/}: what runs on is to be ended as root: kill -KILL ${left[*]}" >&2 || true
}

# Not by a process group: in one of its own, sudo could not ask for a password.
interrupted() {
  trap '' HUP INT TERM
  end_background
  printf '%s\n' "${0##*/}: ended by SIG$1" >&2 || true
  exit $((128 + $(kill -l "$1")))
}

for signal in HUP INT TERM; do
  # shellcheck disable=SC2064 # the name of now
  trap "interrupted $signal" "$signal"
done
unset signal

# Runs COMMAND... as if it stood there alone, but in the background, so that a signal to this script is answered while it runs. Without
# job control the shell makes background commands ignore Ctrl-C; these shall not.
attend() {
  (trap - INT QUIT; "$@") &
  wait $!
}

# run LABEL COMMAND...: output goes to build/log, into a file whose name is left in $run_log; a progress line is printed every 5 s;
# a failure shows the end of the log without the lines that match $RUN_HIDE, and stops the script ($RUN_ADVICE says what to do).
run() {
  local label=$1 start=$SECONDS status=0 pid ticker ended=
  shift
  mkdir -p "$QUIPU_TOP/build/log"
  run_log=$QUIPU_TOP/build/log/${label//[^A-Za-z0-9.-]/_}.log
  # Without job control the shell makes background commands ignore Ctrl-C; these shall not.
  (trap - INT QUIT; "$@") >"$run_log" 2>&1 </dev/null &
  pid=$!
  while :; do
    sleep 5 &
    ticker=$!
    status=0
    wait -n -p ended "$pid" "$ticker" || status=$?
    [ "$ended" = "$ticker" ] || break
    printf '   %s ... %d s: %s\n' "$label" $((SECONDS - start)) "$(last_line "$run_log")"
  done
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if [ "$status" != 0 ]; then
    { grep -avE "${RUN_HIDE:-^\$}" "$run_log" || true; } | tail -n 80 >&2
    die "$label failed (exit $status); the whole output is in $run_log${RUN_ADVICE:+. $RUN_ADVICE}"
  fi
  printf '   %s: done in %d s\n' "$label" $((SECONDS - start))
}

# The last line of a log that says something, fit for a terminal.
last_line() { tail -c 2000 "$1" | tr '\r' '\n' | grep -a '[[:graph:]]' | tail -n 1 | tr -cd '[:print:]' | cut -c1-90; }

apts_mirror() {
  # shellcheck disable=SC2016 # apt fills in what is in single quotes
  apt-get indextargets --format '$(REPO_URI)|$(CODENAME)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
    sed -n "s#^\(.*\)|\(bookworm\|trixie\)$1\$#\1#p" | head -n 1
}

# The mirror of Debian's main archive that this machine's apt uses, whatever its release. With -security: that of the security
# updates, or nothing where apt uses none.
debian_mirror() {
  local from list part=${1:-}
  from=$(apts_mirror "$part")
  if [ -z "$from$part" ]; then
    # Only from its lists does apt know which one is Debian's.
    run "apt-get update" as_root apt-get -q update >&2
    from=$(apts_mirror "$part")
  fi
  # Debian's images for clouds have a file of mirrors, one a line, which only apt can read.
  case $from in
    mirror+file:*)
      list=${from#mirror+file:}
      list=${list%/}
      from=$(sed -n 's#^[[:space:]]*\([a-z+]*:[^[:space:]]*\).*#\1#p' "$list" | head -n 1)
      ;;
  esac
  [ -n "$from$part" ] || die "no Debian mirror found in apt's configuration: add one"
  printf '%s\n' "$from"
}
