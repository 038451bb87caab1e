#!/usr/bin/env bash
# The original's script, by its old name and with its old verbs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

usage() {
  cat <<TEXT
usage: metaServer.sh start [local] | stop | restart | status | reload | stats [-item ITEM] | help

start local   the same as start: the coordinator is always in the same process
stats         what the broker counts, as the original's stats command tells it
More is in the chrysalis command: $CHRYSALIS --help
TEXT
}

case ${1:-help} in
  start | restart)
    case ${2:-local} in
      local) server "$1" ;;
      slave | samsa | gregor)
        echo "metaServer.sh: there is no '$2' start: replication belongs to the cluster, not to a start option" >&2
        exit 2
        ;;
      *) usage >&2; exit 2 ;;
    esac
    ;;
  stop | status | reload) server "$1" ;;
  stats)
    shift
    [[ ${1:-} == -item ]] && shift
    # The original's tool asked the broker's port, too; the reply is a line `result CODE LENGTH OPAQUE`, then text.
    address=$("$CHRYSALIS" status --json "$SERVER" | sed -n 's/^ *"broker": "\(.*\):\([0-9]*\)".*/\1 \2/p')
    read -r host port <<<"${address:?there is no broker in $SERVER}"
    exec 3<>"/dev/tcp/${host//[\[\]]/}/$port"
    printf 'stats%s\r\nquit\r\n' "${1:+ $1}" >&3
    read -r _ <&3
    cat <&3
    ;;
  help | -h | --help) usage ;;
  *)
    echo "metaServer.sh: unknown command '$1'" >&2
    usage >&2
    exit 2
    ;;
esac
