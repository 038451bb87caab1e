#!/bin/sh
# ZooKeeper's shell, by its old name and with its old words: one command, or one a line from the terminal or a pipe.
#
#   zkCli.sh [-server HOST:PORT] [-timeout MILLISECONDS] [COMMAND ...]
# shellcheck shell=dash source-path=SCRIPTDIR source=env.sh
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/env.sh"

where=--folder at=$SERVER
while [ $# -gt 0 ]; do
  case $1 in
    -server)
      where=--server at=${2:?-server needs HOST:PORT}
      shift 2
      ;;
    # A command waits as long as it always does, and there is no server that only reads.
    -timeout) shift "$(($# > 1 ? 2 : 1))" ;;
    -r) shift ;;
    *) break ;;
  esac
done

# Keys to edit a line and to go back to an earlier one, where there is a program for it.
if [ $# = 0 ] && [ -t 0 ] && [ -t 1 ] && command -v rlwrap >/dev/null; then
  exec rlwrap -C zkCli "$CHRYSALIS" zk shell "$where" "$at"
fi
exec "$CHRYSALIS" zk shell "$where" "$at" -- "$@"
