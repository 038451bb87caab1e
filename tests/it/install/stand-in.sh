#!/usr/bin/env bash
# Stands in for the binary: knows the commands that install.sh calls, and does not start in versions *13.
set -euo pipefail
# A test brings aliases along that are meant for others.
unalias -a
version=@VERSION@
case $1 in
  --version) echo "chrysalis $version" ;;
  init)
    mkdir -p "$2"/{conf,data,logs}
    printf '# %s\n' "$*" >"$2/conf/server.toml"
    ;;
  start | restart)
    rm -f "$2/data/running"
    [[ $version != *13 ]] || { echo 'it is the thirteenth' >&2; exit 1; }
    touch "$2/data/running"
    ;;
  stop) rm -f "$2/data/running" ;;
  status) [[ -e $2/data/running ]] || exit 3 ;;
  produce) printf '%s' "${*: -1}" >"${0%/*}/../versions/message" ;;
  consume) cat "${0%/*}/../versions/message" ;;
  bench) echo 'fast' ;;
esac
