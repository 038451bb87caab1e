#!/bin/sh
# The original's script, by its old name and with its old verbs.
# shellcheck shell=dash source-path=SCRIPTDIR source=env.sh
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/env.sh"

usage() {
  cat <<TEXT
usage: metaServer.sh start [local] | stop | restart | status | reload | stats [-item ITEM] | help
       metaServer.sh open-partitions -topic TOPIC
       metaServer.sh close-partitions -topic TOPIC -start FIRST -end LAST

start local   the same as start: the coordinator is always in the same process
stats         what the broker counts, as the original's stats command tells it
More is in the chrysalis command: $CHRYSALIS --help
TEXT
}

replication='replication belongs to the cluster, not to a start option; a server alone has none'

# The original's tools take their options in any order, and where the broker is, which is known here.
topic='' first='' last='' item=''
options() {
  while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || refuse "$1 needs a value" 'metaServer.sh help tells the options'
    case $1 in
      -topic) topic=$2 ;;
      -start) first=$2 ;;
      -end) last=$2 ;;
      -item) item=$2 ;;
      -host | -port | -config) ;;
      *) refuse "unknown option '$1'" 'metaServer.sh help tells the options' ;;
    esac
    shift 2
  done
}

verb=${1:-help}
[ $# = 0 ] || shift
case $verb in
  start | restart)
    case ${1:-local} in
      local) server "$verb" ;;
      slave | samsa | gregor) refuse "there is no '$1' start: $replication" ;;
      *) refuse "unknown kind of start '$1'" "metaServer.sh $verb [local]" ;;
    esac
    ;;
  stop | status | reload) server "$verb" ;;
  stats)
    # The original's own words for one item are `stats -item ITEM`; the shorter `stats ITEM` is taken, too.
    case ${1:-} in -*) options "$@" ;; *) item=${1:-} ;; esac
    "$CHRYSALIS" stats "$SERVER" ${item:+"$item"}
    ;;
  open-partitions)
    options "$@"
    "$CHRYSALIS" partition open "$SERVER" "${topic:?-topic TOPIC says which}"
    ;;
  close-partitions)
    options "$@"
    "$CHRYSALIS" partition close "$SERVER" "${topic:?-topic TOPIC says which}" \
      "${first:?-start FIRST says the first partition}" ${last:+"$last"}
    ;;
  slave-status) refuse "there is no slave here: $replication" ;;
  delete-partitions | move-partitions) refuse "there is no $verb: a server's files are its own, and are not moved under it" \
    "Old messages go by delete_policy; close partitions with: $CHRYSALIS partition close $SERVER TOPIC N" ;;
  query) refuse 'there is no query shell' \
    "How far each group has read: $CHRYSALIS topic describe $SERVER TOPIC" \
    "What is in ZooKeeper: ${SELF%/*}/zkCli.sh get /meta/consumers/GROUP/offsets/TOPIC/0-0" ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    refuse "unknown command '$verb'"
    ;;
esac
