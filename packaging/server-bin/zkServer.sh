#!/bin/sh
# ZooKeeper's script, by its old name. Coordinator and broker are one process: this starts and stops both.
# shellcheck shell=dash source-path=SCRIPTDIR source=env.sh
set -eu
. "$(dirname -- "$(readlink -f -- "$0")")/env.sh"

usage='usage: zkServer.sh [--config DIR] start | start-foreground | stop | restart | status | print-cmd [FILE]'

# The file that this server is configured by.
config_file() {
  for file in server.toml server.ini zoo.cfg; do
    if [ -e "$SERVER/conf/$file" ]; then
      printf '%s\n' "$SERVER/conf/$file"
      return
    fi
  done
}

# The original takes the path of a configuration. Here a server's configuration is in its folder.
check_file() {
  local wanted=$1 own
  case $wanted in */*) ;; *) [ -e "$wanted" ] || wanted=$SERVER/conf/$wanted ;; esac
  [ -e "$wanted" ] || refuse "there is no $wanted"
  own=$SERVER/conf/zoo.cfg
  if [ "$wanted" -ef "$own" ]; then
    [ ! -e "$SERVER/conf/server.toml" ] || refuse "$wanted is not read: $SERVER/conf/server.toml goes first" \
      'Take server.toml away, or write into it what zoo.cfg says'
  elif ! [ "$wanted" -ef "$(config_file)" ]; then
    refuse "this server is configured by $(config_file), not by $wanted" \
      "Put the file there: cp '$wanted' '$own', and take server.toml away" \
      'Another server is a folder of its own: chrysalis init DIR, chrysalis start DIR'
  fi
}

if [ "${1:-}" = --config ]; then
  [ "${2:-}" -ef "$SERVER/conf" ] || refuse "this server's configuration is in $SERVER/conf, not in ${2:-}" "$usage"
  shift 2
fi
verb=${1:-help}
[ -z "${2:-}" ] || check_file "$2"

case $verb in
  start)
    # To the original a second start is no mistake.
    if is_running; then
      echo "${SERVER##*/} runs already"
    else
      server start
    fi
    ;;
  stop | restart) server "$verb" ;;
  status)
    printf 'Using config: %s\n' "$(config_file)" >&2
    mode=$("$CHRYSALIS" status --json "$SERVER" 2>/dev/null | sed -n 's/^ *"role": "\(.*\)",*$/\1/p')
    if [ -z "$mode" ]; then
      echo 'Error contacting service. It is probably not running.'
      exit 1
    fi
    printf 'Mode: %s\n' "$mode"
    ;;
  start-foreground) exec "$CHRYSALIS" run "$SERVER" ;;
  print-cmd) printf '%s run %s\n' "$CHRYSALIS" "$SERVER" ;;
  upgrade) refuse 'there is nothing to upgrade: the data of a Java ZooKeeper is not taken over' \
    'A new version of Chrysalis: its install.sh with the same --prefix' ;;
  help | -h | --help) printf '%s\n' "$usage" ;;
  *) refuse "unknown command '$verb'" "$usage" ;;
esac
