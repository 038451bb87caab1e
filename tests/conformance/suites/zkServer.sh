#!/usr/bin/env bash
# zkServer.sh start-foreground CONFIG
#
# Stands in for ZooKeeper's in other projects' tests: serves by the zoo.cfg that they wrote, until it is killed. A zoo.cfg
# of a server alone becomes three servers that are one ensemble. The tests know the first; the others end with it.
#
# CHRYSALIS is the binary, and CHRYSALIS_LOG the file to which all servers write their logs.
set -euo pipefail
config=${!#}
exec >>"$CHRYSALIS_LOG" 2>&1

setting() { sed -n "s/^$1=//p" "$config" | tail -n 1; }
port=$(setting clientPort)
data=$(setting dataDir)
: "${data:?$config has no dataDir}"

# What the original reads as properties of its Java machine.
password_of_super() { printf '%s' "$* ${SERVER_JVMFLAGS:-}" | sed -n 's/.*superDigest=\([^ ]*\).*/\1/p'; }
super_digest=$(password_of_super "$@")
read_only=
[[ "$* ${SERVER_JVMFLAGS:-}" != *-Dreadonlymode.enabled=true* ]] || read_only=true

# lay FOLDER CLIENT_PORT: a server's folder. TLS, SASL and the type of a peer are not for us; the tests that need them are
# left out, or ask for what we are anyway.
lay() {
  mkdir -p "$1/conf"
  {
    grep -vE '^(clientPort|dataDir|secureClientPort|authProvider|ssl\.|peerType)' "$config" || true
    # Of 20 ticks without it: the tests ask for longer sessions than their ticks allow, and the machine may be slow.
    printf 'clientPort=%s\nmaxSessionTimeout=40000\n' "$2"
    printf 'chrysalis.web.enabled=false\n'
    [[ -z $read_only ]] || printf 'readonlymode.enabled=true\n'
    [[ -z $super_digest ]] || printf 'DigestAuthenticationProvider.superDigest=%s\n' "$super_digest"
  } >"$1/conf/zoo.cfg"
}

if grep -q '^server\.' "$config"; then
  lay "$data/chrysalis" "$port"
  cp "$data/myid" "$data/chrysalis/conf/"
  exec "$CHRYSALIS" run "$data/chrysalis"
fi

# Nobody else uses the ports from 10000 above it.
for id in 3 2 1; do
  own=$data/chrysalis-$id
  clients=$port
  ((id == 1)) || clients=$((port + 10000 + 10 * id))
  lay "$own" "$clients"
  for peer in 1 2 3; do printf 'server.%s=127.0.0.1:%s:0\n' "$peer" $((port + 10000 + peer)); done >>"$own/conf/zoo.cfg"
  echo "$id" >"$own/conf/myid"
  # The signal comes when the one that started it ends, so there must be no shell between the two.
  if ((id > 1)); then setpriv --pdeathsig KILL "$CHRYSALIS" run "$own" & fi
done
exec "$CHRYSALIS" run "$data/chrysalis-1"
