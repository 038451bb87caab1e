#!/usr/bin/env bash
# ZooKeeper's script, by its old name. Coordinator and broker are one process: this starts and stops both.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-help} in
  start | stop | restart | status) server "$1" ;;
  start-foreground) exec "$CHRYSALIS" run "$SERVER" ;;
  help | -h | --help) echo 'usage: zkServer.sh start | start-foreground | stop | restart | status' ;;
  *)
    echo "zkServer.sh: unknown command '$1'" >&2
    echo 'usage: zkServer.sh start | start-foreground | stop | restart | status' >&2
    exit 2
    ;;
esac
