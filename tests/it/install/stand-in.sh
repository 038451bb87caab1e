#!/usr/bin/env bash
# Stands in for the binary: knows the commands that an install calls, and does not start in
# versions *13. What is installed, and how, is decided by the real one.
set -euo pipefail
# A test brings aliases along that are meant for others.
unalias -a
version=@VERSION@
case $1 in
  # What is decided is the real one's.
  host)
    verb=$2
    shift 2
    [[ $verb == remove ]] || set -- --binary "$(readlink -f -- "$0")" "$@"
    exec '@REAL@' host "$verb" "$@"
    ;;
  --version) echo "chrysalis $version" ;;
  init)
    mkdir -p "$2"/{conf,data,logs}
    printf '# a Chrysalis server: %s\n' "$*" >"$2/conf/server.toml"
    ;;
  start | restart)
    rm -f "$2/data/running"
    [[ $version != *13 ]] || { echo 'it is the thirteenth' >&2; exit 1; }
    touch "$2/data/running"
    ;;
  stop) rm -f "$2/data/running" ;;
  status) [[ -e $2/data/running ]] || exit 3 ;;
  produce) printf '%s' "${*: -1}" >"$3/data/message" ;;
  consume) cat "$3/data/message" ;;
  bench) echo 'fast' ;;
esac
