#!/usr/bin/env bash
# ZooKeeper's shell, by its old name: one command, or one a line from the terminal or a pipe.
#
#   zkCli.sh [-server HOST:PORT] [ls | get | set | create | delete | stat PATH ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

where=(--folder "$SERVER")
if [[ ${1:-} == -server ]]; then
  where=(--server "${2:?-server needs HOST:PORT}")
  shift 2
fi
zk() { "$CHRYSALIS" zk "${where[@]}" "$@"; }

if (($#)); then
  zk "$@"
  exit
fi

[[ -t 0 ]] && prompt='zk> ' || prompt=
status=0
while read -r -e -p "$prompt" -a words; do
  case ${words[0]:-} in
    '') ;;
    quit | close) break ;;
    *) zk "${words[@]}" && status=0 || status=$? ;;
  esac
done
exit "$status"
